/**
 * Descriptors: reading, writing, changing them.
 *
 * @module
 */
import { type CString, toBytes } from "./c_string.ts";
import {
  bind,
  checked,
  Errno,
  errno,
  LibcError,
  uninterrupted,
} from "./libc.ts";

const libc = bind({
  close: { parameters: ["i32" /* int fd */], result: "i32" },
  read: {
    parameters: ["i32", /* int fd */ "buffer", /* void * */ "usize"],
    result: "i64", // ssize_t
  },
  write: {
    parameters: ["i32", /* int fd */ "buffer", /* const void * */ "usize"],
    result: "i64", // ssize_t
  },
  pread: {
    parameters: ["i32", "buffer", /* void * */ "usize", "i64" /* off_t */],
    result: "i64", // ssize_t
  },
  pwrite: {
    parameters: [
      "i32",
      "buffer", // const void *
      "usize",
      "i64", // off_t
    ],
    result: "i64", // ssize_t
  },
  fcntl: {
    parameters: ["i32", /* int fd */ "i32", /* int cmd */ "i32" /* int arg */],
    result: "i32",
  },
  pipe2: {
    parameters: ["buffer", /* int fds[2] */ "i32" /* int flags */],
    result: "i32",
  },
  fchown: {
    parameters: ["i32", /* int fd */ "u32", /* uid_t */ "u32" /* gid_t */],
    result: "i32",
  },
  ftruncate: { parameters: ["i32", /* int fd */ "i64"], result: "i32" },
});

const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
export const F_SETFL = 4;
const FD_CLOEXEC = 1;
const O_NONBLOCK = 0o4000;

/** Closed on exec. */
export const O_CLOEXEC = 0o2000000;

/**
 * Closes a descriptor. Linux closes it whatever it says; trying again could
 * close somebody else's. What it says of a file on another machine is that
 * something written before is lost, perhaps by another process that has the
 * file too, as stderr; nobody here could do anything about it.
 *
 * @param fd The descriptor.
 * @throws {LibcError} `EBADF`.
 */
export function close(fd: number): void {
  if (libc.close(fd) === 0) return;
  const why = errno();
  if (why === Errno.EBADF) throw new LibcError("close", why);
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
 * Reads what is there of a descriptor that does not block. Having nothing to
 * read is no error, and costs none.
 *
 * @param fd The descriptor.
 * @param into Where the bytes go.
 * @returns The number of bytes, or `undefined` when there is nothing yet.
 * @throws {LibcError} `EBADF`, `EIO` and others.
 */
export function readIfAny(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
): number | undefined {
  for (;;) {
    const result = Number(libc.read(fd, into, BigInt(into.length)));
    if (result !== -1) return result;
    const why = errno();
    if (why === Errno.EAGAIN) return undefined;
    if (why !== Errno.EINTR) throw new LibcError("read", why);
  }
}

/**
 * Writes all of a text.
 *
 * @param fd The descriptor.
 * @param text What to write.
 * @throws {LibcError} `EPIPE`, `ENOSPC` and others.
 */
export function writeFully(fd: number, text: CString): void {
  // Bytes are not copied: whoever copies a large file would leave it all behind.
  let rest = typeof text === "string" ? toBytes(text) : text;
  while (rest.length > 0) {
    const some = rest;
    const n = uninterrupted(
      "write",
      () => libc.write(fd, some, BigInt(some.length)),
    );
    rest = rest.subarray(someOf("write", n));
  }
}

/** Who writes nothing, and hears of no error, would do so for ever. */
function someOf(call: string, written: number): number {
  if (written === 0) throw new LibcError(call, Errno.EIO);
  return written;
}

/**
 * Reads the beginning of a file, wherever the descriptor stands.
 *
 * @param fd The file.
 * @param into Where the bytes go.
 * @returns The number of bytes.
 * @throws {LibcError} `EIO`; `ESPIPE` when it is a pipe.
 */
export function readBeginning(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
): number {
  return readAt(fd, into, 0n);
}

/**
 * Reads a part of a file, wherever the descriptor stands.
 *
 * @param fd The file.
 * @param into Where the bytes go.
 * @param offset Where the part begins.
 * @returns The number of bytes.
 * @throws {LibcError} `EIO`; `ESPIPE` when it is a pipe.
 */
export function readAt(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
  offset: bigint,
): number {
  return uninterrupted(
    "pread",
    () => libc.pread(fd, into, BigInt(into.length), offset),
  );
}

/**
 * Writes over the beginning of a file: in one call, and in more only if there
 * was no room at first.
 *
 * @param fd The file; not open for appending.
 * @param bytes What to write.
 * @throws {LibcError} `ENOSPC`, `EFBIG`, `EIO`; then some of it may be written.
 */
export function writeBeginning(
  fd: number,
  bytes: Uint8Array<ArrayBuffer>,
): void {
  for (let at = 0; at < bytes.length;) {
    const rest = bytes.subarray(at);
    const n = uninterrupted(
      "pwrite",
      () => libc.pwrite(fd, rest, BigInt(rest.length), BigInt(at)),
    );
    at += someOf("pwrite", n);
  }
}

/**
 * Asks whether a number is a descriptor, and whether it is closed on exec.
 *
 * @param fd The number.
 * @returns Whether it is closed on exec; `undefined` when it is not open.
 */
export function closesOnExec(fd: number): boolean | undefined {
  const flags = libc.fcntl(fd, F_GETFD, 0);
  return flags === -1 ? undefined : (flags & FD_CLOEXEC) !== 0;
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
 * Has reading return when there is nothing to read, in every process that has
 * the same open file: one end of a pipe, not the other.
 *
 * @param fd The descriptor.
 * @throws {LibcError} `EBADF` when it is not open.
 */
export function setNonBlocking(fd: number): void {
  const flags = checked("fcntl(F_GETFL)", libc.fcntl(fd, F_GETFL, 0));
  checked("fcntl(F_SETFL)", libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

/**
 * Has reading and writing wait again, in every process that has the same open
 * file.
 *
 * @param fd The descriptor.
 * @throws {LibcError} `EBADF` when it is not open.
 */
export function setBlocking(fd: number): void {
  const flags = checked("fcntl(F_GETFL)", libc.fcntl(fd, F_GETFL, 0));
  checked("fcntl(F_SETFL)", libc.fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
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
 * Gives an open file to a user and a group.
 *
 * @param fd The file; also a pipe, both ends of it.
 * @param owner Whose it will be.
 * @throws {LibcError} `EPERM` when this process may not.
 */
export function fchown(
  fd: number,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): void {
  checked("fchown", libc.fchown(fd, uid, gid));
}
