/**
 * The sleep of a monitor: it becomes a few hundred bytes that wait, and wakes
 * up as a fresh image of its program.
 *
 * The process stays the same: its pid, its children, its descriptors, its
 * signal mask. No signal is lost and none is handled twice, at any moment:
 *
 * - All signals that a monitor hears of are blocked, from before its first fork
 *   to its end; `execve()` keeps the mask and what is pending. So they wait in
 *   the kernel until an image that is awake reads them from the signalfd, and
 *   what is read is gone.
 * - An image that sleeps only polls. It takes nothing out of any descriptor, so
 *   what has woken it is still there for the next one, with all that has come
 *   meanwhile, and is handled in the order that `waitForEvents()` has it.
 *   Two do: one takes the messages out by which a daemon says that it works
 *   (`pingsOf()`), and begins its interval anew as one that is awake would.
 *   One that sleeps for a program that is its own daemon takes signals out, and
 *   passes them on itself (`guardOf()`): in that same order, and what they mean
 *   for a restart is in the record with which it wakes.
 * - What comes between the last poll that is awake and the first one asleep, or
 *   between that of the sleeper and the next one awake, is found by the latter.
 *
 * Signals that are not blocked have the same effect as before, but for Deno's
 * and Rust's handlers, which matter to nobody here.
 *
 * @module
 */
import { shownArgv } from "../ffi/argv.ts";
import { type CString, toBytes } from "../ffi/c_string.ts";
import { close, setCloseOnExec } from "../ffi/descriptor.ts";
import { hasEntryNote } from "../ffi/entry_note.ts";
import { environment } from "../ffi/environment.ts";
import { O_PATH, open, readFile } from "../ffi/file.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { argumentRoom, LONGEST_ARGUMENT } from "../ffi/limit.ts";
import { threadsKeepLocks } from "../ffi/lock.ts";
import { fexecve, memfdProgram } from "../ffi/memfd.ts";
import { threadCount } from "../ffi/process.ts";
import { sleeperImage } from "../ffi/sleeper.ts";
import type { Pings } from "../ffi/sleeper_ping.ts";
import type { Guard, Told, Trouble } from "../ffi/sleeper_guard.ts";
import { sparedOfXfsz } from "./file_size_limit.ts";
import { monitorFileOf } from "./monitor_file.ts";
import { shownRecord } from "./monitor_hold.ts";
import type { MonitorPhase, MonitorState } from "./monitor_state.ts";
import { senderOf } from "./notify_socket.ts";
import { STOP_SIGNALS } from "./pass_on.ts";
import { programName } from "./program_name.ts";
import { SIGNAL_OF } from "./request.ts";
import { ERROR_SIGNALS, RESTART_EXIT_CODE } from "./restart.ts";
import { type SelfImage, selfImage } from "./self_image.ts";
import { environmentWith, TRIAL_STATUS, type WokenStage } from "./stage.ts";
import { logState, type Vlog, vlogModule } from "./vlog.ts";
import { proofOf } from "./waking_proof.ts";
import { isWatched } from "./watchdog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** Errors of a moment. */
const PASSING: readonly number[] = [
  Errno.EMFILE,
  Errno.ENFILE,
  Errno.ENOMEM,
  Errno.ENOSPC,
  Errno.EAGAIN,
];
/** When to try again to sleep after one, and when at the latest. */
const TRY_AGAIN_MS = 60_000;
const LONGEST_TRY_MS = 3_600_000;

/**
 * Falls asleep. Returns only where that cannot be had: then the monitor stays
 * awake, and has said so.
 *
 * @param state What the monitor knows.
 * @param watched The descriptors that are to wake it.
 */
export function fallAsleep(
  state: MonitorState,
  watched: readonly number[],
): void {
  const opened: number[] = [];
  const inherited = [
    state.signalFd,
    state.startupFd,
    state.deadlineFd,
    state.monitorFd,
    state.readinessFd,
    state.messagesFd,
    state.watchdogFd,
    ...state.loggers.flatMap((
      { readFd, writeFd, ackFd },
    ) => [readFd, writeFd, ackFd]),
  ].filter((fd) => fd !== -1);
  try {
    if (state.monitorFd !== -1 && threadCount() > 1 && !threadsKeepLocks()) {
      throw new Error("the monitor's lock would be lost before Linux 5.11");
    }
    const self = selfImage(state.program);
    state.log = logState();
    const keptFd = open("/proc/self/exe", O_PATH);
    opened.push(keptFd);
    const cwdFd = open(".", O_PATH);
    opened.push(cwdFd);
    const shown = shownArgv();
    const image = sleeperImage({
      name: readFile("/proc/self/comm").slice(0, -1),
      watched,
      path: self.path,
      // A compiled program without a name would not find its own code, and the
      // daemon would lose its monitor: that one waits for the name to be back.
      keptFd: Deno.build.standalone && !hasEntryNote() ? -1 : keptFd,
      ...wakingArguments({ role: "woken", state, keptFd, cwdFd }, self, shown),
      guard: guardOf({ role: "woken", state, keptFd, cwdFd }),
      proof: proofOf(state, self.path, [...inherited, keptFd, cwdFd]),
      pings: pingsOf(state),
    });
    // A limit of file sizes counts for memory too.
    const programFd = sparedOfXfsz(() => memfdProgram("tend", image));
    opened.push(programFd);
    for (const fd of [...inherited, keptFd, cwdFd]) setCloseOnExec(fd, false);
    fexecve(programFd, shown);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    for (const fd of inherited) setCloseOnExec(fd, true);
    opened.forEach(close);
    if (isPassing(error)) {
      tryLater(state, error);
    } else {
      // Once: what forbids it is there to stay.
      state.sleepAfter = undefined;
      vlog.warn(`cannot sleep: ${error.message}, staying awake`);
    }
  }
}

