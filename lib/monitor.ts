/**
 * Looking after a daemon: waiting for its end, starting it again. Port of
 * `monitor_daemon()` in daemon-unix.c.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { getpid } from "../ffi/process.ts";
import { Signal } from "../ffi/signal.ts";
import { becomeSubreaper } from "../ffi/subreaper.ts";
import { bootTime, waitReadable } from "../ffi/wait.ts";
import { runCrashHook } from "./crash_hook.ts";
import { collectGarbage } from "./garbage.ts";
import { reviveLoggers } from "./loggers.ts";
import { placeInStderr } from "./last_words.ts";
import { mayBeLeft } from "./kill_mode.ts";
import { endOfClearing, waitWhileClearing } from "./monitor_clearing.ts";
import { crashed } from "./monitor_ends.ts";
import { keepMonitorFile, publish } from "./monitor_hold.ts";
import type { MonitorState } from "./monitor_state.ts";
import { abandonStart, dispatch, goOn } from "./monitor_table.ts";
import { showTitle } from "./monitor_title.ts";
import { setSubprogramName } from "./program_name.ts";
import { Quiet } from "./quiet.ts";
import { isCrash } from "./restart.ts";
import type { SelfImage } from "./self_image.ts";
import { fallAsleep, maySleep } from "./sleep.ts";
import { Starter } from "./starter.ts";
import { tellServiceManager } from "./service_manager.ts";
import { noteLimits } from "./waking_proof.ts";
import { HUNG, isOverdue, isWatched } from "./watchdog.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import {
  handleSignals,
  hearAgain,
  hearMessages,
  hearOfReadiness,
  hearOfStartup,
  reapChildren,
} from "./monitor_hearing.ts";
import { type MonitoredDaemon, startDaemon } from "./monitor_start.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** A monitor that stays awake so long gets ready for a crash. */
const PREPARE_AFTER_MS = 1_000;

/** When to go on after an error that nobody has thought of. */
const GO_ON_MS = 1_000;

/**
 * Forks the daemon and looks after it. Returns in the daemon alone, once for
 * each that is forked; the monitor's process ends in here. Port of
 * `monitor_daemon()`.
 *
 * @param state What the monitor knows.
 * @param image The program to start again for a daemon; without it the monitor
 * forks in place.
 * @returns In the daemon: what it is to know.
 */
export function monitorDaemon(
  state: MonitorState,
  image: SelfImage | undefined,
): MonitoredDaemon {
  noteLimits();
  if (state.policy !== "no") setSubprogramName("monitor");
  if (state.killMode === "tree") becomeSubreaper();
  const starter = new Starter(state, image);
  const monitor = getpid();
  const quiet = new Quiet();
  let failures = 0;
  for (;;) {
    try {
      if (failures > 0) hearAgain(state);
      const daemon = takeTurn(state, starter, quiet);
      if (daemon !== undefined) return daemon;
      failures = 0;
    } catch (error) {
      // Nobody is to be looked after yet, or this is the daemon's own process.
      if (state.daemonPid === 0 || getpid() !== monitor) throw error;
      if (!(error instanceof Error)) throw error;
      // Whatever it is: the daemon must not be left without its monitor.
      vlog.err(`${error.message}, going on in a second`);
      // Turns that fail, one after the other, do not come to the deadline.
      if (++failures > 1) tryDeadline(state);
      waitReadable([], GO_ON_MS);
    }
  }
}

/** Starts a daemon if one is due, and waits for what comes next. */
function takeTurn(
  state: MonitorState,
  starter: Starter,
  quiet: Quiet,
): MonitoredDaemon | undefined {
  if (isDaemonDue(state)) {
    const daemon = startDaemon(state, starter);
    if (daemon !== undefined) return daemon;
    keepMonitorFile(state);
  }
  showTitle(state);
  // Now: the next daemon has not waited for it, nor for what follows.
  const loggerDue = reviveLoggers(state);
  publish(state);
  const managerDue = tellServiceManager(state);
  runCrashHook(state);
  collectGarbage();
  const due = [loggerDue, managerDue].filter((ms) => ms !== undefined);
  const turnDue = due.length > 0 ? Math.min(...due) : undefined;
  waitForEvents(state, starter, quiet, turnDue);
  return undefined;
}

function isDaemonDue({ phase, daemonPid, deadline }: MonitorState): boolean {
  return daemonPid === 0 || (phase === "backingOff" && deadline === undefined);
}

