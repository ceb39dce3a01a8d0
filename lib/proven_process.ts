/**
 * Processes that a lock has proved to be who they are said to be, by a
 * descriptor: whatever is sent to one reaches that process or nobody.
 *
 * The argument. A number is read from a file; `pidfd_open()` makes a descriptor
 * of the process P that has the number then; and only after that the lock is
 * asked again, and names this very number as its holder. If P lives at that
 * moment, the number is P's, so P is the holder: it is the daemon. If P has
 * ended by then, its number may be that of another process, and that one may
 * hold the lock even; but the descriptor stays P's, and a signal through it
 * reaches nobody. So in no order of events a process is hit that did not hold
 * the lock after we had our hand on it. Asked in the other order, lock first,
 * the number could be another's when the descriptor is made.
 *
 * A look that fails proves nothing, and refutes nothing: the second one has a
 * descriptor more open than the first, and may be the first to find none free.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { statFile } from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { pidfdOpen, pidfdSendSignal } from "../ffi/pidfd.ts";
import { waitReadable } from "../ffi/wait.ts";
import { type DaemonLook, lookAt, lookAtPidfile } from "./daemon_look.ts";
import {
  type DaemonView,
  isDaemonOf,
  ovsMonitorOf,
  viewOf,
} from "./daemon_state.ts";
import { LookError, unreadable } from "./look_error.ts";
import { type MonitorRecord, readMonitorFile } from "./monitor_file.ts";

/** How often to try when all changes between two looks. */
const ATTEMPTS = 20;

/** A process, by number and descriptor. */
export interface ProvenProcess {
  /** Its number. */
  readonly pid: number;
  /** It; can be read once it has ended. */
  readonly pidfd: number;
}

/** A monitor that has said who its daemon is. */
export interface ProvenMonitor extends ProvenProcess {
  /** What it said when it was proved. */
  readonly record: MonitorRecord;
}

/** A daemon and who belongs to it, held by descriptors until they are let go. */
export class DaemonHold {
  /** What is known of the daemon. */
  readonly view: DaemonView;
  /** The daemon, if it runs and could be proved. */
  readonly daemon: ProvenProcess | undefined;
  /** Its monitor, likewise. */
  readonly monitor: ProvenMonitor | undefined;
  /**
   * A monitor that is not proved and therefore only waited for: that of a
   * program of Open vSwitch, or a tend whose record we cannot read.
   */
  readonly bystander: ProvenProcess | undefined;

  private constructor(pidfile: string, look: DaemonLook) {
    this.view = viewOf(look);
    if (this.view.isElsewhere) return;
    try {
      this.monitor = proveMonitor(pidfile, look);
      this.daemon = look.pidfile.kind === "running"
        ? proveDaemon(pidfile, look.pidfile.pid)
        : proveChild(this.monitor);
      if (this.monitor !== undefined || this.daemon === undefined) return;
      const other = look.monitor.kind === "held"
        ? look.monitor.monitor
        : ovsMonitorOf(this.daemon.pid);
      if (other !== undefined) this.bystander = hold(other);
    } catch (error) {
      this.release();
      if (!(error instanceof LibcError)) throw error;
      throw new LookError(error.message, { cause: error });
    }
  }

  /**
   * Takes hold of a daemon.
   *
   * @param pidfile Its pidfile.
   * @returns The hold. Without daemon and monitor, none of them is there, or the
   * view says why they could not be had.
   * @throws {LookError} When a look at it fails, as for lack of descriptors.
   */
  static take(pidfile: string): DaemonHold {
    for (let attempt = 1;; attempt++) {
      const taken = new DaemonHold(pidfile, lookAt(pidfile));
      const { view, daemon, monitor } = taken;
      // What was seen is gone before it could be proved: another look tells.
      const isWhole = view.isElsewhere ||
        (view.record === undefined || monitor !== undefined) &&
          (view.pid === undefined || daemon !== undefined);
      if (isWhole || attempt === ATTEMPTS) return taken;
      taken.release();
    }
  }

  /** All descriptors of processes, to wait for their ends. */
  get pidfds(): number[] {
    return [this.daemon, this.monitor, this.bystander]
      .flatMap((process) => process === undefined ? [] : [process.pidfd]);
  }

