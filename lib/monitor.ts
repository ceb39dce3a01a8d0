/**
 * Looking after a daemon: waiting for its end, starting it again. Port of
 * `monitor_daemon()` in daemon-unix.c.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { endedChild, getpid, waitpid } from "../ffi/process.ts";
import { readSignalfd, Signal } from "../ffi/signal.ts";
import { becomeSubreaper } from "../ffi/subreaper.ts";
import { bootTime, waitReadable } from "../ffi/wait.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import { runCrashHook } from "./crash_hook.ts";
import {
  FLUSH_MS,
  flushLoggers,
  loggerEnded,
  reviveLoggers,
  startLoggers,
} from "./loggers.ts";
import { OutputError } from "./output_file.ts";
import { noteLastWords, placeInStderr } from "./last_words.ts";
import { mayBeLeft } from "./kill_mode.ts";
import {
  clears,
  endOfClearing,
  waitWhileClearing,
} from "./monitor_clearing.ts";
import { backOffUntil, crashed, noteStart } from "./monitor_ends.ts";
import { dropMonitorFile, publish } from "./monitor_hold.ts";
import type { MonitorState } from "./monitor_state.ts";
import { abandonStart, dispatch } from "./monitor_table.ts";
import { titleOf } from "./monitor_title.ts";
import { readMessages, type Said } from "./notify_socket.ts";
import { daemonizePostDetach } from "./post_detach.ts";
import { proctitleRestore, proctitleSet } from "./process_title.ts";
import { setSubprogramName } from "./program_name.ts";
import {
  closeMeans,
  isReady,
  prepareReadiness,
  type ReadyMeans,
  speaksItself,
} from "./readiness.ts";
import { Quiet } from "./quiet.ts";
import { REQUEST_SIGNALS, requestOf } from "./request.ts";
import { disableCoreDumps, isCrash } from "./restart.ts";
import type { SelfImage } from "./self_image.ts";
import { fallAsleep, maySleep } from "./sleep.ts";
import { type Start, Starter } from "./starter.ts";
import { tellServiceManager } from "./service_manager.ts";
import { readStartup } from "./startup.ts";
import { relayedStderr, wantsStderr } from "./stderr_relay.ts";
import { HUNG, isOverdue, isWatched, startInterval } from "./watchdog.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** A monitor that stays awake so long gets ready for a crash. */
const PREPARE_AFTER_MS = 1_000;
/** When to try again to make a process, where there is none to be had. */
const TRY_AGAIN_MS = 10_000;

/** When to go on after an error that nobody has thought of. */
const GO_ON_MS = 1_000;

/** What a daemon is to know of its monitor. */
export interface MonitoredDaemon {
  /** For `forkNotifyStartup()`. */
  readonly notifyFd: number;
  /** Whether there was one before it: the caller has long gone. */
  readonly isRestart: boolean;
  /** What it is given as a command. */
  readonly means: CommandMeans;
}

/** What a command is given beyond what its caller has. */
export interface CommandMeans extends ReadyMeans {
  /** What is its standard error, in place of `/dev/null`. */
  readonly stderrFd?: number;
  /** What takes its output, for each of its files; without it, they do. */
  readonly outputFds?: readonly number[];
}

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
  if (state.policy !== "no") setSubprogramName("monitor");
  if (state.killMode === "tree") becomeSubreaper();
  const starter = new Starter(state, image);
  const monitor = getpid();
  const quiet = new Quiet();
  for (;;) {
    try {
      const daemon = takeTurn(state, starter, quiet);
      if (daemon !== undefined) return daemon;
    } catch (error) {
      // Of a start the caller hears, and a daemon's own process is no monitor.
      if (!state.everReady || getpid() !== monitor) throw error;
      if (!(error instanceof Error)) throw error;
      // Whatever it is: the daemon must not be left without its monitor.
      vlog.err(`${error.message}, going on in a second`);
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
  }
  const title = titleOf(state);
  if (title !== undefined) proctitleSet(title);
  // Now: the next daemon has not waited for it, nor for what follows.
  const loggerDue = reviveLoggers(state);
  publish(state);
  tellServiceManager(state);
  runCrashHook(state);
  waitForEvents(state, starter, quiet, loggerDue);
  return undefined;
}

