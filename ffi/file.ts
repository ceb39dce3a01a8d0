/**
 * Files and descriptors.
 *
 * @module
 */
import { close, O_CLOEXEC, read } from "./descriptor.ts";
import { type CString, cString, fromBytes, toBytes } from "./c_string.ts";
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
  fchdir: { parameters: ["i32" /* int fd */], result: "i32" },
  umask: { parameters: ["u32" /* mode_t */], result: "u32" },
  mkdir: {
    parameters: ["buffer", /* const char * */ "u32" /* mode_t */],
    result: "i32",
  },
  getcwd: {
    parameters: ["buffer", /* char * */ "usize"],
    result: "pointer", // char *
  },
  syscall: {
    parameters: [
      "i64", // long number
      "i32", // pid_t
      "i32", // pid_t
      "i32", // int type
      "u64", // unsigned long
      "u64", // unsigned long
    ],
    result: "i64",
  },
  getpid: { parameters: [], result: "i32" }, // pid_t
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
  access: {
    parameters: ["buffer", /* const char * */ "i32" /* int mode */],
    result: "i32",
  },
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
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const F_OK = 0;
const X_OK = 1;
const W_OK = 2;
/** glibc has no function for it. */
const SYS_KCMP = Deno.build.arch === "aarch64" ? 272n : 312n;
const KCMP_FILE = 0;
const PATH_MAX = 4096;
export const SLASH = 0x2f;

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFIFO = 0o010000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
/** In such a directory nobody touches another's files. */
export const S_ISVTX = 0o1000;

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
  ctime: 96,
  mtime: 112,
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
  /** When it was written or changed otherwise, in nanoseconds since 1970. */
  readonly ctime: bigint;
  /** When it was written, in nanoseconds since 1970. */
  readonly mtime: bigint;
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
 * @returns Its bytes.
 * @throws {LibcError} As {@linkcode read}.
 */
export function readToEnd(fd: number): Uint8Array<ArrayBuffer> {
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
 * Looks at a file by name, or at a symbolic link: `lstat()`.
 *
 * @param path The file.
 * @returns What tend asks of it.
 * @throws {LibcError} `ENOENT`, `EACCES` and others.
 */
export function lstatFile(path: CString): FileStat {
  const name = cString(path);
  return statx("lstat", AT_FDCWD, name, AT_SYMLINK_NOFOLLOW);
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

/**
 * Asks whether an open file is a regular one, and nothing else of it.
 *
 * @param fd Its descriptor.
 * @returns Whether it is.
 * @throws {LibcError} `EBADF` when it is not open.
 */
export function isRegular(fd: number): boolean {
  const view = rawStatx("fstat", fd, cString(""), AT_EMPTY_PATH);
  return (view.getUint16(STATX.mode, true) & S_IFMT) === S_IFREG;
}

function rawStatx(
  call: string,
  fd: number,
  path: Uint8Array<ArrayBuffer>,
  flags: number,
): DataView<ArrayBuffer> {
  const buffer = new Uint8Array(STATX.size);
  checked(call, libc.statx(fd, path, flags, STATX_BASIC_STATS, buffer));
  return new DataView(buffer.buffer);
}

function statx(
  call: string,
  fd: number,
  path: Uint8Array<ArrayBuffer>,
  flags: number,
): FileStat {
  const view = rawStatx(call, fd, path, flags);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const time = (at: number) =>
    view.getBigInt64(at, true) * 1_000_000_000n + BigInt(u32(at + 8));
  return {
    dev: `${u32(STATX.devMajor)}:${u32(STATX.devMinor)}`,
    ino: view.getBigUint64(STATX.ino, true),
    mode: view.getUint16(STATX.mode, true),
    nlink: u32(STATX.nlink),
    uid: u32(STATX.uid),
    gid: u32(STATX.gid),
    size: view.getBigUint64(STATX.bytes, true),
    ctime: time(STATX.ctime),
    mtime: time(STATX.mtime),
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
 * Whether a file is a FIFO.
 *
 * @param stat A look at it.
 * @returns Whether it is.
 */
export function isFifo(stat: FileStat): boolean {
  return (stat.mode & S_IFMT) === S_IFIFO;
}

/**
 * Whether a file is a symbolic link.
 *
 * @param stat A look at it, which has not followed it.
 * @returns Whether it is.
 */
export function isSymbolicLink(stat: FileStat): boolean {
  return (stat.mode & S_IFMT) === S_IFLNK;
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
 * Changes the working directory to an open one.
 *
 * @param fd The directory.
 * @throws {LibcError} `ENOTDIR`, `EACCES`.
 */
export function fchdir(fd: number): void {
  checked("fchdir", libc.fchdir(fd));
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
 * Asks whether a name is there. That it is not is no error, and costs none.
 *
 * @param path The name; symbolic links are followed.
 * @returns Whether it is; also when we may not look.
 */
export function isThere(path: CString): boolean {
  const name = cString(path);
  return libc.access(name, F_OK) === 0 || errno() !== Errno.ENOENT;
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
 * Checks that a file may be written to, as far as its permission bits and its
 * file system tell.
 *
 * @param path The file.
 * @throws {LibcError} `EACCES`, `EROFS` when it may not, `ENOENT`.
 */
export function checkMayWrite(path: CString): void {
  const name = cString(path);
  checked("access", libc.access(name, W_OK));
}

/**
 * Checks that files may be made in a directory, as far as its permission bits
 * and its file system tell.
 *
 * @param path The directory.
 * @throws {LibcError} `EACCES`, `EROFS` when they may not, `ENOENT`, `ENOTDIR`.
 */
export function checkMayMakeFiles(path: CString): void {
  const name = cString(path);
  checked("access", libc.access(name, W_OK | X_OK));
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

/**
 * A path that stays the same when the working directory is another.
 *
 * @param path The path.
 * @returns It, or with the working directory before it.
 * @throws {LibcError} As {@linkcode getcwd}.
 */
export function absolutePath(path: CString): Uint8Array<ArrayBuffer> {
  const bytes = toBytes(path);
  return bytes[0] === SLASH
    ? bytes
    : Uint8Array.of(...getcwd(), SLASH, ...bytes);
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
 * Asks whether one descriptor is a duplicate of another: `kcmp()`. Two that
 * were opened apart are not, though it is the same file.
 *
 * @param fd One descriptor.
 * @param other The other.
 * @returns Whether it is; where the kernel does not tell, whether it is the same
 * file. Not when one of them is closed.
 */
export function isDuplicate(fd: number, other: number): boolean {
  const pid = libc.getpid();
  const order = Number(
    libc.syscall(SYS_KCMP, pid, pid, KCMP_FILE, BigInt(fd), BigInt(other)),
  );
  if (order !== -1) return order === 0;
  try {
    return isSameFile(fstat(fd), fstat(other));
  } catch (error) {
    if (error instanceof LibcError) return false;
    throw error;
  }
}
