/**
 * All processes below one, proved to be that, by descriptors.
 *
 * The argument. A child's number is read, a descriptor made of the process that
 * has the number then, and only after that its parent's number is read, and the
 * parent found to be alive still: so that number was the parent's all the while,
 * and the process behind the descriptor is its child. If it has ended by then
 * its number may be another process's, but a signal by the descriptor reaches
 * nobody. A parent that ends meanwhile leaves its children to the one at the top,
 * as whose own they are found by the next look.
 *
 * @module
 */
import { isChild } from "../ffi/child.ts";
import { close } from "../ffi/descriptor.ts";
import { dupFrom } from "../ffi/duplicate.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { getpid } from "../ffi/process.ts";
import { readProcess } from "../ffi/process_table.ts";
import { familyNow } from "./process_tree.ts";
import { hasEnded, prove, type ProvenProcess } from "./proven_process.ts";

/** So many processes are held at a time, at the most. */
const MANY = 256;
/** So many descriptors are needed to hold another. */
const ROOM = 3;

/** A process whose descendants are looked for. */
export interface Ancestor {
  /** Its number. */
  readonly pid: number;
  /**
   * Asks whether the process with a number is its child. A descriptor of that
   * process is open.
   */
  readonly isParentOf: (pid: number) => boolean;
}

/** This very process: its children keep their numbers until it waits for them. */
export function ourselves(): Ancestor {
  return { pid: getpid(), isParentOf: isChild };
}

/**
 * A process that is held.
 *
 * @param process The process.
 * @returns It, to have its descendants looked for.
 */
export function ancestor(process: ProvenProcess): Ancestor {
  const { pid } = process;
  const isParentOf = (child: number) =>
    readProcess(child)?.ppid === pid && !hasEnded(process);
  return { pid, isParentOf };
}

/** A process whose children are being looked at. */
interface Step {
  readonly parent: Ancestor;
  /** It, but for the one at the top. */
  readonly self: ProvenProcess | undefined;
  /** Those that were not looked at. */
  readonly children: number[];
}

/**
 * Does something to all descendants of a process that can be found by one look,
 * parents before their children.
 *
 * All are found first: of one that ends of it, the children would be missed that
 * were not looked for. But there may be more than descriptors: then it is done
 * to those who are held, and only the parents of those to come stay held.
 *
 * @param top The process.
 * @param isMeant Whether one of its own children is, with all below it.
 * @param visit Does it; `since` tells two apart that had the same number.
 * @returns Whether all were found first; else another look may find more.
 * @throws {LibcError} `ENOSYS` before Linux 5.3.
 */
export function visitDescendants(
  top: Ancestor,
  isMeant: (child: number) => boolean,
  visit: (one: ProvenProcess, since: number) => void,
): boolean {
  const family = familyNow();
  const held = new Set<ProvenProcess>();
  const path: Step[] = [];
  let due: (() => void)[] = [];
  let isWhole = true;
  const enter = (parent: Ancestor, self?: ProvenProcess) => {
    const info = family.at(parent.pid);
    const children = info === undefined ? [] : [...family.below(info)];
    path.push({ parent, self, children });
    return info?.usage.startedAt ?? 0;
  };
  const visitDue = () => {
    due.forEach((visitOne) => visitOne());
    due = [];
  };
  const makeRoom = () => {
    isWhole = false;
    visitDue();
    const parents = new Set(path.map(({ self }) => self));
    for (const process of held) {
      if (parents.has(process)) continue;
      held.delete(process);
      close(process.pidfd);
    }
  };
  try {
    enter(top);
    for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
      const { parent, children } = step;
      const pid = children.shift();
      if (pid === undefined) {
        path.pop();
        continue;
      }
      if (parent === top && !isMeant(pid)) continue;
      if (held.size >= MANY || !hasRoom()) makeRoom();
      const child = prove(pid, () => parent.isParentOf(pid));
      if (child === undefined) continue;
      held.add(child);
      const since = enter(ancestor(child), child);
      due.push(() => visit(child, since));
    }
    visitDue();
    return isWhole;
  } finally {
    for (const { pidfd } of held) close(pidfd);
  }
}

/** Whether there are descriptors for a process, and to look at others. */
function hasRoom(): boolean {
  const fds: number[] = [];
  try {
    while (fds.length < ROOM) fds.push(dupFrom(0, 0, true));
    return true;
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.EMFILE) {
      return false;
    }
    throw error;
  } finally {
    fds.forEach(close);
  }
}

/**
 * Takes hold of all descendants of a process that can be found by one look,
 * parents before their children.
 *
 * @param top The process.
 * @param isMeant Whether one of its own children is, with all below it.
 * @returns They; to be closed.
 * @throws {LibcError} `ENOSYS` before Linux 5.3.
 */
export function holdDescendants(
  top: Ancestor,
  isMeant: (child: number) => boolean,
): ProvenProcess[] {
  const found: ProvenProcess[] = [];
  const family = familyNow();
  const ancestors: Ancestor[] = [top];
  try {
    for (const parent of ancestors) {
      const info = family.at(parent.pid);
      if (info === undefined) continue;
      for (const pid of family.below(info)) {
        if (parent === top && !isMeant(pid)) continue;
        const child = prove(pid, () => parent.isParentOf(pid));
        if (child === undefined) continue;
        found.push(child);
        ancestors.push(ancestor(child));
      }
    }
  } catch (error) {
    // Too many for one look.
    const isFull = error instanceof LibcError && error.errno === Errno.EMFILE;
    if (isFull && found.length > 0) return found;
    found.forEach(({ pidfd }) => close(pidfd));
    throw error;
  }
  return found;
}
