/**
 * A monitor's hold on its file: taking it, writing to it, removing it.
 *
 * The monitor's process has one descriptor of it, which it keeps through the
 * execs of its sleep, and never opens it again.
 *
 * @module
 */
import { readArgv } from "../ffi/argv.ts";
import { fromBytes, toBytes } from "../ffi/c_string.ts";
import {
  close,
  ftruncate,
  readBeginning,
  writeBeginning,
} from "../ffi/descriptor.ts";
import { rename, unlink } from "../ffi/file.ts";
import { fstat } from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { getpid } from "../ffi/process.ts";
import { bootTime, setTimerfd } from "../ffi/wait.ts";
import { addFileToUnlink, removeFileToUnlink } from "./fatal_signal.ts";
import { sparedOfXfsz } from "./file_size_limit.ts";
import {
  CONTENTION_MS,
  lockFile,
  lockNewFile,
  lockOwnFile,
  step,
} from "./locked_file.ts";
import {
  encodeMonitorRecord,
  LARGEST_FILE,
  monitorFileOf,
  type MonitorRecord,
  type OutputRecord,
  readMonitorFile,
} from "./monitor_file.ts";
import type { MonitorState } from "./monitor_state.ts";
import { lastRecordOf, whoIsLeft } from "./orphaned_parts.ts";
import { isOurs, obstacleOf, remakeRundirFor } from "./pidfile.ts";
import { awaitOther } from "./pidfile_contention.ts";
import { namesFile, removeIfStale } from "./pidfile_state.ts";
import { hasHungUp, isCrash } from "./restart.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { currentLogFile } from "./vlog_sinks.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/**
 * Not the pidfile's descriptor: that is to be the same for every daemon, and one
 * that is launched has ours until it executes its command.
 */
const OPTIONS = { flags: 0, lowestFd: 90 };

/**
 * Makes this process the monitor of a pidfile's daemons. Ends the process with
 * a message when there is one already, or the file cannot be had.
 *
 * @param pidfile The pidfile.
 * @param overwrite Whether a monitor that lives loses its file to us.
 * @returns The descriptor that holds the lock: it has to stay open.
 */
export function takeMonitorFile(pidfile: string, overwrite: boolean): number {
  const path = monitorFileOf(pidfile);
  if (overwrite) return replaceFile(path);
  const deadline = bootTime() + CONTENTION_MS;
  // Before we have the lock, which that would give up.
  const last = lastRecordOf(pidfile);
  for (;;) {
    const locked = lockFile(path, OPTIONS);
    if (!(locked instanceof LibcError)) {
      const left = last && whoIsLeft(last);
      if (left) vlog.warn(`${pidfile}: ${left}`);
      // What a monitor that was killed has left, or somebody else, whatever its
      // size: readers take it for nobody's until we write.
      if (locked.file.size > 0n) {
        step(`${path}: truncate`, () => ftruncate(locked.fd, 0));
      }
      return locked.fd;
    }
    awaitMonitor(pidfile, deadline);
  }
}

/**
 * Makes a monitor's file anew that has gone with its directory, which whoever
 * starts the next daemon makes anew, too. A file that has the name by now is left
 * alone: it is another monitor's, or may become that.
 *
 * @param state What the monitor knows.
 */
export function keepMonitorFile(state: MonitorState): void {
  const { pidfile, monitorFd } = state;
  if (pidfile === undefined || monitorFd === -1) return;
  try {
    renewFile(state, pidfile);
  } catch (error) {
    showLater(state, error);
  }
}

function renewFile(state: MonitorState, pidfile: string): void {
  const { monitorFd } = state;
  const path = monitorFileOf(pidfile);
  if (namesFile(path, fstat(monitorFd))) return;
  remakeRundirFor(pidfile);
  const fd = lockNewFile(path, OPTIONS);
  if (fd === undefined) return;
  state.monitorFd = fd;
  close(monitorFd);
}

/** Who has the old file keeps its lock, and has no name to remove any more. */
function replaceFile(path: string): number {
  const tmpfile = `${path}.tmp${getpid()}`;
  const { fd } = lockOwnFile(tmpfile, OPTIONS);
  addFileToUnlink(tmpfile);
  step(`${tmpfile}: rename`, () => rename(tmpfile, path));
  removeFileToUnlink(tmpfile);
  return fd;
}

/**
 * Ends the process with a message when a pidfile's daemons have a monitor. Only
 * for a start that makes none itself.
 *
 * @param pidfile The pidfile.
 */
