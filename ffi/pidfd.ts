/**
 * Processes by descriptor: one that has ended is never taken for another that
 * has its number by now.
 *
 * @module
 */
import { bind, checked } from "./libc.ts";
import { SI_QUEUE } from "./signal.ts";

const open = bind({
  syscall: {
    parameters: ["i64", /* long number */ "i32", /* pid_t */ "u32"],
    result: "i64",
  },
});

const send = bind({
  syscall: {
    parameters: [
      "i64", // long number
      "i32", // int pidfd
      "i32", // int sig
      "buffer", // siginfo_t *
      "u32", // unsigned int flags
    ],
    result: "i64",
  },
});

/** The same numbers on every architecture, as all calls since Linux 5.0. */
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;

/** `siginfo_t` of a signal that is queued with a value. */
export const SIGINFO = { size: 128, signo: 0, code: 8, value: 24 } as const;

/**
 * Makes a descriptor of a process. It can be read once that has ended.
 *
 * @param pid The process.
 * @returns The descriptor; it is closed on exec.
 * @throws {LibcError} `ESRCH` when it has ended, `ENOSYS` before Linux 5.3.
 */
export function pidfdOpen(pid: number): number {
  return checked("pidfd_open", open.syscall(SYS_PIDFD_OPEN, pid, 0));
}

/**
 * Sends a signal.
 *
 * @param pidfd The process.
 * @param signal The signal's number; 0 only asks whether it could be sent.
 * @param value What comes with it, a whole number from 0 on: then it is queued,
 * as by `sigqueue()`.
 * @throws {LibcError} `ESRCH` when the process was waited for, `EPERM` when it
 * is another user's, `EAGAIN` when it has too many queued, `ENOSYS` before Linux
 * 5.1.
 */
export function pidfdSendSignal(
  pidfd: number,
  signal: number,
  value?: number | bigint,
): void {
  const info = value === undefined ? null : queuedInfo(signal, value);
  checked(
    "pidfd_send_signal",
    send.syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, signal, info, 0),
  );
}

/** Without a pid and a user: the kernel would take any for true. */
function queuedInfo(
  signal: number,
  value: number | bigint,
): Uint8Array<ArrayBuffer> {
  const info = new DataView(new ArrayBuffer(SIGINFO.size));
  info.setInt32(SIGINFO.signo, signal, true);
  info.setInt32(SIGINFO.code, SI_QUEUE, true);
  info.setBigUint64(SIGINFO.value, BigInt(value), true);
  return new Uint8Array(info.buffer);
}
