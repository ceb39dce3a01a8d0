/**
 * The last lines of what a daemon has written, wherever they are.
 *
 * @module
 */
import { type LogFile, type LogNames, openNewer } from "./log_files.ts";

const NEWLINE = 0x0a;

/** Files, open, that hold the last lines. */
export interface LogTail {
  /** They, from the oldest on, each to be read from its position. */
  readonly files: LogFile[];
  /** The next older one. */
  readonly before: LogFile | undefined;
}

/**
 * Finds the last lines of what is in the files when they are opened. They count
 * as one: a line that begins in one and ends in the next is one line.
 *
 * @param names The files.
 * @param lines How many lines; `Infinity` for all.
 * @returns Where they are. There are no files when there are none yet, and
 * otherwise at least the newest.
 * @throws {Error} When a file cannot be read; says which and why.
 */
export function openTail(names: LogNames, lines: number): LogTail {
  const files = openNewer(names, []).files.reverse();
  const taken = place(files, lines);
  const [before, ...older] = files.slice(taken);
  older.forEach((file) => file.close());
  return { files: files.slice(0, taken).reverse(), before };
}

/** Sets the positions; returns how many of the files hold the lines. */
function place(files: readonly LogFile[], lines: number): number {
  if (lines === Infinity) return files.length;
  const sizes = files.map(({ sizeThen }) => sizeThen);
  const last = sizes.findIndex((size) => size > 0);
  if (last === -1) return Math.min(files.length, 1);
  if (lines === 0) {
    files[0]!.position = sizes[0]!;
    return 1;
  }
  // The newline at the very end ends the last line, and no line follows.
  const [end] = files[last]!.readFrom(sizes[last]! - 1, 1);
  let missing = end === NEWLINE ? lines : lines - 1;
  for (let i = last; i < files.length; i++) {
    const found = files[i]!.findNewline(missing, sizes[i]!);
    if ("line" in found) {
      files[i]!.position = found.line;
      return i + 1;
    }
    missing = found.missing;
  }
  return files.length;
}