/**
 * The one place where a monitor waits, awake and asleep: it returns when
 * something has come, falls asleep here when nothing has, and is woken by the
 * same descriptors, to come here anew. What has come is handled in this order:
 *
 * 1. Signals, and what is asked for by them. Whoever sends SIGTERM and sees the
 *    daemon die of it, or kills it next, must not get a new one; so the wish is
 *    noted before the end is seen.
 * 2. Start-up. A daemon that was ready and has died since was ready first.
 *    So it is with what the daemon says of itself.
 * 3. Ends. SIGCHLD was taken out in step 1, and a child that ends after that
 *    sends it anew: none is overlooked.
 * 4. The deadline, and that of a daemon that has to say that it works: of one
 *    that has said so, or has ended, it is over no more.
 * 5. What a daemon that has ended has left. Only when nothing of that is there any
 *    more, its end is gone on with.
 *
 * @param turnDue In how many milliseconds another turn is due, whatever comes, if
 * one is.
 */
function waitForEvents(
  state: MonitorState,
  starter: Starter,
  quiet: Quiet,
  turnDue: number | undefined,
): void {
  const { signalFd, startupFd, deadline, sleepAfter } = state;
  // While it is for nothing the timer may be one that has run out.
  const deadlineFd = deadline === undefined && state.showAgain === undefined
    ? -1
    : state.deadlineFd;
  // Of a daemon that is not its command yet, nothing is asked.
  const readinessFd = startupFd === -1 ? state.readinessFd : -1;
  const messagesFd = startupFd === -1 ? state.messagesFd : -1;
  const watchdogFd = isWatched(state) ? state.watchdogFd : -1;
  const { notifyFd } = state;
  const watched = [
    signalFd,
    startupFd,
    deadlineFd,
    notifyFd,
    readinessFd,
    messagesFd,
    watchdogFd,
  ].filter((fd) => fd !== -1);
  const patience = sleepAfter !== undefined && maySleep(state, watched)
    ? quiet.needed(sleepAfter)
    : -1;
  let ready: number[] | undefined;
  if (state.phase === "clearing") {
    ready = waitWhileClearing(state, watched, turnDue);
  } else if (turnDue !== undefined) {
    ready = waitReadable(watched, turnDue) ?? [];
  } else if (
    state.notifyFd === -1 && state.phase === "running" && !starter.isPrepared &&
    (patience === -1 || patience > PREPARE_AFTER_MS)
  ) {
    ready = waitReadable(watched, quiet.left(PREPARE_AFTER_MS));
    if (ready === undefined) prepareForCrash(state, starter);
  }
  ready ??= waitReadable(watched, quiet.left(patience));
  if (ready === undefined) {
    quiet.beginAnew();
    return fallAsleep(state, watched);
  }
  const wasReady = state.phase === "running";
  handleSignals(state);
  if (state.notifyFd !== -1 && ready.includes(state.notifyFd)) {
    close(state.notifyFd);
    abandonStart(state);
  }
  if (ready.includes(startupFd)) hearOfStartup(state);
  const hasMessages = ready.includes(messagesFd);
  const said = hasMessages ? hearMessages(state) : undefined;
  const isAlone = wasReady && ready.every((fd) => fd === messagesFd);
  if (!isAlone) quiet.note("other");
  else if (said?.more) quiet.note("said");
  else if (said?.works) quiet.note("ping");
  if (ready.includes(readinessFd)) hearOfReadiness(state);
  reapChildren(state);
  if (ready.includes(deadlineFd)) deadlineIfDue(state, deadline);
  // While there are messages left, one may be that it works.
  if (ready.includes(watchdogFd) && !said?.isCut && isOverdue(state)) {
    dispatch(state, { kind: "hung", why: HUNG.silent(state) });
  }
  const cleared = endOfClearing(state);
  if (cleared !== undefined) goOn(state, cleared);
}

function tryDeadline(state: MonitorState): void {
  try {
    deadlineIfDue(state, state.deadline);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    vlog.err(error.message);
  }
}

/**
 * Unless it was another's that has become pointless since we looked, or only the
 * monitor's file is to be written again: each turn does that.
 */
function deadlineIfDue(
  state: MonitorState,
  deadline: number | undefined,
): void {
  if (
    deadline !== undefined && state.deadline === deadline &&
    bootTime() >= deadline
  ) {
    dispatch(state, { kind: "deadline" });
  }
}

/**
 * Does ahead what a crash would take its time for, now that there is time.
 * JavaScript is compiled, and libc looked up, when it is first used: so the
 * crash is rehearsed, by a monitor that is a copy.
 */
function prepareForCrash(state: MonitorState, starter: Starter): void {
  starter.prepare(state);
  const status = { kind: "signaled", signal: Signal.SIGSEGV } as const;
  const throttle = { ...state.throttle, limit: undefined };
  const copy: MonitorState = {
    ...state,
    lastRestart: undefined,
    hangup: undefined,
    throttle,
    readinessFd: -1,
    messagesFd: -1,
  };
  if (isCrash(copy.policy, { ...status, coreDumped: true })) {
    mayBeLeft(copy);
    crashed(copy, { ...status, coreDumped: true });
    isDaemonDue(copy);
    placeInStderr(copy);
  }
}
