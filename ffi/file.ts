/**
 * Files and descriptors.
 *
 * @module
 */
import { type CString, cString, toBytes } from "./c_string.ts";
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
  close: { parameters: ["i32" /* int fd */], result: "i32" },
  read: {
    parameters: ["i32", /* int fd */ "buffer", /* void * */ "usize"],
    result: "i64", // ssize_t
  },
  write: {
    parameters: ["i32", /* int fd */ "buffer", /* const void * */ "usize"],
    result: "i64", // ssize_t
  },
  dup: { parameters: ["i32" /* int fd */], result: "i32" },
  dup3: { parameters: ["i32", "i32", "i32" /* int flags */], result: "i32" },
  fcntl: {
    parameters: ["i32", /* int fd */ "i32", /* int cmd */ "i32" /* int arg */],
    result: "i32",
  },
  pipe2: {
    parameters: ["buffer", /* int fds[2] */ "i32" /* int flags */],
    result: "i32",
  },
  rename: {
    parameters: ["buffer", /* const char * */ "buffer" /* const char * */],
    result: "i32",
  },
  unlink: { parameters: ["buffer" /* const char * */], result: "i32" },
  ftruncate: { parameters: ["i32", /* int fd */ "i64"], result: "i32" },
  statx: {
    parameters: [
      "i32", // int dirfd
      "buffer", // const char *path
      "i32", // int flags
      "u32", // unsigned int mask
      "buffer", // struct statx *
    ],
    result: "i32",
  },
  chdir: { parameters: ["buffer" /* const char * */], result: "i32" },
  umask: { parameters: ["u32" /* mode_t */], result: "u32" },
  mkdir: {
    parameters: ["buffer", /* const char * */ "u32" /* mode_t */],
    result: "i32",
  },
  getcwd: {
    parameters: ["buffer", /* char * */ "usize"],
    result: "pointer", // char *
  },
  access: {
    parameters: ["buffer", /* const char * */ "i32" /* int mode */],
    result: "i32",
  },
});

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_NOCTTY = 0o400;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
/** Differs between the two architectures. */
export const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;

const F_GETFD = 1;
const F_SETFD = 2;
const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const X_OK = 1;
const PATH_MAX = 4096;

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

/**
 * `struct statx`. `struct stat` differs between the two architectures, and
 * glibc before 2.33 exports no function for it.
 */
const STATX = {
  size: 256,
  nlink: 16,
  uid: 20,
  gid: 24,
  mode: 28,
  ino: 32,
  bytes: 40,
  devMajor: 136,
  devMinor: 140,
} as const;

/** What tend asks of a file: some of `struct stat`. */
export interface FileStat {
  /** The device, major and minor number. */
  readonly dev: string;
  /** The inode on that device. */
  readonly ino: bigint;
  /** Type and permission bits. */
  readonly mode: number;
  /** Number of links. */
  readonly nlink: number;
  /** Owner. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
  /** Size in bytes. */
  readonly size: bigint;
}

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
 * Closes a descriptor. On `EINTR` it is closed all the same, and trying again
 * could close somebody else's.
 *
 * @param fd The descriptor.
 * @throws {LibcError} `EBADF`, `EIO`.
 */
export function close(fd: number): void {
  try {
    checked("close", libc.close(fd));
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.EINTR) return;
    throw error;
  }
}

/**
 * Reads what is there.
 *
 * @param fd The descriptor.
 * @param into Where the bytes go.
 * @returns The number of bytes, 0 at the end.
 * @throws {LibcError} `EAGAIN`, `EIO` and others.
 */
export function read(fd: number, into: Uint8Array<ArrayBuffer>): number {
  return uninterrupted(
    "read",
    () => libc.read(fd, into, BigInt(into.length)),
  );
}

/**
 * Writes all of a text.
 *
 * @param fd The descriptor.
 * @param text What to write.
 * @throws {LibcError} `EPIPE`, `ENOSPC` and others.
 */
export function writeFully(fd: number, text: CString): void {
  let rest = toBytes(text);
  while (rest.length > 0) {
    const some = rest;
    const n = uninterrupted(
      "write",
      () => libc.write(fd, some, BigInt(some.length)),
    );
    rest = rest.subarray(n);
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
    let bytes = new Uint8Array(4096);
    let length = 0;
    for (;;) {
      const n = read(fd, bytes.subarray(length));
      if (n === 0) return bytes.subarray(0, length);
      length += n;
      if (length === bytes.length) {
        const larger = new Uint8Array(2 * length);
        larger.set(bytes);
        bytes = larger;
      }
    }
  } finally {
    close(fd);
  }
}

/**
 * Duplicates a descriptor to the lowest free number from `from` on.
 *
 * @param fd The descriptor.
 * @param from The lowest number to take.
 * @param closeOnExec Whether the new one is closed on exec.
 * @returns The new descriptor.
 * @throws {LibcError} `EBADF`, `EMFILE`; `EINVAL` when `from` is above the
 * limit of open files.
 */
export function dupFrom(
  fd: number,
  from: number,
  closeOnExec: boolean,
): number {
  const command = closeOnExec ? F_DUPFD_CLOEXEC : F_DUPFD;
  return checked("fcntl(F_DUPFD)", libc.fcntl(fd, command, from));
}

/**
 * Makes one descriptor refer to the file of another; what it was is closed.
 *
 * @param fd The descriptor to copy.
 * @param onto The number that the copy gets. Must not be `fd`.
 * @param flags `O_CLOEXEC` or 0.
 * @throws {LibcError} `EBADF`, `EINVAL`.
 */
