/**
 * What a monitor does between a daemon's exec and its being ready.
 *
 * @module
 */
import { Signal } from "../ffi/signal.ts";
import { bootTime, setTimerfd } from "../ffi/wait.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import { startGivenUp } from "./monitor_ends.ts";
import type { MonitorState } from "./monitor_state.ts";
import { passOn } from "./pass_on.ts";
import {
  awaitReadiness,
  describeReadiness,
  stopAwaiting,
} from "./readiness.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** So long a daemon has to end that was not ready in time. */
const KILL_AFTER_MS = 10_000;

/**
 * The daemon is its command, and is to show that it is ready.
 *
 * @param state What the monitor knows.
 */
export function notReadyYet(state: MonitorState): void {
  state.phase = "notReady";
  setDeadline(state, state.ready?.timeout ?? 0);
  awaitReadiness(state);
}

/**
 * Nobody waits for the daemon to be ready any more: it is.
 *
 * @param state What the monitor knows.
 */
export function noLongerAwaited(state: MonitorState): void {
  stopAwaiting(state);
  if (state.phase === "notReady") state.deadline = undefined;
}

/**
 * The daemon is to end. One that is not ready has somebody wait for it, whom it
 * must not hold up for ever: it is killed if it does not end.
 *
 * @param state What the monitor knows.
 */
export function isToEnd(state: MonitorState): void {
  stopAwaiting(state);
  if (state.phase === "notReady") setDeadline(state, KILL_AFTER_MS);
}

/**
 * The daemon was not ready in time: it is told to end.
 *
 * @param state What the monitor knows.
 */
export function notInTime(state: MonitorState): void {
  stopAwaiting(state);
  state.phase = "timedOut";
  setDeadline(state, KILL_AFTER_MS);
  passOn(Signal.SIGTERM, state.daemonPid);
}

/**
 * A daemon that was told to end has not done so.
 *
 * @param state What the monitor knows.
 */
export function killDaemon(state: MonitorState): void {
  state.deadline = undefined;
  vlog.warn(`pid ${state.daemonPid} does not end by SIGTERM, killing it`);
  passOn(Signal.SIGKILL, state.daemonPid);
}

/**
 * A daemon has ended that was not ready in time.
 *
 * @param state What the monitor knows.
 * @param event How it ended.
 */
export function timedOutAndEnded(
  state: MonitorState,
  { status }: { status: WaitStatus },
): void {
  const { ready } = state;
  if (ready === undefined) throw new Error("monitor: nothing was waited for");
  const text = `not ready within ${ready.timeout / 1000} s (waiting for ${
    describeReadiness(ready)
  }), stopped`;
  startGivenUp(state, status, text);
}

function setDeadline(state: MonitorState, milliseconds: number): void {
  state.deadline = bootTime() + milliseconds;
  setTimerfd(state.deadlineFd, state.deadline);
}
