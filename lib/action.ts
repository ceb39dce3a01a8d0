/**
 * What is done to daemons by their names, and what comes of it.
 *
 * @module
 */
import { LibcError } from "../ffi/libc.ts";
import { lookAt } from "./daemon_look.ts";
import { type DaemonState, viewOf } from "./daemon_state.ts";
import { CANNOT_TELL, LookError } from "./look_error.ts";
import { SignalRefused } from "./proven_process.ts";
import type { Job } from "./together.ts";

/** How long processes have to end of SIGKILL, and what waits for them. */
export const KILL_GRACE_MS = 5_000;

/** What was done to a daemon. */
export type Deed =
  | "stopped"
  /** By SIGKILL, since it did not end in time. */
  | "killed"
  /** Nothing: it did not run. */
  | "none"
  | "restarted"
  | "signalled"
  /** Not it, but the files of its output. */
  | "reopened"
  /** It was waited for, and has ended. */
  | "ended"
  /** It was waited for, and is ready. */
  | "ready";

/** What came of an action. */
export interface ActionResult {
  /** What was done; `undefined` when it failed. */
  readonly done: Deed | undefined;
  /** What the daemon is now. */
  readonly state: DaemonState;
  /** The daemon that it was done to; after a restart the new one. */
  readonly pid: number | undefined;
  /** Its monitor. */
  readonly monitor: number | undefined;
  /** Why it failed. */
  readonly error: string | undefined;
  /** The exit status that says so. */
  readonly status: number;
}

/** Where an action says what happens meanwhile. */
export interface Say {
  /** Something worth knowing. */
  note(text: string): void;
  /** Something that is not as it should be. */
  warn(text: string): void;
}

/** An action could not be done. */
export class ActionFailure extends Error {
  /** The class's name. */
  override readonly name = "ActionFailure";
  /** The exit status that says so. */
  readonly status: number;

  /**
   * @param message Why, and what is not done therefore.
   * @param status The exit status that says so.
   */
  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

/** What an action has achieved. */
export type Achieved = Pick<ActionResult, "done" | "state" | "pid" | "monitor">;

/**
 * An action whose failure is a result, so that others beside it go on.
 *
 * @param pidfile The daemon's pidfile.
 * @param participle What is not done when it fails: `stopped`.
 * @param job The action.
 * @returns The job.
 */
export function* withFailures(
  pidfile: string,
  participle: string,
  job: Job<Achieved>,
): Job<ActionResult> {
  try {
    return { ...yield* job, error: undefined, status: 0 };
  } catch (error) {
    const { state, pid, monitor } = viewOf(lookAt(pidfile));
    const failed = { done: undefined, state, pid, monitor };
    if (error instanceof LookError) {
      const text = `${error.message}, not ${participle}`;
      return { ...failed, error: text, status: CANNOT_TELL };
    }
    if (error instanceof ActionFailure) {
      return { ...failed, error: error.message, status: error.status };
    }
    if (error instanceof SignalRefused) {
      const { reason } = error.cause as LibcError;
      const text = `${error.message}, not ${participle} (${reason})`;
      return { ...failed, error: text, status: 1 };
    }
    if (!(error instanceof LibcError)) throw error;
    const text = `${error.message}, not ${participle}`;
    return { ...failed, error: text, status: 1 };
  }
}

/**
 * So many milliseconds, for a message.
 *
 * @param ms Milliseconds.
 * @returns The text: `10 s`.
 */
export function seconds(ms: number): string {
  return `${ms / 1000} s`;
}
