/**
 * What `/proc` says of a single process.
 *
 * @module
 */
import { fromBytes } from "./c_string.ts";
import { readFile } from "./file.ts";
import { Errno, LibcError } from "./libc.ts";

/** The errors of a process that is gone, or that `/proc` hides (`hidepid`). */
export const UNSHOWN: readonly number[] = [
  Errno.ENOENT,
  Errno.ESRCH,
  Errno.EPERM,
  Errno.EACCES,
];

/**
 * The fields of `/proc/PID/stat` from the third on, the state.
 *
 * @param pid A process.
 * @returns The fields, or `undefined` when `/proc` does not tell.
 */
export function procStat(pid: number | "self"): string[] | undefined {
  let text: string;
  try {
    text = fromBytes(readFile(`/proc/${pid}/stat`));
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  }
  // The second field is a name in parentheses that may hold any character.
  return text.slice(text.lastIndexOf(")") + 2).trimEnd().split(" ");
}

/**
 * The numbers that a process has in its PID namespaces, ours first.
 *
 * @param pid A process.
 * @returns The pids; empty when it is gone, or `/proc` does not show it.
 * @throws {LibcError} `EMFILE`: nothing is known then.
 */
export function namespacePids(pid: number): number[] {
  let text: string;
  try {
    text = fromBytes(readFile(`/proc/${pid}/status`));
  } catch (error) {
    if (error instanceof LibcError && UNSHOWN.includes(error.errno)) return [];
    throw error;
  }
  const line = /^NSpid:\s+(.*)$/m.exec(text);
  return line === null ? [] : line[1]!.split(/\s+/).map(Number);
}
