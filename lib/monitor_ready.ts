/**
 * What a monitor does between a daemon's exec and its being ready.
 *
 * @module
 */
import { Signal } from "../ffi/signal.ts";
import { bootTime, setTimerfd } from "../ffi/wait.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import { signalDaemon, signalOthers } from "./kill_mode.ts";
import { DEFAULT_STOP_TIMEOUT_MS } from "./monitor_clearing.ts";
import { startGivenUp } from "./monitor_ends.ts";
import type { MonitorState } from "./monitor_state.ts";
import {
  awaitReadiness,
  describeReadiness,
  stopAwaiting,
} from "./readiness.ts";
import { signalName } from "./signal_name.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

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
 * @param limit How long it has otherwise, in milliseconds, if there is a limit.
 * @param isMore Whether that may be more than it had until now.
 */
export function isToEnd(
  state: MonitorState,
  limit?: number,
  isMore = false,
): void {
  stopAwaiting(state);
  const isNotReady = state.phase === "notReady";
  const patience = isNotReady
    ? state.stopTimeout ?? DEFAULT_STOP_TIMEOUT_MS
    : limit;
  if (patience === undefined) return;
  // Telling it once more gives it no more time, unless somebody says so.
  const { deadline, phase } = state;
  const isLonger = isMore && deadline !== undefined && phase !== "hung" &&
    deadline < bootTime() + patience;
  if (isNotReady || deadline === undefined || isLonger) {
    setDeadline(state, patience);
  }
}

/**
 * Tells the daemon to end, and all that it is made of.
 *
 * @param state What the monitor knows.
 * @param signal By which signal.
 */
export function tellToEnd(state: MonitorState, signal: number): void {
  state.told = signal;
  signalDaemon(state, signal);
}

/**
 * The terminal has told the daemon to end, and all in its process group: so are
 * the others that it is made of.
 *
 * @param state What the monitor knows.
 * @param signal By which signal.
 */
export function tellOthersToEnd(state: MonitorState, signal: number): void {
  state.told = signal;
  signalOthers(state, signal);
}

/**
 * The daemon was not ready in time: it is told to end.
 *
 * @param state What the monitor knows.
 */
export function notInTime(state: MonitorState): void {
  stopAwaiting(state);
  state.phase = "timedOut";
  setDeadline(state, state.stopTimeout ?? DEFAULT_STOP_TIMEOUT_MS);
  tellToEnd(state, state.stopSignal ?? Signal.SIGTERM);
}

/**
 * A daemon that was told to end has not done so.
 *
 * @param state What the monitor knows.
 */
export function killDaemon(state: MonitorState): void {
  const told = signalName(state.told ?? Signal.SIGTERM);
  vlog.warn(`pid ${state.daemonPid} does not end by ${told}, killing it`);
  killNow(state);
}

/**
 * Kills the daemon, and all that it is made of.
 *
 * @param state What the monitor knows.
 */
export function killNow(state: MonitorState): void {
  state.deadline = undefined;
  tellToEnd(state, Signal.SIGKILL);
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
