/**
 * What a process and all below it take of the machine.
 *
 * @module
 */
import {
  childrenOf,
  pageSize,
  type ProcessInfo,
  readProcess,
  readProcesses,
  tellsChildren,
} from "../ffi/process_table.ts";
import { bootTime } from "../ffi/wait.ts";

/** What a tree of processes takes. */
export interface TreeUsage {
  /** How long its first process has run, in seconds. */
  readonly uptime: number;
  /** Memory that is resident, in bytes; what several share counts for each. */
  readonly memory: number;
  /**
   * Processor time since they were started, in seconds, with that of those of
   * their children that have ended.
   */
  readonly cpu: number;
  /** How many processes there are. */
  readonly processes: number;
}

/** Processes, and who is whose child. */
export interface Family {
  /** A process by its number. */
  readonly at: (pid: number) => ProcessInfo | undefined;
  /** The children of a process. */
  readonly below: (parent: ProcessInfo) => readonly number[];
}

/**
 * Gets ready to look at trees of processes.
 *
 * @returns Says what the tree below a process takes; `undefined` for one that
 * is not to be seen.
 */
export function treeUsages(): (pid: number) => TreeUsage | undefined {
  const { at, below } = familyNow();
  const now = bootTime();
  const bytes = pageSize();
  return (pid) => {
    const root = at(pid);
    if (root === undefined || root.hasEnded) return undefined;
    const tree = new Map([[pid, root]]);
    for (const parent of tree.values()) {
      for (const child of below(parent)) {
        // A number may have come to another process between two looks: then
        // there could be a circle.
        const info = tree.has(child) ? undefined : at(child);
        if (info !== undefined) tree.set(child, info);
      }
    }
    let [pages, cpu] = [0, 0];
    for (const { usage: { residentPages, cpuSeconds } } of tree.values()) {
      pages += residentPages;
      cpu += cpuSeconds;
    }
    return {
      uptime: Math.max(0, now - root.usage.startedAt) / 1000,
      memory: pages * bytes,
      cpu,
      processes: tree.size,
    };
  };
}

/**
 * Gets ready to go from processes to their children.
 *
 * @returns What is to be asked for them.
 */
export function familyNow(): Family {
  // With thousands of processes it takes long to look at all of them. Where the
  // kernel does not say who the children are, it is done once for all trees.
  return tellsChildren()
    ? { at: readProcess, below: childrenOf }
    : wholeFamily();
}

/**
 * All processes, by one look at each.
 *
 * @returns The processes, and their children.
 */
export function wholeFamily(): Family {
  const all = readProcesses();
  const children = new Map<number, number[]>();
  for (const { pid, ppid } of all.values()) {
    const siblings = children.get(ppid);
    if (siblings === undefined) children.set(ppid, [pid]);
    else siblings.push(pid);
  }
  return {
    at: (pid) => all.get(pid),
    below: ({ pid }) => children.get(pid) ?? [],
  };
}
