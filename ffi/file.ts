/**
 * Files: opening, reading, renaming and removing them; symbolic links.
 *
 * @module
 */
import { type CString, cString, fromBytes } from "./c_string.ts";
import { close, O_CLOEXEC, read } from "./descriptor.ts";
import {
  bind,
  checked,
  Errno,
  errno,
  LibcError,
  uninterrupted,
} from "./libc.ts";

const libc = bind({
  open: {
    parameters: [
      "buffer", // const char *path
      "i32", // int flags
      "u32", // mode_t mode
    ],
    result: "i32",
  },
  rename: {
    parameters: ["buffer", /* const char * */ "buffer" /* const char * */],
    result: "i32",
  },
  unlink: { parameters: ["buffer" /* const char * */], result: "i32" },
  readlink: {
    parameters: ["buffer", /* const char * */ "buffer", "usize"],
    result: "i64", // ssize_t
  },
  readlinkat: {
    parameters: [
      "i32", // int dirfd
      "buffer", // const char *
      "buffer",
      "usize",
    ],
    result: "i64", // ssize_t
  },
  lseek: {
    parameters: ["i32", /* int fd */ "i64", /* off_t */ "i32" /* int whence */],
    result: "i64", // off_t
  },
  umask: { parameters: ["u32" /* mode_t */], result: "u32" },
});

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
/** Only to be executed, not to be read. */
export const O_PATH = 0o10000000;
/** `O_NOFOLLOW` of each machine. */
export const NOFOLLOW = { x86_64: 0o400000, aarch64: 0o100000 } as const;
export const O_NOFOLLOW: number = NOFOLLOW[Deno.build.arch];

/** Paths are taken from the working directory. */
export const AT_FDCWD = -100;
/** From where an offset is counted: the beginning, or the one that it is. */
export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EMPTY_PATH = 0x1000;

export const PATH_MAX = 4096;
export const SLASH = 0x2f;

/**
 * Opens a file. The descriptor is closed on exec.
 *
 * @param path The file.
 * @param flags `O_RDONLY` and its like, ored.
 * @param mode Permission bits of a new file, less the umask.
 * @returns The descriptor.
 * @throws {LibcError} `ENOENT`, `EACCES` and others.
 */
export function open(path: CString, flags: number, mode = 0): number {
  const name = cString(path);
  return uninterrupted(
    "open",
    () => libc.open(name, flags | O_CLOEXEC, mode),
  );
}

/**
 * Opens a file that may not be there. That it is not is no error, and costs
 * none.
 *
 * @param path The file.
 * @param flags As {@linkcode open}.
 * @returns The descriptor, which is closed on exec; `undefined` without a file.
 * @throws {LibcError} `EACCES` and others.
 */
export function openIfThere(path: CString, flags: number): number | undefined {
  const name = cString(path);
  for (;;) {
    const fd = libc.open(name, flags | O_CLOEXEC, 0);
    if (fd !== -1) return fd;
    const why = errno();
    if (why === Errno.ENOENT) return undefined;
    if (why !== Errno.EINTR) throw new LibcError("open", why);
  }
}

/**
 * Reads a file whole; for files of `/proc`, which have no size.
 *
 * @param path The file.
 * @returns Its bytes.
 * @throws {LibcError} As {@linkcode open} and {@linkcode read}.
 */
export function readFile(path: CString): Uint8Array<ArrayBuffer> {
  const fd = open(path, O_RDONLY);
  try {
    return readToEnd(fd);
  } finally {
    close(fd);
  }
}

/**
 * Reads what is left of an open file.
 *
 * @param fd The file.
 * @param most Not much more than so many bytes are read.
 * @returns Its bytes.
 * @throws {LibcError} As {@linkcode read}.
 */
export function readToEnd(
  fd: number,
  most = Infinity,
): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(4096);
  let length = 0;
  for (;;) {
    const n = read(fd, bytes.subarray(length));
    length += n;
    if (n === 0 || length > most) return bytes.subarray(0, length);
    if (length === bytes.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(bytes);
      bytes = larger;
    }
  }
}

/**
 * Where the next read or write of an open file begins.
 *
 * @param fd The file.
 * @returns The offset in bytes.
 * @throws {LibcError} `ESPIPE` when it has none.
 */
export function offsetOf(fd: number): number {
  return checked("lseek", libc.lseek(fd, 0n, SEEK_CUR));
}

/**
 * Sets where the next read or write of an open file begins.
 *
 * @param fd The file.
 * @param offset The offset in bytes.
 * @throws {LibcError} `ESPIPE` when it has none.
 */
export function setOffset(fd: number, offset: number): void {
  checked("lseek", libc.lseek(fd, BigInt(offset), SEEK_SET));
}

/**
 * Renames a file; one that has the new name is replaced.
 *
 * @param from The old name.
 * @param to The new name.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EISDIR` and others.
 */
export function rename(from: CString, to: CString): void {
  const [old, name] = [cString(from), cString(to)];
  checked("rename", libc.rename(old, name));
}

/**
 * Removes a name of a file.
 *
 * @param path The name.
 * @throws {LibcError} `ENOENT`, `EACCES` and others.
 */
export function unlink(path: CString): void {
  const name = cString(path);
  checked("unlink", libc.unlink(name));
}

/**
 * Reads a symbolic link.
 *
 * @param path The link.
 * @returns What it refers to.
 * @throws {LibcError} `ENOENT`, `EINVAL` when it is not one.
 */
export function readLink(path: CString): string {
  const name = cString(path);
  const target = new Uint8Array(PATH_MAX);
  const length = checked(
    "readlink",
    libc.readlink(name, target, BigInt(target.length)),
  );
  return fromBytes(target.subarray(0, length));
}

/**
 * Reads a symbolic link that is open.
 *
 * @param fd The link, opened with `O_PATH` and `O_NOFOLLOW`.
 * @returns What it refers to.
 * @throws {LibcError} `ENOENT` when it is not one.
 */
export function readLinkAt(fd: number): Uint8Array<ArrayBuffer> {
  const target = new Uint8Array(PATH_MAX);
  const length = checked(
    "readlinkat",
    libc.readlinkat(fd, cString(""), target, BigInt(target.length)),
  );
  return target.subarray(0, length);
}

/**
 * Sets which permission bits new files are not given.
 *
 * @param mask The bits.
 * @returns What they were.
 */
export function umask(mask: number): number {
  return libc.umask(mask);
}