/** Whether there is one that was not waited for. */
function hasDaemon({ phase }: MonitorState): boolean {
  return phase !== "backingOff" && phase !== "clearing";
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
 * @param loggerDue In how many milliseconds another logger is due, if one is.
 */
function waitForEvents(
  state: MonitorState,
  starter: Starter,
  quiet: Quiet,
  loggerDue: number | undefined,
): void {
  const { signalFd, startupFd, deadline, sleepAfter } = state;
  // While there is no deadline its timer may be one that has run out.
  const deadlineFd = deadline === undefined ? -1 : state.deadlineFd;
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
    ready = waitWhileClearing(state, watched, loggerDue);
  } else if (loggerDue !== undefined) {
    ready = waitReadable(watched, loggerDue) ?? [];
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
  // Unless it was another's that has become pointless since we looked.
  if (ready.includes(deadlineFd) && state.deadline === deadline) {
    dispatch(state, { kind: "deadline" });
  }
  // While there are messages left, one may be that it works.
  if (ready.includes(watchdogFd) && !said?.isCut && isOverdue(state)) {
    dispatch(state, { kind: "hung", why: HUNG.silent(state) });
  }
  const status = endOfClearing(state);
  if (status !== undefined) dispatch(state, { kind: "ended", status });
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

function handleSignals(state: MonitorState): void {
  for (;;) {
    const received = readSignalfd(state.signalFd);
    if (received === undefined) return;
    const request = requestOf(received);
    if (request !== undefined) {
      dispatch(state, request);
      continue;
    }
    const isOurs = received.signal === Signal.SIGCHLD ||
      REQUEST_SIGNALS.includes(received.signal);
    if (!isOurs) dispatch(state, { kind: "signal", received });
  }
}

/** Hears what the daemon says of its start-up, or that it says no more. */
function hearOfStartup(state: MonitorState): void {
  const { daemonPid, startupFd, daemonIsFork } = state;
  state.startupFd = -1;
  dispatch(state, readStartup(daemonPid, startupFd, daemonIsFork));
}

/** Hears what the daemon says of itself. */
function hearMessages(state: MonitorState): Said {
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

/** Looks whether the daemon is ready. */
function hearOfReadiness(state: MonitorState): void {
  if (isReady(state) && state.phase === "notReady") {
    dispatch(state, { kind: "ready" });
  }
}

/** Waits for every child that has ended: a monitor may inherit some. */
function reapChildren(state: MonitorState): void {
  let status: WaitStatus | undefined;
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
  // When all others are waited for that have ended with it.
  if (status !== undefined && !clears(state, status)) {
    dispatch(state, { kind: "ended", status });
  }
}

/**
 * Forks the daemon.
 *
 * @returns In the daemon: what it is to know.
 */
function startDaemon(
  state: MonitorState,
  starter: Starter,
): MonitoredDaemon | undefined {
  const isAnother = state.phase === "backingOff";
  const from = state.stderrFrom;
  flushLoggers(state, FLUSH_MS);
  if (isAnother) {
    // Once more, right before the fork. A signal that comes later finds the
    // new daemon and is passed on to it.
    handleSignals(state);
    // Whoever wants a restart does not make the next crash wait.
    if (state.restartMsg === undefined) state.lastRestart = bootTime();
  }
  let start: Start;
  let means: CommandMeans = {};
  try {
    means = { ...prepareReadiness(state), ...startLoggers(state) };
    if (wantsStderr(state)) {
      const stderrFd = relayedStderr(state);
      if (stderrFd !== undefined) means = { ...means, stderrFd };
    }
    // The last one's part of its file ends where this one's begins.
    state.stderrFrom = placeInStderr(state);
    start = starter.start(state);
  } catch (error) {
    const isOurs = error instanceof LibcError || error instanceof OutputError;
    if (!isOurs) throw error;
    closeMeans(means);
    state.stderrFrom = from;
    if (!state.everReady) {
      dropMonitorFile(state);
      vlog.fatal(`could not start: ${error.message}`);
    }
    noteStart(state, { pid: 0, ready: false, status: 1, text: error.message });
    vlog.err(`${error.message}, trying again in 10 seconds`);
    backOffUntil(state, bootTime() + TRY_AGAIN_MS);
    return undefined;
  }
  if (start.kind === "child") {
    if (state.notifyFd !== -1) close(state.notifyFd);
    close(state.deadlineFd);
    if (state.monitorFd !== -1) close(state.monitorFd);
    if (state.policy !== "no") proctitleRestore();
    setSubprogramName("");
    if (state.coreDumped) disableCoreDumps();
    // One that is started anew before it was ever ready has a caller still.
    return { notifyFd: start.notifyFd, isRestart: state.everReady, means };
  }
  // First, so that whatever fails now, no other is started beside it.
  state.phase = "starting";
  state.told = undefined;
  state.daemonPid = start.pid;
  state.daemonIsFork = starter.forks;
  state.watchdogInterval = state.watchdog ?? 0;
  state.hungMsg = undefined;
  if (start.kind === "started") state.startupFd = start.startupFd;
  closeMeans(means);
  // After the fork: the daemon's users wait for it, and not for our log.
  if (state.restartMsg !== undefined) {
    vlog.info(`${state.restartMsg}, restarting`);
    state.restartMsg = undefined;
    state.restarts++;
  } else if (isAnother) {
    const words = noteLastWords(state, from, state.stderrFrom);
    vlog.err(`${state.statusMsg}, restarting${words}`);
  }
  state.startedAt = Date.now();
  state.readySince = undefined;
  if (start.kind !== "started") {
    dispatch(state, start);
    return undefined;
  }
  // Meanwhile the daemon starts, and the caller waits for both.
  if (state.notifyFd !== -1) {
    state.detachError = daemonizePostDetach(state)?.message;
  }
  return undefined;
}
