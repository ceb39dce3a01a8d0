/**
 * All that the daemon of a monitor is made of, for somebody else who ends it.
 *
 * @module
 */
import { readProcess, readProcesses } from "../ffi/process_table.ts";
import { ancestor, holdDescendants } from "./descendants.ts";
import {
  hasEnded,
  prove,
  type ProvenMonitor,
  type ProvenProcess,
} from "./proven_process.ts";

/**
 * Takes hold of all that a monitor's daemon is made of.
 *
 * @param monitor The monitor, which is stopped as by SIGSTOP: it forks nobody,
 * and waits for nobody.
 * @returns They; to be closed.
 */
export function holdParts(monitor: ProvenMonitor): ProvenProcess[] {
  const daemons = daemonsOf(monitor);
  switch (monitor.record.killMode) {
    case "group":
      return [...daemons, ...membersOf(monitor, daemons)];
    case "tree":
      return [...daemons, ...treeOf(monitor, daemons)];
    default:
      return daemons;
  }
}

/**
 * The children of a monitor that are its daemons: the one that it speaks of, and
 * one that it has forked since, which is a copy of it still. It may have others,
 * which it had as a shell before it became tend.
 */
function daemonsOf(monitor: ProvenMonitor): ProvenProcess[] {
  const isDaemon = (pid: number) => {
    const info = readProcess(pid);
    return info?.ppid === monitor.pid && !info.hasEnded &&
      (pid === monitor.record.pid || info.isCopy);
  };
  return proven(monitor, isDaemon);
}

/**
 * The others in its daemon's process group. The monitor leads their session, and
 * lives: so whoever is in that comes from it, and so does the group.
 */
function membersOf(
  monitor: ProvenMonitor,
  known: readonly ProvenProcess[],
): ProvenProcess[] {
  const isMember = (pid: number) => {
    if (known.some((one) => one.pid === pid)) return false;
    const info = readProcess(pid);
    return info?.group === monitor.record.pid && info.session === monitor.pid;
  };
  return proven(monitor, isMember);
}

/**
 * All others below it, but for its loggers. Who is in its own process group may
 * be a helper of the monitor's, or one that it had as a shell: none of the
 * daemon's gets there in the background, and in the foreground it cannot be told.
 */
function treeOf(
  monitor: ProvenMonitor,
  known: readonly ProvenProcess[],
): ProvenProcess[] {
  const group = readProcess(monitor.pid)?.group;
  const isDaemon = (pid: number) => known.some((one) => one.pid === pid);
  const isLogger = (pid: number) =>
    monitor.record.outputs.some(({ logger }) => logger === pid);
  const isMeant = (pid: number) =>
    isDaemon(pid) || (readProcess(pid)?.group !== group && !isLogger(pid));
  return holdDescendants(ancestor(monitor), isMeant);
}

/** Takes hold of those who are meant. While the monitor lives, nobody else is. */
function proven(
  monitor: ProvenMonitor,
  isMeant: (pid: number) => boolean,
): ProvenProcess[] {
  return [...readProcesses().keys()].filter(isMeant)
    .flatMap((pid) =>
      prove(pid, () => isMeant(pid) && !hasEnded(monitor)) ?? []
    );
}
