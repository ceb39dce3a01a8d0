/**
 * How a monitor hears: signals, what its daemon says, and ends.
 *
 * @module
 */
import { endedChild, waitpid } from "../ffi/child.ts";
import { readSignalfd, Signal } from "../ffi/signal.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import { hearOfTrouble } from "./logger_trouble.ts";
import { loggerEnded } from "./loggers.ts";
import { clears } from "./monitor_clearing.ts";
import type { MonitorState } from "./monitor_state.ts";
import { becameReady, dispatch } from "./monitor_table.ts";
import { readMessages, type Said } from "./notify_socket.ts";
import { awaitReadiness, isReady, speaksItself } from "./readiness.ts";
import { REQUEST_SIGNALS, requestOf, TROUBLE_SIGNAL } from "./request.ts";
import { readStartup } from "./startup.ts";
import { HUNG, isWatched, startInterval } from "./watchdog.ts";

/**
 * Handles all signals that are there, and what is asked for by them.
 *
 * @param state What the monitor knows.
 */
export function handleSignals(state: MonitorState): void {
  for (;;) {
    const received = readSignalfd(state.signalFd);
    if (received === undefined) return;
    const request = requestOf(received);
    if (request !== undefined) {
      dispatch(state, request);
      continue;
    }
    if (received.signal === TROUBLE_SIGNAL) {
      hearOfTrouble(state, received.value);
    }
    const isOurs = received.signal === Signal.SIGCHLD ||
      REQUEST_SIGNALS.includes(received.signal);
    if (!isOurs) dispatch(state, { kind: "signal", received });
  }
}

/**
 * Hears what the daemon says of its start-up, or that it says no more.
 *
 * @param state What the monitor knows.
 */
export function hearOfStartup(state: MonitorState): void {
  const { daemonPid, startupFd, daemonIsFork } = state;
  const startup = readStartup(daemonPid, startupFd, daemonIsFork);
  state.startupFd = -1;
  dispatch(state, startup);
}

/**
 * Hears what the daemon says of itself.
 *
 * @param state What the monitor knows.
 * @returns What that was.
 */
export function hearMessages(state: MonitorState): Said {
  const said = readMessages(state);
  const { ready, works, hangs } = said;
  if (ready && state.phase === "notReady" && state.ready?.how === "notify") {
    dispatch(state, { kind: "ready" });
  }
  if (works && isWatched(state)) startInterval(state);
  const isTold = state.phase === "running" || state.phase === "notReady";
  if (hangs && isTold && state.watchdog !== undefined) {
    dispatch(state, { kind: "hung", why: HUNG.bySelf });
  }
  return said;
}

/**
 * Looks whether the daemon is ready.
 *
 * @param state What the monitor knows.
 */
export function hearOfReadiness(state: MonitorState): void {
  if (isReady(state) && state.phase === "notReady") {
    dispatch(state, { kind: "ready" });
  }
}

/**
 * Waits for every child that has ended: a monitor may inherit some.
 *
 * @param state What the monitor knows.
 */
export function reapChildren(state: MonitorState): void {
  let status = unheard;
  try {
    for (;;) {
      const pid = endedChild();
      if (pid === "running" || pid === "none") break;
      const isDaemon = pid === state.daemonPid && hasDaemon(state) &&
        status === undefined;
      if (isDaemon && state.startupFd !== -1) {
        // Only now: it may have been ready since we looked. And its pipe need not
        // end with it, when it has started a command that has it too.
        hearOfStartup(state);
        continue;
      }
      if (isDaemon && state.phase === "notReady" && speaksItself(state)) {
        hearMessages(state);
        hearOfReadiness(state);
      }
      // Before its number may be another's.
      state.helpers = state.helpers.filter((helper) => helper !== pid);
      const end = waitpid(pid);
      if (isDaemon) status = end;
      else loggerEnded(state, pid, end);
    }
  } finally {
    // When all others are waited for that have ended with it. Whatever else has
    // failed: nobody hears of this end again.
    unheard = status;
    if (status !== undefined && !clears(state, status)) {
      dispatch(state, { kind: "ended", status });
    }
    unheard = undefined;
  }
}

/**
 * Does what an error has kept from being done, and what no event asks for again:
 * to tell the caller that the daemon is ready, to wait for its readiness, and to
 * act on ends. The signal of one may have been taken, and a daemon that was
 * waited for be acted on halfway.
 *
 * @param state What the monitor knows.
 */
export function hearAgain(state: MonitorState): void {
  if (state.phase === "running" && state.notifyFd !== -1) becameReady(state);
  if (state.phase === "notReady") awaitReadiness(state);
  if (!hasDaemon(state)) unheard = undefined;
  reapChildren(state);
}

/** An end that was waited for, while it is acted on. */
let unheard: WaitStatus | undefined;

/** Whether there is one that was not waited for. */
function hasDaemon({ phase }: MonitorState): boolean {
  return phase !== "backingOff" && phase !== "clearing";
}
