/**
 * The last lines that a daemon wrote to stderr, for what is said of its end.
 *
 * They are read from the file that took them. Where a daemon's part of it begins
 * is noted before the daemon is started, and where it ends before the next one
 * is: so they are read when that one runs already, and have not held it up.
 *
 * @module
 */
import { isThere } from "../ffi/access.ts";
import { fromBytes, toBytes } from "../ffi/c_string.ts";
import { close, readAt } from "../ffi/descriptor.ts";
import { O_NOCTTY, O_NONBLOCK, O_RDONLY } from "../ffi/file.ts";
import {
  type FileStat,
  fstat,
  isRegularFile,
  statFile,
} from "../ffi/file_stat.ts";
import { LibcError } from "../ffi/libc.ts";
import { openForAppending } from "./append_file.ts";
import { foreignness, openOwnWay } from "./foreign_file.ts";
import type {
  FilePlace,
  Logging,
  MonitorState,
  OutputFile,
} from "./monitor_state.ts";

/** So much is shown at most. */
const MOST = { lines: 5, bytes: 1024 } as const;
/** So much is read: whether there was more, and whether a line began there. */
const MOST_READ = MOST.bytes + 1;
/** In how many older files a daemon's last words are looked for. */
const MOST_OLDER = 9;

/** What a logger writes before a line. */
const TIMESTAMP = /^\d{4}-\d\d-\d\dT[\d:.]+Z ?/;

/**
 * Where what a command writes to stderr stands now.
 *
 * @param state What the monitor knows.
 * @returns The place; `undefined` when it goes to no regular file.
 */
export function placeInStderr(state: MonitorState): FilePlace | undefined {
  const output = stderrFile(state);
  if (output === undefined) return undefined;
  const { file } = output;
  try {
    // One that the daemon would make could not be told from another, later. A
    // logger has made its own.
    if (state.loggers.length === 0 && !isThere(file)) {
      close(openForAppending(file));
    }
    const stat = statFile(file);
    const { dev, ino, size } = stat;
    return isRegularFile(stat) ? { dev, ino, size } : undefined;
  } catch (error) {
    // The daemon's own process says it.
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}

function stderrFile({ command }: MonitorState): OutputFile | undefined {
  return command?.outputs?.files.find(({ streams }) => streams !== "stdout");
}

/**
 * Adds what the last daemon has written last to what is known of its end.
 *
 * @param state What the monitor knows.
 * @param from Where that daemon's part begins.
 * @param to Where it ends; at the end of the file without it.
 * @returns It, for a message about that end; empty when there is nothing.
 */
export function noteLastWords(
  state: MonitorState,
  from: FilePlace | undefined,
  to?: FilePlace,
): string {
  const output = stderrFile(state);
  if (output === undefined || from === undefined) return saidOf(state);
  const { logging } = state.command?.outputs ?? {};
  const words = lastLines(partsOf(state, output, from, to), logging);
  if (words !== "") state.lastWords = words;
  return saidOf(state);
}

/** The same of what is known already. */
function saidOf(state: MonitorState): string {
  const output = stderrFile(state);
  if (output === undefined || state.lastWords === undefined) return "";
  const what = output.streams === "both" ? "output" : "stderr";
  return `; last of its ${what}: ${quoted(state.lastWords)}`;
}

/** What a daemon has written in the end, without what is before it. */
function partsOf(
  { command, loggers }: MonitorState,
  { file }: OutputFile,
  from: FilePlace,
  to: FilePlace | undefined,
): Uint8Array {
  const count = command?.outputs?.logging?.rotate?.count ?? 1;
  let parts: Part[] = [];
  // What the next one writes may have made newer files already. Each that it
  // makes while we read gives the others their next names: who is met again is
  // older than what was read since, which then is not of this daemon.
  let isIts = to === undefined;
  for (let i = 0; i <= Math.min(count, MOST_OLDER); i++) {
    const name = i === 0 ? file : Uint8Array.of(...file, ...toBytes(`.${i}`));
    const part = partIn(name, from, to);
    if (part === undefined) break;
    isIts ||= part.isLast;
    const again = parts.findIndex(({ ino }) => ino === part.ino);
    parts = parts.slice(again + 1);
    if (isIts) parts.unshift(part);
    if (part.isFirst) break;
  }
  // A logger goes on in a new file when one was moved; a command does not.
  const its = loggers.length > 0
    ? parts
    : parts.filter(({ isFirst }) => isFirst);
  const words = its.flatMap(({ bytes }) => [...bytes]);
  return Uint8Array.from(words.slice(-MOST_READ));
}

interface Part {
  readonly bytes: Uint8Array;
  /** The inode of its file. */
  readonly ino: bigint;
  /** Whether it is in the file in which the daemon's part begins. */
  readonly isFirst: boolean;
  /** Whether it is in that in which it ends. */
  readonly isLast: boolean;
}

/** The end of a daemon's part in one file; `undefined` where it has none. */
function partIn(
  name: Uint8Array,
  from: FilePlace,
  to: FilePlace | undefined,
): Part | undefined {
  let fd: number;
  try {
    fd = openOwnWay(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  }
  try {
    const stat = fstat(fd);
    if (!isRegularFile(stat) || foreignness(name, stat) !== undefined) {
      return undefined;
    }
    const isFirst = isPlaceIn(from, stat);
    const isLast = to !== undefined && isPlaceIn(to, stat);
    // It may have been made shorter since.
    const begin = isFirst && from.size <= stat.size ? from.size : 0n;
    const end = isLast && to.size < stat.size ? to.size : stat.size;
    const length = Math.min(Number(end - begin), MOST_READ);
    const bytes = new Uint8Array(Math.max(length, 0));
    const read = readAt(fd, bytes, end - BigInt(bytes.length));
    const { ino } = stat;
    return { bytes: bytes.subarray(0, read), ino, isFirst, isLast };
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  } finally {
    close(fd);
  }
}

function isPlaceIn({ dev, ino }: FilePlace, stat: FileStat): boolean {
  return dev === stat.dev && ino === stat.ino;
}

/** Whole lines; the end of the last one, if that alone is longer. */
function lastLines(bytes: Uint8Array, logging: Logging | undefined): string {
  // The first one may have lost its beginning, in the middle of a character.
  const isCut = bytes.length === MOST_READ;
  const text = fromBytes(bytes).replaceAll("\0", "\ufffd");
  const lines = text.split("\n")
    .map((line) => logging?.timestamps ? line.replace(TIMESTAMP, "") : line)
    .map((line) => line.trimEnd());
  const cut = isCut ? lines.shift()!.replace(/^\ufffd+/, "") : "";
  const whole = lines.filter((line) => line !== "").slice(-MOST.lines);
  return whole.length > 0 ? whole.join("\n") : cut && `…${cut}`;
}

/** In quotes, on one line, without what a terminal would do something about. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\x7f-\x9f\u2028-\u202e]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
