/**
 * What a process and all below it take of the machine.
 *
 * @module
 */
import {
  pageSize,
  type ProcessInfo,
  readProcesses,
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

/**
 * Looks at all processes once, for as many trees as are wanted.
 *
 * @returns Says what the tree below a process takes; `undefined` for one that
 * is not to be seen.
 */
export function treeUsages(): (pid: number) => TreeUsage | undefined {
  const now = bootTime();
  const all = readProcesses();
  const children = new Map<number, ProcessInfo[]>();
  for (const info of all.values()) {
    const siblings = children.get(info.ppid);
    if (siblings === undefined) children.set(info.ppid, [info]);
    else siblings.push(info);
  }
  const bytes = pageSize();
  return (pid) => {
    const root = all.get(pid);
    if (root === undefined || root.hasEnded) return undefined;
    // A number may have come to another process between two looks: then there
    // could be a circle.
    const tree = new Set([root]);
    for (const { pid } of tree) {
      for (const child of children.get(pid) ?? []) tree.add(child);
    }
    let [pages, cpu] = [0, 0];
    for (const { usage: { residentPages, cpuSeconds } } of tree) {
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
