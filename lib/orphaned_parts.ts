/**
 * What a daemon is made of whose monitor was killed, for somebody else who ends
 * it: the monitor's file still says what belongs to it.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { isInOurGroup } from "../ffi/process_group.ts";
import { readProcess, readProcesses } from "../ffi/process_table.ts";
import { bootTime } from "../ffi/wait.ts";
import type { Say } from "./action.ts";
import { ancestor, holdDescendants } from "./descendants.ts";
import { type MonitorRecord, readMonitorFile } from "./monitor_file.ts";
import { GroupHold } from "./process_group.ts";
import {
  type DaemonHold,
  hasEnded,
  type ProvenProcess,
} from "./proven_process.ts";

/** Processes that end with a daemon, held by descriptors until they are let go. */
export interface PartsHold {
  /** They. */
  readonly members: readonly ProvenProcess[];
  /** Looks for those that have been forked meanwhile. */
  findMore(): void;
  /** Lets go of them. */
  release(): void;
}

/**
 * What a monitor that was killed has last said.
 *
 * @param pidfile The pidfile of its daemon.
 * @returns It; `undefined` when the monitor lives, or has ended by itself.
 */
export function lastRecordOf(pidfile: string): MonitorRecord | undefined {
  const file = readMonitorFile(pidfile);
  if (file.kind !== "stale" || file.record?.gaveUp !== undefined) {
    return undefined;
  }
  return file.record;
}

/**
 * Takes hold of what its kill mode makes a part of a daemon that has no monitor
 * any more.
 *
 * @param held The daemon.
 * @param record What its monitor has said last.
 * @param say Is told what cannot be found.
 * @returns The hold; `undefined` when there is nothing besides the daemon.
 */
export function holdOrphanedParts(
  held: DaemonHold,
  record: MonitorRecord | undefined,
  say: Say,
): PartsHold | undefined {
  const { daemon } = held;
  if (daemon === undefined || daemon.pid !== record?.pid) return undefined;
  switch (record.killMode) {
    case "group": {
      const leads = readProcess(daemon.pid)?.group === daemon.pid;
      return leads && !isInOurGroup(daemon.pid)
        ? GroupHold.take(held)
        : undefined;
    }
    case "tree":
      say.warn(
        `its monitor was killed: only what is below pid ${daemon.pid} is ` +
          "ended with it, what has lost its parent cannot be found",
      );
      return new TreeHold(daemon);
    default:
      return undefined;
  }
}

/** All processes below a daemon. */
class TreeHold implements PartsHold {
  readonly #daemon: ProvenProcess;
  readonly #members: ProvenProcess[] = [];

  constructor(daemon: ProvenProcess) {
    this.#daemon = daemon;
    this.findMore();
  }

  get members(): readonly ProvenProcess[] {
    return this.#members;
  }

  /** Also below those whose parents have ended since they were found. */
  findMore(): void {
    for (const top of [this.#daemon, ...this.#members]) {
      if (hasEnded(top)) continue;
      for (const process of holdDescendants(ancestor(top), () => true)) {
        // A number is another process's when the one that had it has ended.
        const isKnown = this.#members.some((one) =>
          one.pid === process.pid && !hasEnded(one)
        );
        if (isKnown) close(process.pidfd);
        else this.#members.push(process);
      }
    }
  }

  release(): void {
    for (const { pidfd } of this.#members) close(pidfd);
  }
}

/**
 * Says what a daemon has left, as it seems, whose monitor was killed. Where nobody
 * ends them any more, at least somebody is to know: they may hold its port.
 *
 * @param record What the monitor has said last.
 * @returns The text; `undefined` when nothing is to be seen.
 */
export function whoIsLeft(record: MonitorRecord): string | undefined {
  const pids = seemLeft(record);
  return pids.length === 0
    ? undefined
    : `its monitor was killed, and pid ${pids.join(", ")} seems to be left ` +
      `of pid ${record.pid}, left alone: end it by kill`;
}

/**
 * Looks for what a daemon has left that has ended, and whose monitor was killed
 * before it could end that.
 *
 * They are in the group that the daemon led, of the session that the monitor led.
 * Nobody has held on to these numbers, so that is no proof: both may have come to
 * others since. Therefore nobody is signalled here.
 *
 * @param record What the monitor has said last.
 * @returns Their numbers.
 */
function seemLeft(record: MonitorRecord): number[] {
  const { killMode, pid, monitor, startedAt } = record;
  if (killMode !== "group" || pid === 0) return [];
  // Of another boot of this machine all numbers are others'.
  const booted = Date.now() - bootTime();
  if (startedAt === undefined || startedAt < booted) return [];
  const processes = readProcesses();
  // Whoever lives and has its number is not the monitor, nor is the session its.
  if (processes.get(monitor)?.hasEnded === false) return [];
  return [...processes.values()]
    .filter((info) =>
      info.group === pid && info.session === monitor && !info.hasEnded
    )
    .map((info) => info.pid);
}
