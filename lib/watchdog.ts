/**
 * A daemon that has to say again and again that it works: `WATCHDOG=1` of
 * systemd's `sd_notify()`. One that does not is hung, and is killed.
 *
 * @module
 */
import { Signal } from "../ffi/signal.ts";
import {
  bootTime,
  overdueBy,
  setTimerfd,
  setTimerInterval,
} from "../ffi/wait.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import { crashed, ended, startGivenUp } from "./monitor_ends.ts";
import { killNow } from "./monitor_ready.ts";
import type { MonitorState } from "./monitor_state.ts";
import { passOn } from "./pass_on.ts";
import { processStatusMsg } from "./process_status.ts";
import { stopAwaiting } from "./readiness.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** So long a hung daemon has to end, and to dump core. */
const KILL_AFTER_MS = 10_000;

/**
 * Whoever hears of the end of an interval so late was held up itself, and the
 * daemon perhaps with it: a container was paused, or the machine overloaded.
 */
const HELD_UP_MS = 1_000;

/** Why a daemon counts as hung. */
export const HUNG = {
  /** It says so. */
  bySelf: "hung (WATCHDOG=trigger)",
  /** It says nothing. */
  silent: ({ watchdogInterval }: MonitorState): string =>
    `hung (no WATCHDOG=1 within ${watchdogInterval / 1000} s)`,
} as const;

/**
 * Whether the daemon has to say now that it works.
 *
 * @param state What the monitor knows.
 * @returns Whether it has to.
 */
export function isWatched({ phase, watchdogFd }: MonitorState): boolean {
  return watchdogFd !== -1 && phase === "running";
}

/**
 * The daemon is ready: from now on it has to say that it works.
 *
 * @param state What the monitor knows.
 */
export function watch(state: MonitorState): void {
  if (isWatched(state)) startInterval(state);
}

/**
 * The daemon works: the time for it to say so again begins.
 *
 * @param state What the monitor knows.
 */
export function startInterval(state: MonitorState): void {
  setTimerInterval(state.watchdogFd, state.watchdogInterval);
}

/**
 * Whether the daemon should have said by now that it works. It is asked when all
 * is read that it has said.
 *
 * @param state What the monitor knows.
 * @returns Whether it should.
 */
export function isOverdue(state: MonitorState): boolean {
  if (!isWatched(state)) return false;
  const late = overdueBy(state.watchdogFd);
  if (late === undefined) return false;
  if (late < HELD_UP_MS) return true;
  startInterval(state);
  return false;
}

/**
 * The daemon is hung: it is to end, and to leave a core dump that tells why.
 *
 * @param state What the monitor knows.
 * @param event Why it counts as hung.
 */
export function abortDaemon(
  state: MonitorState,
  { why }: { why: string },
): void {
  stopAwaiting(state);
  state.phase = "hung";
  state.hungMsg = why;
  state.deadline = bootTime() + KILL_AFTER_MS;
  setTimerfd(state.deadlineFd, state.deadline);
  vlog.warn(`pid ${state.daemonPid} ${why}, ending it by SIGABRT`);
  passOn(Signal.SIGABRT, state.daemonPid);
}

/**
 * It has not ended by that.
 *
 * @param state What the monitor knows.
 */
export function killHungDaemon(state: MonitorState): void {
  vlog.warn(`pid ${state.daemonPid} does not end by SIGABRT, killing it`);
  killNow(state);
}

/**
 * A hung daemon has ended: that is a crash, however it has.
 *
 * @param state What the monitor knows.
 * @param event How it ended.
 */
export function hungAndEnded(
  state: MonitorState,
  { status }: { status: WaitStatus },
): void {
  const text = `${state.hungMsg}, ${processStatusMsg(status)}`;
  if (state.readySince === undefined) {
    startGivenUp(state, status, text);
  } else if (state.policy === "no") {
    vlog.err(`pid ${state.daemonPid} ${text}`);
    ended(state, status, text);
  } else {
    crashed(state, status, text, text);
  }
}
