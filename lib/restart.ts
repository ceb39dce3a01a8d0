/**
 * Which ends of a daemon are followed by another, and what that one is spared.
 * Port of `should_restart()` in daemon-unix.c.
 *
 * @module
 */
import { LibcError } from "../ffi/libc.ts";
import { getrlimit, RLIMIT_CORE, setrlimit } from "../ffi/limit.ts";
import { Signal } from "../ffi/signal.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import type { MonitorState, RestartPolicy } from "./monitor_state.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** The signals by which an end is a crash. */
export const ERROR_SIGNALS: readonly number[] = [
  Signal.SIGABRT,
  Signal.SIGALRM,
  Signal.SIGBUS,
  Signal.SIGFPE,
  Signal.SIGILL,
  Signal.SIGPIPE,
  Signal.SIGSEGV,
  Signal.SIGXCPU,
  Signal.SIGXFSZ,
];

/**
 * Whether an end of a daemon is a crash, to be followed by a restart. Port of
 * `should_restart()`.
 *
 * @param status How it ended.
 * @returns Whether one of the error signals killed it.
 */
export function shouldRestart(status: WaitStatus): boolean {
  return status.kind === "signaled" && ERROR_SIGNALS.includes(status.signal);
}

/**
 * The exit status of a Deno program that an uncaught error has ended: a crash,
 * as SIGSEGV is one in C. Open vSwitch's daemons in Python have the same.
 */
export const RESTART_EXIT_CODE = 5;

/**
 * Whether an end of a daemon is a crash, as a policy has it.
 *
 * @param policy The policy.
 * @param status How the daemon ended.
 * @returns Whether it is to be restarted.
 */
export function isCrash(policy: RestartPolicy, status: WaitStatus): boolean {
  switch (policy) {
    case "no":
      return false;
    case "on-error-signal":
      return shouldRestart(status);
    case "on-crash":
      return shouldRestart(status) ||
        (status.kind === "exited" && status.code === RESTART_EXIT_CODE);
    case "on-failure":
      return status.kind === "signaled" ||
        (status.kind === "exited" && status.code !== 0);
    case "always":
      return true;
  }
}

/**
 * Whether a daemon's end is that of all, whatever the policy: in the foreground
 * it ends as its terminal does, or as the job that it is. A shell that loses its
 * terminal tells its jobs itself, and only when it has ended the kernel does.
 *
 * @param hangup What has been heard of that.
 * @param status How the daemon ended.
 * @returns Whether no other is to follow.
 */
export function hasHungUp(
  hangup: MonitorState["hangup"],
  status: WaitStatus,
): boolean {
  return hangup === "terminal" ||
    (hangup === "told" && status.kind === "signaled" &&
      status.signal === Signal.SIGHUP);
}

/**
 * Forbids this process core dumps, to save disk space. The soft limit alone: a
 * daemon may want its dumps back.
 */
export function disableCoreDumps(): void {
  try {
    const { hard } = getrlimit(RLIMIT_CORE);
    setrlimit(RLIMIT_CORE, { soft: 0n, hard });
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.warn(`failed to disable core dumps: ${error.reason}`);
  }
}
