/**
 * Watching what a monitor writes, to its last word.
 *
 * @module
 */
import { close, readIfAny } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { inotifyWrites } from "../ffi/inotify.ts";
import { bootTime } from "../ffi/wait.ts";
import { unreadable } from "./look_error.ts";
import {
  type MonitorRecord,
  openMonitorFile,
  readOpenMonitorFile,
} from "./monitor_file.ts";
import { hasEnded, type ProvenMonitor } from "./proven_process.ts";
import type { Pause } from "./together.ts";

/** How often to look where the kernel cannot wake us. */
const LOOK_AGAIN_MS = 20;

/** A monitor's file, open and watched. */
export class MonitorWatch {
  readonly #monitor: ProvenMonitor;
  readonly #fd: number;
  /** `undefined` when this user has no watches left. */
  readonly #writes: number | undefined;

  private constructor(monitor: ProvenMonitor, fd: number) {
    this.#monitor = monitor;
    this.#fd = fd;
    this.#writes = watchIfAny(fd);
  }

  /**
   * Watches a monitor's file.
   *
   * @param pidfile The pidfile of its daemon.
   * @param monitor The monitor.
   * @returns The watch; `undefined` when the monitor has ended, or lost its file
   * to another.
   * @throws {LookError} When it cannot be read.
   */
  static start(
    pidfile: string,
    monitor: ProvenMonitor,
  ): MonitorWatch | undefined {
    const fd = openOrFail(pidfile);
    if (fd === undefined) return undefined;
    const file = readOpenMonitorFile(fd);
    if (file.kind === "held" && file.monitor === monitor.pid) {
      return new MonitorWatch(monitor, fd);
    }
    close(fd);
    if (file.kind === "error") throw unreadable(file.reason);
    return undefined;
  }

  /**
   * Reads what the monitor says.
   *
   * @returns It, and whether it was its last word.
   * @throws {LookError} When it cannot be read.
   */
  look(): { record: MonitorRecord; isLast: boolean } {
    const events = new Uint8Array(4096);
    while (this.#writes !== undefined && readIfAny(this.#writes, events)) {
      // What they say of is looked at now.
    }
    // Asked before the record is read: it writes its last word before it ends.
    const isLast = hasEnded(this.#monitor);
    const file = readOpenMonitorFile(this.#fd);
    if (file.kind === "error") throw unreadable(file.reason);
    const record = file.kind === "held" || file.kind === "stale"
      ? file.record
      : undefined;
    return { record: record ?? this.#monitor.record, isLast };
  }

  /**
   * What to wait for.
   *
   * @param until Until when, in milliseconds since boot.
   * @returns The next word of the monitor, or its end.
   */
  next(until: number): Pause {
    const { pidfd } = this.#monitor;
    return this.#writes === undefined
      ? { fds: [pidfd], until: Math.min(until, bootTime() + LOOK_AGAIN_MS) }
      : { fds: [pidfd, this.#writes], until };
  }

  /** Ends the watch. */
  stop(): void {
    close(this.#fd);
    if (this.#writes !== undefined) close(this.#writes);
  }
}

function openOrFail(pidfile: string): number | undefined {
  try {
    return openMonitorFile(pidfile);
  } catch (error) {
    if (error instanceof LibcError) throw unreadable(error.reason);
    throw error;
  }
}

/** By the descriptor: the name may be another file's by now. */
function watchIfAny(fd: number): number | undefined {
  try {
    return inotifyWrites(`/proc/self/fd/${fd}`);
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}