  /** Lets go of it. */
  release(): void {
    this.pidfds.forEach(close);
  }
}

/** Makes a descriptor of a process; `undefined` when it has ended. */
export function hold(pid: number): ProvenProcess | undefined {
  try {
    return { pid, pidfd: pidfdOpen(pid) };
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ESRCH) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Makes a descriptor of a process, and keeps it if that is who it is to be.
 *
 * @param pid The process.
 * @param isProved Asks that, with the descriptor open.
 * @returns The process; `undefined` when it is not, or has ended.
 * @throws {LibcError} As `pidfdOpen()`.
 */
export function prove(
  pid: number,
  isProved: () => boolean,
): ProvenProcess | undefined {
  const held = hold(pid);
  if (held === undefined) return undefined;
  let isKept = false;
  try {
    isKept = isProved();
    return isKept ? held : undefined;
  } finally {
    if (!isKept) close(held.pidfd);
  }
}

function proveDaemon(pidfile: string, pid: number): ProvenProcess | undefined {
  return prove(pid, () => {
    const again = lookAtPidfile(pidfile);
    if (again.kind === "error") throw new LookError(again.reason);
    return again.kind === "running" && again.pid === pid;
  });
}

function proveMonitor(
  pidfile: string,
  { monitor: file }: DaemonLook,
): ProvenMonitor | undefined {
  // Without a record it may be somebody who clears up.
  if (file.kind !== "held" || file.record === undefined) return undefined;
  const { monitor: pid } = file.record;
  if (file.monitor !== pid) return undefined;
  let record: MonitorRecord | undefined;
  const proven = prove(pid, () => {
    const again = readMonitorFile(pidfile);
    if (again.kind === "error") throw unreadable(again.reason);
    if (again.kind === "held" && again.monitor === pid) record = again.record;
    return record !== undefined;
  });
  return proven && record && { ...proven, record };
}

/**
 * A daemon that does not hold its pidfile, as one that closes what it did not
 * open, or does not yet, is proved by its monitor: that is alive and says so,
 * and the process is its child. A child that has ended keeps its number until
 * the monitor has waited for it, so the number is no other's meanwhile.
 */
function proveChild(
  monitor: ProvenMonitor | undefined,
): ProvenProcess | undefined {
  if (monitor === undefined || monitor.record.phase === "backingOff") {
    return undefined;
  }
  const { pid, record } = monitor;
  return isDaemonOf(record.pid, pid)
    ? prove(record.pid, () => isDaemonOf(record.pid, pid) && !hasEnded(monitor))
    : undefined;
}

/**
 * Asks whether a process has ended.
 *
 * @param process The process.
 * @returns Whether it has.
 */
export function hasEnded({ pidfd }: ProvenProcess): boolean {
  // A wait that a signal has interrupted says nothing of it.
  return waitReadable([pidfd], 0)?.includes(pidfd) ?? false;
}

/** A process that does not take signals from this user. */
export class SignalRefused extends Error {
  /** The class's name. */
  override readonly name = "SignalRefused";
}

/**
 * Sends a signal to a process that may have ended by now.
 *
 * @param process The process.
 * @param send Sends it, by its descriptor.
 * @throws {SignalRefused} When it belongs to another user; says to whom.
 */
export function signalIfThere(
  { pid, pidfd }: ProvenProcess,
  send: (pidfd: number) => void,
): void {
  try {
    send(pidfd);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ESRCH) return;
    if (error.errno !== Errno.EPERM) throw error;
    throw new SignalRefused(`pid ${pid} belongs to ${ownerOf(pid)}`, {
      cause: error,
    });
  }
}

/**
 * Sends a plain signal to a process that may have ended by now.
 *
 * @param process The process.
 * @param signal The signal's number.
 * @throws {SignalRefused} As {@linkcode signalIfThere}.
 */
export function sendSignal(process: ProvenProcess, signal: number): void {
  signalIfThere(process, (pidfd) => pidfdSendSignal(pidfd, signal));
}

function ownerOf(pid: number): string {
  try {
    return `user ${statFile(`/proc/${pid}`).uid}`;
  } catch (error) {
    if (error instanceof LibcError) return "another user";
    throw error;
  }
}
