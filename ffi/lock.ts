/**
 * POSIX record locks: `fcntl()` with a `struct flock`.
 *
 * A process loses its locks on a file when it closes *any* descriptor of it.
 * They are not inherited by `fork()`, and live through `execve()`; before Linux
 * 5.11 not that of a process of several threads.
 *
 * @module
 */
import { fromBytes } from "./c_string.ts";
import { readFile } from "./file.ts";
import { bind, checked, uninterrupted } from "./libc.ts";

const libc = bind({
  fcntl: {
    parameters: [
      "i32", // int fd
      "i32", // int cmd
      "buffer", // struct flock *
    ],
    result: "i32",
  },
});

const F_GETLK = 5;
export const F_SETLK = 6;
export const F_WRLCK = 1;
const F_UNLCK = 2;

/** The first Linux in which a process of several threads keeps its locks. */
const KEEPS_LOCKS = [5, 11] as const;

/** `struct flock`, the same on x86-64 and aarch64. Zeros: the whole file. */
const FLOCK = { size: 32, type: 0, pid: 24 } as const;

function wholeFile(): DataView<ArrayBuffer> {
  const flock = new DataView(new ArrayBuffer(FLOCK.size));
  flock.setInt16(FLOCK.type, F_WRLCK, true);
  return flock;
}

/**
 * Takes the write lock of a whole file, without waiting.
 *
 * @param fd The file, open for writing.
 * @throws {LibcError} `EAGAIN` or `EACCES` when another process has a lock.
 */
export function fcntlSetlk(fd: number): void {
  const flock = new Uint8Array(wholeFile().buffer);
  uninterrupted("fcntl(F_SETLK)", () => libc.fcntl(fd, F_SETLK, flock));
}

/**
 * Asks which process stops us from write-locking a file.
 *
 * The caller's own lock never shows, so a holder cannot look for itself here.
 *
 * @param fd The file, open for reading.
 * @returns The holder's pid, or `undefined` when nobody holds a lock. It is 0
 * for a process in a PID namespace that this one cannot see, and negative for
 * one on another host or for a lock that belongs to no process.
 * @throws {LibcError} `EBADF` when `fd` is not open.
 */
export function fcntlGetlk(fd: number): number | undefined {
  const flock = wholeFile();
  checked(
    "fcntl(F_GETLK)",
    libc.fcntl(fd, F_GETLK, new Uint8Array(flock.buffer)),
  );
  return flock.getInt16(FLOCK.type, true) === F_UNLCK
    ? undefined
    : flock.getInt32(FLOCK.pid, true);
}

/**
 * Asks whether a process of several threads keeps its locks when it executes
 * another program. Before Linux 5.11 it gets another table of descriptors then,
 * and the locks belong to the old one.
 *
 * @param release The kernel's release: `6.18.4-amd64`.
 * @returns Whether it does.
 */
export function threadsKeepLocks(
  release: string = fromBytes(readFile("/proc/sys/kernel/osrelease")),
): boolean {
  const [major = 0, minor = 0] = release.split(".").map((part) =>
    Number.parseInt(part)
  );
  const [first, second] = KEEPS_LOCKS;
  return major > first || (major === first && minor >= second);
}