export function checkNotMonitored(pidfile: string): void {
  const deadline = bootTime() + CONTENTION_MS;
  while (readMonitorFile(pidfile).kind === "held") {
    awaitMonitor(pidfile, deadline);
  }
}

/**
 * Waits for what becomes of a monitor that lives. It may be in the middle of its
 * start, or of its end; else it is in the way, and the process ends with a
 * message.
 *
 * @param pidfile The pidfile of its daemons.
 * @param deadline Until when, in milliseconds since boot.
 */
function awaitMonitor(pidfile: string, deadline: number): void {
  const obstacle = () => obstacleOf(pidfile) ?? busyMonitor(pidfile);
  const why = obstacle();
  if (why !== undefined) vlog.fatal(why);
  const isOver = () => obstacle() !== undefined;
  if (awaitOther(monitorFileOf(pidfile), deadline, isOver)) return;
  const file = readMonitorFile(pidfile);
  if (file.kind !== "held") return;
  const phase = file.record === undefined ? "" : ` (${file.record.phase})`;
  vlog.fatal(alreadyMonitored(pidfile, file.monitor, phase));
}

/**
 * One whose daemon has crashed, and that is to start another: the pidfile is
 * free all the while, and nobody's.
 */
function busyMonitor(pidfile: string): string | undefined {
  const file = readMonitorFile(pidfile);
  if (file.kind !== "held" || file.record === undefined) return undefined;
  const { phase, isFollowed, pid, crashes } = file.record;
  if (phase === "backingOff") {
    const details = ` (backing off after ${crashes} crashes)`;
    return alreadyMonitored(pidfile, file.monitor, details);
  }
  if (phase !== "clearing" || isFollowed !== true) return undefined;
  const details = ` (ending what pid ${pid} has left)`;
  return alreadyMonitored(pidfile, file.monitor, details);
}

function alreadyMonitored(
  pidfile: string,
  monitor: number | undefined,
  details: string,
): string {
  const who = monitor === undefined
    ? "(in another PID namespace)"
    : `by pid ${monitor}${details}`;
  return `${pidfile}: already monitored ${who}, aborting`;
}

/**
 * Removes what a monitor has left that was killed, unless another has the name
 * by now. Not for a monitor itself.
 *
 * @param pidfile The pidfile of its daemons.
 */
export function removeStaleMonitorFile(pidfile: string): void {
  const path = monitorFileOf(pidfile);
  if (isOurs(path)) removeIfStale(path);
}

/** When to try again to write, and when at the latest. */
const SHOW_AGAIN_MS = 1_000;
const LATEST_SHOW_MS = 60_000;

/**
 * Writes what others see of a monitor, if that has changed. Where it cannot be
 * written the monitor goes on without, and tries again: at each turn, and when
 * some time has passed in which nothing else has come, asleep too.
 *
 * @param state What the monitor knows.
 */
export function publish(state: MonitorState): void {
  const { pidfile, monitorFd } = state;
  if (pidfile === undefined || monitorFd === -1) return;
  try {
    if (state.showAgain !== undefined) renewFile(state, pidfile);
    writeRecord(state);
  } catch (error) {
    return showLater(state, error);
  }
  if (state.showAgain === undefined) return;
  state.showAgain = undefined;
  setTimer(state);
  vlog.info(`${monitorFileOf(pidfile)}: its state is shown again`);
}

function writeRecord(state: MonitorState): void {
  const there = writtenRecord(state);
  const bytes = encodeMonitorRecord(recordOf(state), there.length);
  const isThere = there.length === bytes.length &&
    fromBytes(there) === fromBytes(bytes);
  if (isThere) return;
  const { monitorFd } = state;
  sparedOfXfsz(() => writeBeginning(monitorFd, bytes));
}

/** Each time takes twice as long, for one that sleeps has to wake up for it. */
function showLater(state: MonitorState, error: unknown): void {
  if (!(error instanceof Error)) throw error;
  const { showAgain, pidfile, everReady } = state;
  // A start that fails of the same says so itself, and is over soon.
  if (!everReady) return;
  if (showAgain === undefined) {
    vlog.warn(
      `${monitorFileOf(pidfile!)}: ${error.message}, ` +
        "its state is not shown, trying again",
    );
  }
  const now = bootTime();
  if (showAgain === undefined || now >= showAgain.at) {
    const delay = showAgain === undefined
      ? SHOW_AGAIN_MS
      : Math.min(showAgain.delay * 2, LATEST_SHOW_MS);
    state.showAgain = { at: now + delay, delay };
  }
  setTimer(state);
}

