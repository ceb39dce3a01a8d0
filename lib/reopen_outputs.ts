/**
 * Having the files of a daemon's output opened anew, when somebody else has
 * renamed them.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { close, readIfAny } from "../ffi/descriptor.ts";
import { readDirectory } from "../ffi/directory.ts";
import {
  type FileStat,
  isRegularFile,
  isSameFile,
  isSymbolicLink,
  lstatFile,
  statFile,
} from "../ffi/file_stat.ts";
import { inotifyCloses } from "../ffi/inotify.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { Signal } from "../ffi/signal.ts";
import { bootTime } from "../ffi/wait.ts";
import { type Achieved, ActionFailure, seconds } from "./action.ts";
import { type DaemonOutput, outputsOf } from "./daemon_outputs.ts";
import { isDaemonOf } from "./daemon_state.ts";
import { foreignness } from "./foreign_file.ts";
import { logsTo } from "./loggers.ts";
import { LookError } from "./look_error.ts";
import { MonitorWatch } from "./monitor_watch.ts";
import { lastRecordOf } from "./orphaned_parts.ts";
import {
  DaemonHold,
  hasEnded,
  prove,
  type ProvenMonitor,
  type ProvenProcess,
  sendSignal,
} from "./proven_process.ts";
import type { Job, Pause } from "./together.ts";

/** How often to look where the kernel cannot wake us. */
const LOOK_AGAIN_MS = 20;

/**
 * Has the loggers of a daemon open their files anew. It is done when they have
 * let go of the old ones: who moves or compresses these next loses nothing.
 *
 * @param pidfile The daemon's pidfile.
 * @param timeout How long that may take, in milliseconds.
 * @returns The job.
 */
export function* reopenOutputs(
  pidfile: string,
  timeout: number,
): Job<Achieved> {
  const deadline = bootTime() + timeout;
  const held = DaemonHold.take(pidfile);
  try {
    const { view, daemon, monitor } = held;
    if (monitor === undefined) {
      yield* reopenOrphans(held, pidfile, deadline, timeout);
      return {
        done: "reopened",
        state: view.state,
        pid: daemon?.pid,
        monitor: undefined,
      };
    }
    const count = outputsOf(pidfile).length;
    for (let i = 0; i < count; i++) {
      yield* reopen(pidfile, monitor, i, deadline, timeout);
    }
    const { pid } = monitor;
    return {
      done: "reopened",
      state: view.state,
      pid: daemon?.pid,
      monitor: pid,
    };
  } finally {
    held.release();
  }
}

/** Reopens all by their loggers, which have outlived the monitor. */
function* reopenOrphans(
  held: DaemonHold,
  pidfile: string,
  deadline: number,
  timeout: number,
): Job<void> {
  const { isElsewhere, state, remark } = held.view;
  if (!isElsewhere && state === "unknown") throw new LookError(remark);
  const isKnown = !isElsewhere && lastRecordOf(pidfile) !== undefined;
  if (!isKnown) throw new ActionFailure(withoutMonitor(held));
  for (const output of outputsOf(pidfile)) {
    const { file, logger, writer } = output;
    if (logger === undefined) throw new ActionFailure(withoutLogger(output));
    const isIt = () => logsTo(logger, file, writer);
    if (yield* reopenBy(logger, isIt, output, deadline)) continue;
    throw new ActionFailure(
      bootTime() >= deadline ? notLetGo(output, timeout) : withoutMonitor(held),
    );
  }
}

function withoutMonitor({ view, daemon }: DaemonHold): string {
  if (view.isElsewhere) return "runs in another PID namespace, not reopened";
  return daemon === undefined
    ? "not running, not reopened"
    : "there is no monitor of tend's to say who writes its output " +
      `(${view.remark ?? "unmonitored"}), not reopened`;
}

/** Reopens one of them, by whichever logger it has. */
function* reopen(
  pidfile: string,
  monitor: ProvenMonitor,
  index: number,
  deadline: number,
  timeout: number,
): Job<void> {
  const watch = MonitorWatch.start(pidfile, monitor);
  try {
    for (;;) {
      watch?.look();
      const output = watch && outputsOf(pidfile)[index];
      if (watch === undefined || output === undefined || hasEnded(monitor)) {
        throw new ActionFailure("its monitor has ended, not reopened");
      }
      const { logger } = output;
      if (logger === undefined) {
        throw new ActionFailure(withoutLogger(output));
      }
      // As a daemon is proved by its monitor: it is the child of one that lives.
      // Of another user's, not one with more rights than that user has.
      const { owner } = output;
      const isIt = () =>
        isDaemonOf(logger, monitor.pid) && !hasEnded(monitor) &&
        (owner === undefined || statIfThere(`/proc/${logger}`)?.uid === owner);
      if (yield* reopenBy(logger, isIt, output, deadline)) return;
      if (bootTime() >= deadline) {
        throw new ActionFailure(notLetGo(output, timeout));
      }
      // One that was killed. The next one opens the file when it begins.
      yield watch.next(deadline);
    }
  } finally {
    watch?.stop();
  }
}

