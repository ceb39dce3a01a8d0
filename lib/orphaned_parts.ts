/**
 * What a daemon is made of whose monitor was killed, for somebody else who ends
 * it: the monitor's file still says what belongs to it.
 *
 * @module
 */
import { isInOurGroup } from "../ffi/process_group.ts";
import { readProcesses, readProcessOrFail } from "../ffi/process_table.ts";
import { bootTime } from "../ffi/wait.ts";
import type { Say } from "./action.ts";
import { type MonitorRecord, readMonitorFile } from "./monitor_file.ts";
import { GroupHold, type PartsHold, TreeHold } from "./parts_hold.ts";
import type { DaemonHold } from "./proven_process.ts";

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
      const leads = readProcessOrFail(daemon.pid)?.group === daemon.pid;
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