export function dup3(fd: number, onto: number, flags: number): void {
  uninterrupted("dup3", () => libc.dup3(fd, onto, flags));
}

/**
 * Asks whether a descriptor is closed on exec.
 *
 * @param fd The descriptor.
 * @returns Whether it is.
 * @throws {LibcError} `EBADF` when it is not open.
 */
export function closesOnExec(fd: number): boolean {
  const flags = checked("fcntl(F_GETFD)", libc.fcntl(fd, F_GETFD, 0));
  return (flags & FD_CLOEXEC) !== 0;
}

/**
 * Says whether a descriptor is closed on exec.
 *
 * @param fd The descriptor.
 * @param on Whether it is.
 * @throws {LibcError} `EBADF` when it is not open.
 */
export function setCloseOnExec(fd: number, on: boolean): void {
  const flags = on ? FD_CLOEXEC : 0;
  checked("fcntl(F_SETFD)", libc.fcntl(fd, F_SETFD, flags));
}

/**
 * Makes a pipe; both ends are closed on exec.
 *
 * @returns Its two ends.
 * @throws {LibcError} `EMFILE`, `ENFILE`.
 */
export function pipe2(): { readFd: number; writeFd: number } {
  const fds = new Int32Array(2);
  checked("pipe2", libc.pipe2(new Uint8Array(fds.buffer), O_CLOEXEC));
  return { readFd: fds[0]!, writeFd: fds[1]! };
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
 * Sets the size of an open file.
 *
 * @param fd The file, open for writing.
 * @param size Its new size in bytes.
 * @throws {LibcError} `EINVAL`, `EIO`.
 */
export function ftruncate(fd: number, size: number): void {
  uninterrupted("ftruncate", () => libc.ftruncate(fd, BigInt(size)));
}

/**
 * Looks at a file by name: `stat()`.
 *
 * @param path The file; symbolic links are followed.
 * @returns What tend asks of it.
 * @throws {LibcError} `ENOENT`, `EACCES` and others.
 */
export function statFile(path: CString): FileStat {
  const name = cString(path);
  return statx("stat", AT_FDCWD, name, 0);
}

/**
 * Looks at an open file: `fstat()`.
 *
 * @param fd Its descriptor.
 * @returns What tend asks of it.
 * @throws {LibcError} `EBADF` when it is not open.
 */
export function fstat(fd: number): FileStat {
  return statx("fstat", fd, cString(""), AT_EMPTY_PATH);
}

function statx(
  call: string,
  fd: number,
  path: Uint8Array<ArrayBuffer>,
  flags: number,
): FileStat {
  const buffer = new Uint8Array(STATX.size);
  checked(call, libc.statx(fd, path, flags, STATX_BASIC_STATS, buffer));
  const view = new DataView(buffer.buffer);
  const u32 = (offset: number) => view.getUint32(offset, true);
  return {
    dev: `${u32(STATX.devMajor)}:${u32(STATX.devMinor)}`,
    ino: view.getBigUint64(STATX.ino, true),
    mode: view.getUint16(STATX.mode, true),
    nlink: u32(STATX.nlink),
    uid: u32(STATX.uid),
    gid: u32(STATX.gid),
    size: view.getBigUint64(STATX.bytes, true),
  };
}

/**
 * Whether two looks were at the same file.
 *
 * @param a One look.
 * @param b The other.
 * @returns Whether device and inode are equal.
 */
export function isSameFile(a: FileStat, b: FileStat): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/**
 * Whether a file is a regular one.
 *
 * @param stat A look at it.
 * @returns Whether it is.
 */
export function isRegularFile(stat: FileStat): boolean {
  return (stat.mode & S_IFMT) === S_IFREG;
}

/**
 * Whether a file is a directory.
 *
 * @param stat A look at it.
 * @returns Whether it is.
 */
export function isDirectory(stat: FileStat): boolean {
  return (stat.mode & S_IFMT) === S_IFDIR;
}

/**
 * Changes the working directory.
 *
 * @param path The directory.
 * @throws {LibcError} `ENOENT`, `EACCES`, `ENOTDIR`.
 */
export function chdir(path: CString): void {
  const name = cString(path);
  checked("chdir", libc.chdir(name));
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

/**
 * Makes a directory.
 *
 * @param path Its name.
 * @param mode Its permission bits, less the umask.
 * @throws {LibcError} `EEXIST`, `ENOENT`, `EACCES`.
 */
export function mkdir(path: CString, mode: number): void {
  const name = cString(path);
  checked("mkdir", libc.mkdir(name, mode));
}

/**
 * Checks that a file may be executed, as far as its permission bits tell.
 *
 * @param path The file.
 * @throws {LibcError} `EACCES` when it may not, `ENOENT`.
 */
export function checkExecutable(path: CString): void {
  const name = cString(path);
  checked("access", libc.access(name, X_OK));
}

/**
 * The working directory.
 *
 * @returns Its absolute path, as bytes.
 * @throws {LibcError} `ENOENT` when it was removed, `EACCES`.
 */
export function getcwd(): Uint8Array<ArrayBuffer> {
  const path = new Uint8Array(PATH_MAX);
  if (libc.getcwd(path, BigInt(path.length)) === null) {
    throw new LibcError("getcwd", errno());
  }
  return path.slice(0, path.indexOf(0));
}