function withoutLogger({ file }: DaemonOutput): string {
  return `it writes to ${fromBytes(file)} itself, which cannot be reopened: ` +
    "have logrotate use copytruncate, or start it with --log-timestamps or " +
    "--log-rotate";
}

function notLetGo({ file }: DaemonOutput, timeout: number): string {
  return `its logger has not let go of what was ${fromBytes(file)} within ` +
    `${seconds(timeout)}, not reopened`;
}

/**
 * Says whether it was done before the time was over. Not when that process is no
 * logger of this output's any more.
 */
function* reopenBy(
  pid: number,
  isProved: () => boolean,
  { file }: DaemonOutput,
  deadline: number,
): Job<boolean> {
  const logger = pid === 0 ? undefined : prove(pid, isProved);
  if (logger === undefined) return false;
  // Before it is told to: it may be done at once.
  const closes = watchFilesOf(pid);
  try {
    sendSignal(logger, Signal.SIGHUP);
    for (;;) {
      closes.forEach(dropEvents);
      if (hasEnded(logger)) return false;
      if (hasOnly(pid, file)) return true;
      const why = unfitness(pid, file);
      if (why !== undefined) {
        throw new ActionFailure(
          `its logger does not open ${fromBytes(file)} (${why}), not reopened`,
        );
      }
      if (bootTime() >= deadline) return false;
      yield nextClose(logger, closes, deadline);
    }
  } finally {
    [...closes, logger.pidfd].forEach(close);
  }
}

function nextClose(
  { pidfd }: ProvenProcess,
  closes: readonly number[],
  deadline: number,
): Pause {
  const fds = [pidfd, ...closes];
  return closes.length > 0
    ? { fds, until: deadline }
    : { fds, until: Math.min(deadline, bootTime() + LOOK_AGAIN_MS) };
}

/**
 * Whether the only file that a process has open is the one that has a name. It
 * opens the new one before it closes the old one.
 */
function hasOnly(pid: number, path: Uint8Array): boolean {
  const named = statIfThere(path, lstatFile);
  const files = filesOf(pid);
  return named !== undefined && files.length > 0 &&
    files.every(({ stat }) => isSameFile(stat, named));
}

/** Why a logger does not open what has its file's name. */
function unfitness(pid: number, path: Uint8Array): string | undefined {
  const stat = statIfThere(path, lstatFile);
  const { uid } = statIfThere(`/proc/${pid}`) ?? {};
  if (stat === undefined || uid === undefined) return undefined;
  if (isSymbolicLink(stat)) return "it is a symbolic link; remove it";
  if (!isRegularFile(stat)) return "it is not a regular file; remove it";
  return foreignness(path, stat, uid);
}

/** The regular files that a process has open. */
function filesOf(pid: number): { path: string; stat: FileStat }[] {
  return readDirectory(`/proc/${pid}/fd`).flatMap((fd) => {
    const path = `/proc/${pid}/fd/${fd}`;
    const stat = statIfThere(path);
    return stat !== undefined && isRegularFile(stat) ? [{ path, stat }] : [];
  });
}

/** Is told when one of them is closed; nothing where that cannot be had. */
function watchFilesOf(pid: number): number[] {
  const watches: number[] = [];
  try {
    for (const { path } of filesOf(pid)) watches.push(inotifyCloses(path));
    return watches;
  } catch (error) {
    watches.forEach(close);
    if (error instanceof LibcError) return [];
    throw error;
  }
}

function dropEvents(fd: number): void {
  const events = new Uint8Array(4096);
  while (readIfAny(fd, events) !== undefined) {
    // What they say of is looked at anyway.
  }
}

function statIfThere(
  path: string | Uint8Array,
  look: typeof statFile = statFile,
): FileStat | undefined {
  try {
    return look(path);
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ENOENT) {
      return undefined;
    }
    throw error;
  }
}