/**
 * Sets the timer that is the deadline's too, to what comes first of both. A
 * deadline that comes up later sets it anew, and another turn sets it as here.
 */
function setTimer({ deadline, showAgain, deadlineFd }: MonitorState): void {
  const due = [deadline, showAgain?.at].filter((at) => at !== undefined);
  if (due.length > 0) setTimerfd(deadlineFd, Math.min(...due));
}

/**
 * What {@linkcode publish} would write, for whoever writes it in a monitor's
 * place.
 *
 * @param state What the monitor knows.
 * @returns Its bytes.
 * @throws {LibcError} When the monitor's file cannot be read.
 */
export function shownRecord(state: MonitorState): Uint8Array {
  const { length } = state.monitorFd === -1 ? [] : writtenRecord(state);
  return encodeMonitorRecord(recordOf(state), length);
}

/** One for all looks: a new one for each piles up until it is collected. */
let there: Uint8Array<ArrayBuffer> | undefined;

function writtenRecord({ monitorFd }: MonitorState): Uint8Array {
  there ??= new Uint8Array(LARGEST_FILE);
  return there.subarray(0, readBeginning(monitorFd, there));
}

function recordOf(state: MonitorState): MonitorRecord {
  const { name, policy, startedAt, crashes, restarts, clearing } = state;
  const { killMode, stopSignal, stopTimeout } = state;
  // What comes after it matters more than that it is not over yet.
  const wanted = clearing?.wish ?? clearing?.phase;
  const isWanted = wanted === "stopping" || wanted === "restarting";
  const phase = isWanted ? wanted : state.phase;
  const logFile = currentLogFile();
  return {
    monitor: getpid(),
    name,
    phase,
    isFollowed: isFollowed(state),
    policy,
    pid: state.daemonPid,
    startedAt,
    crashes,
    restarts,
    lastEnd: state.lastEnd,
    lastStart: state.lastStart,
    backingOffUntil: state.backingOffUntil,
    left: state.left,
    gaveUp: state.gaveUp,
    statusText: state.statusText,
    command: (state.command?.argv ?? ownArgv()).map(fromBytes),
    killMode,
    stopSignal,
    stopTimeout,
    logFile: logFile === undefined ? undefined : fromBytes(toBytes(logFile)),
    outputs: outputsOf(state),
  };
}

/** Whether another daemon follows one whose leftovers are to end first. */
function isFollowed(
  { clearing, policy, everReady, hangup }: MonitorState,
): boolean | undefined {
  if (clearing === undefined) return undefined;
  if (!everReady || policy === "no") return false;
  switch (clearing.wish ?? clearing.phase) {
    case "stopping":
      return false;
    case "running":
      return isCrash(policy, clearing.status) &&
        !hasHungUp(hangup, clearing.status);
    default:
      return true;
  }
}

function outputsOf({ command, loggers }: MonitorState): OutputRecord[] {
  const { files = [], logging } = command?.outputs ?? {};
  return files.map((file, i) => ({
    ...file,
    count: logging?.rotate?.count ?? 0,
    logger: loggers[i]?.pid,
    trouble: loggers[i]?.troubles.map(({ text }) => text).join(", ") ||
      undefined,
  }));
}

let argv: Uint8Array[] | undefined;

/** A program that is its own daemon was given what its daemon was given. */
function ownArgv(): Uint8Array[] {
  argv ??= readArgv();
  return argv;
}

/**
 * Removes the file of a monitor that is about to end, if the name is still its.
 *
 * Before its pidfile goes: who sees that gone, and starts another, must not find
 * us in the way. We have the lock, so nobody else removes the file or takes it
 * over. Only `--overwrite-pidfile` puts another in its place, and that is left
 * alone, unless it comes between our look and the removal.
 *
 * @param state What the monitor knows.
 */
export function dropMonitorFile({ pidfile, monitorFd }: MonitorState): void {
  if (pidfile === undefined || monitorFd === -1) return;
  const path = monitorFileOf(pidfile);
  try {
    if (namesFile(path, fstat(monitorFd))) unlink(path);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ENOENT) return;
    vlog.warn(`could not unlink "${path}" (${error.reason})`);
  }
}
