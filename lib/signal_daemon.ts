/**
 * Sending a signal to a daemon.
 *
 * @module
 */
import { type Achieved, ActionFailure } from "./action.ts";
import { LookError } from "./look_error.ts";
import { DaemonHold, sendSignal } from "./proven_process.ts";
import type { Job } from "./together.ts";

/**
 * Sends a signal to a daemon, and to nobody else.
 *
 * @param pidfile Its pidfile.
 * @param signal The signal's number.
 * @returns The job, which does not wait.
 */
// deno-lint-ignore require-yield
export function* signalDaemon(pidfile: string, signal: number): Job<Achieved> {
  const held = DaemonHold.take(pidfile);
  try {
    const { view, daemon, monitor } = held;
    if (daemon !== undefined) {
      sendSignal(daemon, signal);
      const { pid } = daemon;
      return {
        done: "signalled",
        state: view.state,
        pid,
        monitor: monitor?.pid,
      };
    }
    if (view.isElsewhere) {
      throw new ActionFailure("runs in another PID namespace, not signalled");
    }
    if (view.state === "unknown") throw new LookError(view.remark);
    throw new ActionFailure("not running, not signalled");
  } finally {
    held.release();
  }
}
