/**
 * What a monitor does when its daemon has ended: another follows, now or later,
 * or the monitor ends too.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { bootTime, setTimerfd } from "../ffi/wait.ts";
import { exitStatusOf, type WaitStatus } from "../ffi/wait_status.ts";
import { runCrashHook } from "./crash_hook.ts";
import { exit } from "./fatal_signal.ts";
import { dropLoggers } from "./last_flush.ts";
import { noteLastWords } from "./last_words.ts";
import { FLUSH_MS, flushLoggers } from "./loggers.ts";
import { dropMonitorFile, publish } from "./monitor_hold.ts";
import type { MonitorState, StartOutcome } from "./monitor_state.ts";
import { STOP_SIGNALS } from "./pass_on.ts";
import { removeLeftovers, removeTmpfile } from "./pidfile.ts";
import { processStatusMsg } from "./process_status.ts";
import { hasHungUp, isCrash } from "./restart.ts";
import { afterCrash, isTooOften } from "./restart_throttle.ts";
import { closeReadiness } from "./readiness.ts";
import { tellServiceManagerLast } from "./service_manager.ts";
import { startupFailed } from "./startup.ts";
import { stopRelay } from "./stderr_relay.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/**
 * The daemon has ended, as was wanted, however that was: another follows at
 * once.
 *
 * @param state What the monitor knows.
 * @param event How it ended.
 */
export function startAnew(
  state: MonitorState,
  { status }: { status: WaitStatus },
): void {
  noteEnd(state, status);
  state.restartMsg = `told to restart, pid ${state.daemonPid} died, ${
    processStatusMsg(status)
  }`;
  state.exitStatus = exitStatusOf(status);
  backOffUntil(state, undefined);
}

/**
 * A start came to nothing. The first one is the caller's affair. So is any other
 * where no monitor was wanted: the process that stays ends as its daemon has.
 *
 * @param state What the monitor knows.
 * @param event How it ended.
 */
export function startFailed(
  state: MonitorState,
  { status }: { status: WaitStatus },
): void {
  const { daemonPid: pid, name } = state;
  const text = processStatusMsg(status);
  noteStart(state, { pid, ready: false, status: exitStatusOf(status), text });
  if (isFinal(state)) {
    noteEnd(state, status);
    const words = lastWords(state);
    removeFiles(state);
    if (state.phase === "stopping") exit(exitStatusOf(status));
    if (state.phase === "notReady") {
      const { code } = status.kind === "exited" ? status : { code: 0 };
      vlog.fatal(
        `${name}: died before it was ready, ${text}${words}`,
        code || 1,
      );
    }
    startupFailed(
      status,
      state.policy === "no"
        ? "could not start the daemon"
        : "could not initiate process monitoring",
    );
  }
  vlog.err(
    state.phase === "notReady"
      ? `pid ${pid} died before it was ready, ${text}`
      : `fork child died before signaling startup (${text})`,
  );
  // The next one may go another way, and take the pidfile over as it is.
  if (state.pidfile !== undefined) removeTmpfile(state.pidfile);
  // Whoever ends it on purpose while it starts wants no other.
  const isStop = status.kind === "signaled" &&
    STOP_SIGNALS.includes(status.signal);
  if (isStop && !isCrash(state.policy, status)) {
    ended(state, status);
  } else {
    crashed(state, status);
  }
}

/** Whether a start that comes to nothing is the last one. */
function isFinal({ everReady, policy }: MonitorState): boolean {
  return !everReady || policy === "no";
}

/**
 * A start came to nothing because we have ended the daemon.
 *
 * @param state What the monitor knows.
 * @param status How it ended.
 * @param text Why.
 */
export function startGivenUp(
  state: MonitorState,
  status: WaitStatus,
  text: string,
): void {
  noteStart(state, { pid: state.daemonPid, ready: false, status: 1, text });
  if (isFinal(state)) {
    noteEnd(state, status);
    const words = lastWords(state);
    removeFiles(state);
    vlog.fatal(`${state.name}: ${text}${words}`);
  }
  vlog.err(`pid ${state.daemonPid} ${text}`);
  crashed(state, status, text);
}

/**
 * The daemon has died of an error: there will be another, now or when the last
 * restart is long enough ago, unless it was a hangup.
 *
 * @param state What the monitor knows.
 * @param status How it ended.
 * @param text The same in words.
 * @param end What is said of its end in particular.
 */
export function crashed(
  state: MonitorState,
  status: WaitStatus,
  text = `died, ${processStatusMsg(status)}`,
  end?: string,
): void {
  if (hasHungUp(state.hangup, status)) return ended(state, status, end);
  noteEnd(state, status, end);
  state.crashes++;
  state.statusMsg = `${state.crashes} crashes: pid ${state.daemonPid} ${text}`;
  state.exitStatus = statusToPassOn(state, status);
  if (status.kind === "signaled" && status.coreDumped) state.coreDumped = true;
  state.hookDue = true;
  const now = bootTime();
  const { interval } = state;
  const next = afterCrash(state, now);
  state.interval = next.interval;
  state.recentEnds = next.recentEnds;
  if (isTooOften(state.throttle, state.recentEnds, now)) giveUpForGood(state);
  backOffUntil(state, next.earliest);
  if (next.earliest !== undefined) {
    const seconds = interval / 1000;
    vlog.warn(
      `${state.statusMsg}, waiting until ${seconds} seconds since last restart` +
        lastWords(state),
    );
  }
}

