/**
 * Children: waiting for them, and asking what has become of one.
 *
 * @module
 */
import { bind, Errno, errno, LibcError, uninterrupted } from "./libc.ts";
import { procStat } from "./proc.ts";
import { decodeWaitStatus, type WaitStatus } from "./wait_status.ts";

const libc = bind({
  getpid: { parameters: [], result: "i32" }, // pid_t
  waitpid: {
    parameters: [
      "i32", // pid_t pid
      "buffer", // int *wstatus
      "i32", // int options
    ],
    result: "i32",
  },
  waitid: {
    parameters: [
      "i32", // idtype_t
      "u32", // id_t
      "buffer", // siginfo_t *
      "i32", // int options
    ],
    result: "i32",
  },
});

export const WNOHANG = 1;
export const WEXITED = 4;
export const WNOWAIT = 0x1000000;
const CLD_EXITED = 1;
const P_ALL = 0;
export const P_PID = 1;
/** `siginfo_t` as `waitid()` fills it in. */
export const SIGINFO = { size: 128, code: 8, pid: 16, status: 24 } as const;
/** `PF_FORKNOEXEC`, a bit of the ninth field of `/proc/PID/stat`. */
const PF_FORKNOEXEC = 0x40;

/**
 * Waits until a child ends.
 *
 * @param pid The child.
 * @returns How it ended.
 * @throws {LibcError} `ECHILD` when there is no such child.
 */
export function waitpid(pid: number): WaitStatus {
  const status = new Int32Array(1);
  uninterrupted(
    "waitpid",
    () => libc.waitpid(pid, new Uint8Array(status.buffer), 0),
  );
  return decodeWaitStatus(status[0]!);
}

/**
 * Waits until a child ends, and leaves it to be waited for: until then its pid,
 * and the id of its process group, are nobody else's.
 *
 * @param pid The child.
 * @returns Whether a signal ended it.
 * @throws {LibcError} `ECHILD` when there is no such child.
 */
export function waitKilled(pid: number): boolean {
  const info = new DataView(new ArrayBuffer(SIGINFO.size));
  const bytes = new Uint8Array(info.buffer);
  const options = WEXITED | WNOWAIT;
  uninterrupted("waitid", () => libc.waitid(P_PID, pid, bytes, options));
  return info.getInt32(SIGINFO.code, true) !== CLD_EXITED;
}

/**
 * Asks for any child that has ended, and leaves it to be waited for.
 *
 * @returns The child; `running` when none has ended, `none` when there is none.
 */
export function endedChild(): number | "running" | "none" {
  const pid = peek(P_ALL, 0);
  if (pid === -1) return "none";
  return pid === 0 ? "running" : pid;
}

/**
 * Asks whether a process is a child that has not been waited for. `/proc` may
 * not tell: of another user's process, as a setuid program is one, or of one
 * that is not dumpable, where it is mounted with `hidepid`.
 *
 * @param pid The process.
 * @returns Whether it is.
 * @throws {LibcError} Does not happen on Linux.
 */
export function isChild(pid: number): boolean {
  if (peekAt(pid) !== undefined) return true;
  const why = errno();
  if (why === Errno.ECHILD || why === Errno.EINVAL) return false;
  throw new LibcError("waitid", why);
}

/**
 * Asks whether a child has ended, and leaves it to be waited for.
 *
 * @param pid The child.
 * @returns Whether it has.
 */
export function hasEnded(pid: number): boolean {
  return peekAt(pid) === "ended";
}

/**
 * Asks whether a child has become another program since it was forked.
 *
 * The kernel clears the flag before it closes what is to be closed on exec, so
 * whoever has seen such a pipe's end gets a true answer. It is true of a child
 * that has ended and was not waited for, too.
 *
 * @param pid The child.
 * @returns Whether it has; where `/proc` does not tell, whether it is alive.
 */
export function hasExeced(pid: number): boolean {
  const fields = procStat(pid);
  // Another PID namespace's has another process under that number.
  if (fields !== undefined && Number(fields[1]) === libc.getpid()) {
    return (Number(fields[6]) & PF_FORKNOEXEC) === 0;
  }
  return !hasEnded(pid);
}

/** Whether a child has ended, which is left to be waited for. */
function peekAt(pid: number): "running" | "ended" | undefined {
  const ended = peek(P_PID, pid);
  return ended === 0 ? "running" : ended === -1 ? undefined : "ended";
}

/** A child that has ended: 0 when none has, -1 when there is none. */
function peek(idType: number, pid: number): number {
  const info = new DataView(new ArrayBuffer(SIGINFO.size));
  const options = WEXITED | WNOHANG | WNOWAIT;
  const bytes = new Uint8Array(info.buffer);
  if (libc.waitid(idType, pid, bytes, options) === -1) return -1;
  return info.getInt32(SIGINFO.pid, true);
}
