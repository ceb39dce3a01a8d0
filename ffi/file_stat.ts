/**
 * Looking at files: what they are, and whose.
 *
 * @module
 */
import { type CString, cString } from "./c_string.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from "./file.ts";
import { bind, checked } from "./libc.ts";

const libc = bind({
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
});

const STATX_BASIC_STATS = 0x7ff;

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
