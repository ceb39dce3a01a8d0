/**
 * How a monitor starts its daemon, the first one and each that follows.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { bootTime } from "../ffi/wait.ts";
import { FLUSH_MS, flushLoggers, startLoggers } from "./loggers.ts";
import { OutputError } from "./output_file.ts";
import { noteLastWords, placeInStderr } from "./last_words.ts";
import { backOffUntil, noteStart } from "./monitor_ends.ts";
import { dropMonitorFile } from "./monitor_hold.ts";
import type { MonitorState } from "./monitor_state.ts";
import { dispatch } from "./monitor_table.ts";
import { daemonizePostDetach } from "./post_detach.ts";
import { proctitleRestore } from "./process_title.ts";
import { setSubprogramName } from "./program_name.ts";
import { closeMeans, prepareReadiness, type ReadyMeans } from "./readiness.ts";
import { disableCoreDumps } from "./restart.ts";
import type { Start, Starter } from "./starter.ts";
import { relayedStderr, wantsStderr } from "./stderr_relay.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { handleSignals } from "./monitor_hearing.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** When to try again to make a process, where there is none to be had. */
const TRY_AGAIN_MS = 10_000;

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
 * Forks the daemon.
 *
 * @param state What the monitor knows.
 * @param starter How its daemons are started.
 * @returns In the daemon: what it is to know.
 */
export function startDaemon(
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
  if (state.hangup === "told") state.hangup = undefined;
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
