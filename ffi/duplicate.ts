/**
 * Duplicates of descriptors.
 *
 * @module
 */
import { close } from "./descriptor.ts";
import { fstat, isSameFile } from "./file_stat.ts";
import { bind, checked, LibcError, uninterrupted } from "./libc.ts";

const libc = bind({
  dup3: { parameters: ["i32", "i32", "i32" /* int flags */], result: "i32" },
  fcntl: {
    parameters: ["i32", /* int fd */ "i32", /* int cmd */ "i32" /* int arg */],
    result: "i32",
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
});

export const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;
const STDERR = 2;
/** glibc has no function for it. */
const SYS_KCMP = Deno.build.arch === "aarch64" ? 272n : 312n;
const KCMP_FILE = 0;

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
 * Has the kernel make its table of this process's descriptors large enough for
 * a number, which costs nothing while the process has one thread. With more of
 * them it waits until every processor has let go of the old table: 5 to 20 ms.
 *
 * @param fd The number. Above the limit of open files there is no room for it.
 */
export function makeRoomFor(fd: number): void {
  const copy = libc.fcntl(STDERR, F_DUPFD_CLOEXEC, fd);
  if (copy !== -1) close(copy);
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