/**
 * What the daemon wrote last, for what is said of its end where none follows at
 * once. It is read only once.
 *
 * @param state What the monitor knows.
 * @returns The text.
 */
export function lastWords(state: MonitorState): string {
  const { stderrFrom } = state;
  if (stderrFrom !== undefined) flushLoggers(state, FLUSH_MS);
  state.stderrFrom = undefined;
  return noteLastWords(state, stderrFrom);
}

/** What the monitor knows stays in its file, which nobody holds any more. */
function giveUpForGood(state: MonitorState): never {
  const { ends = 0, within = 0 } = state.throttle.limit ?? {};
  state.gaveUp = `${ends} ends within ${within / 1000} seconds`;
  vlog.err(
    `${state.statusMsg}, ${state.gaveUp}, giving up${lastWords(state)}`,
  );
  publish(state);
  tellServiceManagerLast(state);
  runCrashHook(state);
  dropLoggers(state);
  if (state.pidfile !== undefined) removeLeftovers(state.pidfile);
  exit(state.exitStatus);
}

/**
 * Waits before the next start.
 *
 * @param state What the monitor knows.
 * @param deadline Until when, in milliseconds since boot; not at all without it.
 */
export function backOffUntil(
  state: MonitorState,
  deadline: number | undefined,
): void {
  // First: where it fails, the end is acted on once more.
  if (deadline !== undefined) setTimerfd(state.deadlineFd, deadline);
  closeStartup(state);
  closeReadiness(state);
  state.phase = "backingOff";
  startIsDue(state);
  if (deadline === undefined) return;
  state.deadline = deadline;
  state.backingOffUntil = Date.now() + Math.ceil(deadline - bootTime());
}

/**
 * There is nothing to wait for any more.
 *
 * @param state What the monitor knows.
 */
export function startIsDue(state: MonitorState): void {
  state.deadline = undefined;
  state.backingOffUntil = undefined;
}

/**
 * There is no daemon, and nobody wants another.
 *
 * @param state What the monitor knows.
 * @returns Never; the process has ended.
 */
export function giveUp(state: MonitorState): never {
  const why = state.restartMsg ?? state.statusMsg;
  vlog.info(`${why}, told not to restart, exiting`);
  return leave(state);
}

/**
 * The daemon has ended, and there will be no other.
 *
 * @param state What the monitor knows.
 * @param status How it ended.
 * @param end The same in words.
 */
export function ended(
  state: MonitorState,
  status: WaitStatus,
  end?: string,
): void {
  noteEnd(state, status, end);
  state.exitStatus = statusToPassOn(state, status);
  if (state.policy !== "no") {
    vlog.info(
      `pid ${state.daemonPid} died, ${processStatusMsg(status)}, exiting`,
    );
  }
  const wasKilled = status.kind === "signaled" && state.phase !== "stopping";
  leave(state, wasKilled);
}

/** Whoever hung has failed, whatever it says in the end. */
function statusToPassOn({ phase }: MonitorState, status: WaitStatus): number {
  const code = exitStatusOf(status);
  return phase === "hung" && code === 0 ? 1 : code;
}

/** Ends the monitor, with nothing of its daemon's left. */
function leave(state: MonitorState, warn = false): never {
  if (removeFiles(state) && warn) {
    vlog.warn(
      `${state.pidfile}: removed, pid ${state.daemonPid} had left it behind`,
    );
  }
  exit(state.exitStatus);
}

/** @returns Whether the daemon had left something. */
function removeFiles(state: MonitorState): boolean {
  // All that the daemon has written comes before what we say of it, and is in
  // its file when whoever has told us to end sees that we did.
  stopRelay();
  dropLoggers(state);
  // The last word, for whoever has the file open, and for a service manager:
  // the daemon may have ended as soon as it was told to.
  publish(state);
  tellServiceManagerLast(state);
  dropMonitorFile(state);
  return state.pidfile !== undefined && removeLeftovers(state.pidfile);
}

function closeStartup(state: MonitorState): void {
  if (state.startupFd !== -1) close(state.startupFd);
  state.startupFd = -1;
}

/**
 * Notes how the daemon ended; when that was stays as it was noted first, before
 * what it has left had ended too.
 *
 * @param state What the monitor knows.
 * @param status How.
 * @param text The same in words.
 */
export function noteEnd(
  state: MonitorState,
  status: WaitStatus,
  text: string = processStatusMsg(status),
): void {
  const { daemonPid: pid, startedAt, lastEnd } = state;
  const isNoted = lastEnd?.pid === pid && startedAt !== undefined &&
    lastEnd.at >= startedAt;
  const at = isNoted ? lastEnd.at : Date.now();
  state.lastEnd = {
    pid,
    text,
    at,
    uptime: startedAt === undefined ? undefined : Math.max(0, at - startedAt),
  };
  state.lastWords = undefined;
}

/**
 * Notes how a start came out.
 *
 * @param state What the monitor knows.
 * @param outcome How; which start it was is known here.
 */
export function noteStart(
  state: MonitorState,
  outcome: Omit<StartOutcome, "count">,
): void {
  const count = (state.lastStart?.count ?? 0) + 1;
  state.lastStart = { count, ...outcome };
}
