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
import { close } from "../ffi/descriptor.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { getpid, isChild } from "../ffi/process.ts";
import { readProcess } from "../ffi/process_table.ts";
import { familyNow } from "./process_tree.ts";
import { hasEnded, prove, type ProvenProcess } from "./proven_process.ts";

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
    // Too many for one look: another one finds the rest.
    const isFull = error instanceof LibcError && error.errno === Errno.EMFILE;
    if (isFull && found.length > 0) return found;
    found.forEach(({ pidfd }) => close(pidfd));
    throw error;
  }
  return found;
}