/** What is lacking may be there again: descriptors, memory, room. */
function isPassing(error: Error): boolean {
  return error instanceof LibcError && PASSING.includes(error.errno);
}

/** A try is a start of an image, so it takes ever longer to the next. */
function tryLater(state: MonitorState, error: Error): void {
  const { sleepAfter = 0 } = state;
  if (sleepAfter < TRY_AGAIN_MS) {
    vlog.warn(`cannot sleep: ${error.message}, staying awake for now`);
  }
  const next = Math.max(sleepAfter * 2, TRY_AGAIN_MS);
  state.sleepAfter = Math.min(next, LONGEST_TRY_MS);
}

/**
 * Whether a monitor may sleep now. A program that is its own daemon must not be
 * started from its top while that runs, for it may look whether it runs; so its
 * monitor waits awake for what only the program can handle.
 *
 * @param state What the monitor knows.
 * @param watched The descriptors that are to wake it.
 * @returns Whether it may.
 */
export function maySleep(
  { command, phase, signalFd, notifyFd }: MonitorState,
  watched: readonly number[],
): boolean {
  // A caller that waits for us is not to wait for us to wake up. And whoever
  // looks for the daemon from time to time has no time to sleep.
  const isBusy = phase === "notReady" || phase === "timedOut" ||
    phase === "clearing";
  if (notifyFd !== -1 || isBusy) return false;
  return command !== undefined || phase === "backingOff" ||
    watched.every((fd) => fd === signalFd);
}

/** What a daemon says again and again, and nobody wakes up for. */
function pingsOf(state: MonitorState): Pings | undefined {
  const { daemonPid, messagesFd, watchdogFd, watchdogInterval } = state;
  if (!isWatched(state) || messagesFd === -1) return undefined;
  const sender = senderOf(daemonPid);
  return sender && {
    socketFd: messagesFd,
    timerFd: watchdogFd,
    interval: watchdogInterval,
    sender,
  };
}

/** What is done in the sleep of a monitor whose daemon is its own program. */
function guardOf(stage: WokenStage): Guard | undefined {
  const { state } = stage;
  if (state.command !== undefined) return undefined;
  const { phase, daemonPid, signalFd, monitorFd, pidfile } = state;
  const told = (phase: MonitorPhase): Told => {
    const then = { ...state, phase };
    return {
      env: environmentWith({ ...stage, state: then }),
      record: shownRecord(then),
    };
  };
  return {
    pid: phase === "backingOff" ? undefined : daemonPid,
    mode: phase === "stopping"
      ? "stop "
      : phase === "restarting"
      ? "restart "
      : "",
    signalFd,
    stopSignals: STOP_SIGNALS,
    requests: SIGNAL_OF,
    told: { stop: told("stopping"), restart: told("restarting") },
    recordFd: monitorFd,
    recordPath: pidfile === undefined ? "" : monitorFileOf(pidfile),
    pidfile,
    trialEnv: environmentWith({ role: "trial" }),
    trialStatus: TRIAL_STATUS,
    trouble: troubleOf(state),
    crashes: { statuses: [RESTART_EXIT_CODE], signals: ERROR_SIGNALS },
    ownEnv: environment(),
  };
}

/** What is said when the daemon has crashed and its program does not start. */
function troubleOf(state: MonitorState): Trouble {
  const { daemonPid, lastStart, log } = state;
  const why = "the program does not start any more, trying again every 10 " +
    "seconds";
  const count = (lastStart?.count ?? 0) + 1;
  // Nobody is there to tell the time in the line's own words.
  const line = `-|00000|daemon_unix(monitor)|ERR|pid ${daemonPid} has ended, ` +
    `and ${why}\n`;
  return {
    argv: [`${programName()}: monitoring pid ${daemonPid} (${why})`],
    record: shownRecord({
      ...state,
      phase: "backingOff",
      lastStart: { count, pid: 0, ready: false, status: 1, text: why },
    }),
    log: log?.file && { file: log.file, line },
  };
}

/**
 * The arguments and the environment of the program that wakes up.
 *
 * @throws {LibcError} `E2BIG`: it could not be executed, and to find that out
 * asleep would be too late.
 */
function wakingArguments(
  stage: WokenStage,
  self: SelfImage,
  shown: readonly Uint8Array[],
): { argv: readonly CString[]; env: readonly CString[] } {
  // A program that runs a command has all in its record, and needs no
  // arguments: so `ps` shows the same while it wakes up.
  const argv = stage.state.command === undefined ? self.argv : shown;
  const env = environmentWith(stage).map(toBytes);
  const strings = [...argv, ...env];
  const size = strings.reduce((sum, { length }) => sum + length + 9, 0);
  if (
    size > argumentRoom() - 8192 ||
    strings.some(({ length }) => length >= LONGEST_ARGUMENT)
  ) {
    throw new LibcError(`exec of ${self.path}`, Errno.E2BIG);
  }
  return { argv, env };
}
