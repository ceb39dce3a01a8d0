/**
 * This process and its session, and signals to others.
 *
 * @module
 */
import { statFile } from "./file_stat.ts";
import { bind, checked, Errno, errno, LibcError } from "./libc.ts";

const libc = bind({
  getpid: { parameters: [], result: "i32" }, // pid_t
  getppid: { parameters: [], result: "i32" }, // pid_t
  setsid: { parameters: [], result: "i32" }, // pid_t
  getsid: { parameters: ["i32" /* pid_t */], result: "i32" }, // pid_t
  kill: { parameters: ["i32", /* pid_t */ "i32" /* int sig */], result: "i32" },
  sigqueue: {
    parameters: [
      "i32", // pid_t pid
      "i32", // int sig
      "u64", // const union sigval value
    ],
    result: "i32",
  },
  syscall: { parameters: ["i64" /* long number */], result: "i64" },
  _exit: { parameters: ["i32" /* int status */], result: "void" },
  unshare: { parameters: ["i32" /* int flags */], result: "i32" },
});

const CLONE_THREAD = 0x10000;
/** glibc has a function for it from 2.30 on. */
const SYS_GETTID = Deno.build.arch === "aarch64" ? 178n : 186n;

/**
 * The pid of this process. `Deno.pid` is remembered across `fork()`.
 *
 * @returns The pid.
 */
export function getpid(): number {
  return libc.getpid();
}

/**
 * The pid of the parent of this process.
 *
 * @returns The pid, 0 when the parent is in another PID namespace.
 */
export function getppid(): number {
  return libc.getppid();
}

/**
 * Whether this is the first thread of its process.
 *
 * @returns Whether it is.
 */
export function isMainThread(): boolean {
  return libc.syscall(SYS_GETTID) === BigInt(libc.getpid());
}

/**
 * How many threads this process has.
 *
 * @returns The number; 2 stands for "several" where `/proc` is not mounted.
 * @throws {LibcError} When neither `/proc` nor `unshare()` tells.
 */
export function threadCount(): number {
  try {
    // A directory's link count is 2 and its subdirectories, one a thread.
    return statFile("/proc/self/task").nlink - 2;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
  }
  // Changes nothing in a process of one thread, and is refused to others.
  if (libc.unshare(CLONE_THREAD) === 0) return 1;
  if (errno() === Errno.EINVAL) return 2;
  throw new LibcError("unshare(CLONE_THREAD)", errno());
}

/**
 * Begins a session, with this process as its leader and no terminal.
 *
 * @returns The session's id.
 * @throws {LibcError} `EPERM` when this process leads a process group.
 */
export function setsid(): number {
  return checked("setsid", libc.setsid());
}

/**
 * Asks whether this process leads its session.
 *
 * @returns Whether it does.
 */
export function leadsSession(): boolean {
  return libc.getsid(0) === libc.getpid();
}

/**
 * Sends a signal.
 *
 * @param pid A process; a process group when negative.
 * @param signal The signal's number; 0 only asks whether it could be sent.
 * @throws {LibcError} `ESRCH`, `EPERM`.
 */
export function kill(pid: number, signal: number): void {
  checked("kill", libc.kill(pid, signal));
}

/**
 * Sends a signal with a value.
 *
 * @param pid A process.
 * @param signal The signal's number. One below 32 that is pending is not sent
 * once more: it keeps the value that it has.
 * @param value The value.
 * @throws {LibcError} `ESRCH`, `EPERM`, `EAGAIN`.
 */
export function sigqueue(pid: number, signal: number, value: bigint): void {
  checked("sigqueue", libc.sigqueue(pid, signal, value));
}

/**
 * Ends this process at once: no hook, no listener and nothing of Deno's runs.
 *
 * @param status The exit status, 0 to 255.
 * @returns Never.
 */
export function exitNow(status: number): never {
  libc._exit(status);
  throw new Error("unreachable: _exit returned");
}
