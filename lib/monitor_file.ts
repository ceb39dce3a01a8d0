/**
 * The file in which a monitor says what it does: `web.pid.monitor` beside
 * `web.pid`.
 *
 * As with pidfiles the lock is the truth: the file is a monitor's if and only if
 * that process holds a write lock on it, from before its first daemon to its
 * end, awake and asleep. What is in the file may be anybody's, and is checked
 * like any input. Each change wakes whoever watches the file.
 *
 * @module
 */
import { fromBytes, toBytes } from "../ffi/c_string.ts";
import { close, readBeginning } from "../ffi/descriptor.ts";
import {
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openIfThere,
} from "../ffi/file.ts";
import { isRegular } from "../ffi/file_stat.ts";
import { LibcError } from "../ffi/libc.ts";
import { fcntlGetlk } from "../ffi/lock.ts";
import { namespacePids } from "../ffi/proc.ts";
import { checkOnlyName } from "./foreign_file.ts";
import {
  boolean,
  bytes,
  type Decoder,
  fields,
  integer,
  InvalidField,
  listOf,
  oneOf,
  optional,
  orElse,
  text,
  time,
} from "./fields.ts";
import {
  DAEMON_END,
  encodeParts,
  SIGNAL,
  START_OUTCOME,
} from "./monitor_record.ts";
import {
  type DaemonEnd,
  KILL_MODES,
  type KillMode,
  MONITOR_PHASES,
  type MonitorPhase,
  type OutputFile,
  RESTART_POLICIES,
  type RestartPolicy,
  type StartOutcome,
  STREAMS,
} from "./monitor_state.ts";

/** Of the record's form. */
const VERSION = 1;
/** A file's size is a multiple of it. */
const BLOCK_SIZE = 4096;
/** No file is larger; one that is, is not read. */
export const LARGEST_FILE = 32 * BLOCK_SIZE;
/** So much is shown of texts that may have any length. */
const LONGEST_TEXT = 1024;
const CLOSING_BRACE = 0x7d;
/** How often a file is read that is being written all the while. */
const ATTEMPTS = 100;

/** What a monitor says of itself. Times are milliseconds since 1970. */
export interface MonitorRecord {
  /** The monitor's process, as it knows it. */
  readonly monitor: number;
  /** Under which its daemon is known. */
  readonly name: string;
  /** Where it is. */
  readonly phase: MonitorPhase;
  /** In phase `clearing`, whether another daemon is to follow, unless asked. */
  readonly isFollowed: boolean | undefined;
  /** Which ends are followed by a restart. */
  readonly policy: RestartPolicy;
  /** The daemon; in phases `backingOff` and `clearing` the last one. */
  readonly pid: number;
  /** When that was started. */
  readonly startedAt: number | undefined;
  /** How often the daemon has died of an error. */
  readonly crashes: number;
  /** How often it was started anew because somebody wanted it. */
  readonly restarts: number;
  /** How the last one ended. */
  readonly lastEnd: DaemonEnd | undefined;
  /** How the last start came out. */
  readonly lastStart: StartOutcome | undefined;
  /** When the next start is due, in phase `backingOff`. */
  readonly backingOffUntil: number | undefined;
  /** What the last daemon has left that does not end by SIGKILL. */
  readonly left: readonly number[];
  /** Why the monitor has ended, and left this: its daemon ended too often. */
  readonly gaveUp: string | undefined;
  /** What the daemon says of its state. */
  readonly statusText: string | undefined;
  /** The command with its arguments; long ones are cut. */
  readonly command: readonly string[];
  /** What the daemon is made of, when it is to end; an older tend says nothing. */
  readonly killMode: KillMode | undefined;
  /** By which signal it is told to end, if not by SIGTERM. */
  readonly stopSignal: number | undefined;
  /** How long it has for that, in milliseconds, if somebody has said so. */
  readonly stopTimeout: number | undefined;
  /** The monitor's log file. */
  readonly logFile: string | undefined;
  /** The files that take what the daemon writes. */
  readonly outputs: readonly OutputRecord[];
}

/** A file that takes what a daemon writes. */
export interface OutputRecord extends OutputFile {
  /** How many older ones there may be: `FILE.1` is the newest. */
  readonly count: number;
  /**
   * The process that writes to it, 0 between one and the next; without it the
   * daemon does.
   */
  readonly logger: number | undefined;
  /** What that cannot do. */
  readonly trouble: string | undefined;
}

const VERSIONED: Decoder<{ version: number }> = fields({ version: integer(1) });

const RECORD: Decoder<MonitorRecord> = fields<MonitorRecord>({
  monitor: integer(1),
  name: text,
  phase: oneOf(MONITOR_PHASES),
  isFollowed: optional(boolean),
  policy: oneOf(RESTART_POLICIES),
  pid: integer(0),
  startedAt: optional(time),
  crashes: integer(0),
  restarts: integer(0),
  lastEnd: optional(DAEMON_END),
  lastStart: optional(START_OUTCOME),
  backingOffUntil: optional(time),
  left: orElse<readonly number[]>([], listOf(integer(1))),
  gaveUp: optional(text),
  statusText: optional(text),
  command: listOf(text),
  killMode: optional(oneOf(KILL_MODES)),
  stopSignal: optional(SIGNAL),
  stopTimeout: optional(time),
  logFile: optional(text),
  outputs: orElse<readonly OutputRecord[]>(
    [],
    listOf(fields<OutputRecord>({
      streams: oneOf(STREAMS),
      file: bytes,
      count: integer(0),
      logger: optional(integer(0)),
      trouble: optional(text),
    })),
  ),
});

/** What a monitor's file says, by its lock. */
export type MonitorFile =
  /** There is none. */
  | { readonly kind: "none" }
  /** Its monitor has been killed. */
  | { readonly kind: "stale"; readonly record: MonitorRecord | undefined }
  /**
   * Its monitor lives; `monitor` unless it has no pid in our PID namespace. It
   * has not written its record yet when there is none, or it is of another
   * version than we are.
   */
  | {
    readonly kind: "held";
    readonly monitor: number | undefined;
    readonly record: MonitorRecord | undefined;
  }
  /** It cannot be read, or is no such file. */
  | { readonly kind: "error"; readonly reason: string };

/**
 * The name of a monitor's file.
 *
 * @param pidfile The pidfile of its daemon.
 * @returns The file beside it.
 */
export function monitorFileOf(pidfile: string): string {
  return `${pidfile}.monitor`;
}

/**
 * Reads a monitor's file. Not for a process that holds the lock of it: closing
 * it gives that up.
 *
 * @param pidfile The pidfile of its daemon.
 * @returns What it says.
 */
export function readMonitorFile(pidfile: string): MonitorFile {
  let fd: number | undefined;
  try {
    fd = openMonitorFile(pidfile);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    return { kind: "error", reason: error.reason };
  }
  if (fd === undefined) return { kind: "none" };
  try {
    return readOpenMonitorFile(fd);
  } finally {
    close(fd);
  }
}

/**
 * Opens a monitor's file.
 *
 * @param pidfile The pidfile of its daemon.
 * @returns Its descriptor; `undefined` when there is none.
 * @throws {LibcError} `ELOOP` of a symbolic link.
 * @throws {ForeignFileError} When somebody has given one another name.
 */
export function openMonitorFile(pidfile: string): number | undefined {
  const path = monitorFileOf(pidfile);
  // Not blocking: it may be a FIFO.
  const flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
  const fd = openIfThere(path, flags);
  if (fd === undefined) return undefined;
  try {
    checkOnlyName(path, fd);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Reads a monitor's file that is open. Its monitor's last word is for whoever
 * has opened it before: the file has no name any more when that process ends.
 *
 * @param fd The file, open for reading.
 * @returns What it says.
 */
export function readOpenMonitorFile(fd: number): MonitorFile {
  try {
    return readLocked(fd);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    return { kind: "error", reason: error.reason };
  }
}

function readLocked(fd: number): MonitorFile {
  if (!isRegular(fd)) {
    return { kind: "error", reason: "not a regular file" };
  }
  const holder = fcntlGetlk(fd);
  const record = readRecord(fd);
  if (holder === undefined) return { kind: "stale", record };
  if (holder <= 0) return { kind: "held", monitor: undefined, record };
  // Else it is what a monitor has left that was killed, and another process has
  // the lock and is about to write its own.
  const isHolders = record !== undefined &&
    (record.monitor === holder ||
      namespacePids(holder).includes(record.monitor));
  return {
    kind: "held",
    monitor: holder,
    record: isHolders ? record : undefined,
  };
}

/** One for all: who reads a hundred files would else allocate for each. */
let buffer: Uint8Array<ArrayBuffer> | undefined;

/** Reads a record, again while it is just being written. */
function readRecord(fd: number): MonitorRecord | undefined {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    buffer ??= new Uint8Array(LARGEST_FILE + 1);
    const length = readBeginning(fd, buffer);
    if (length === 0 || length > LARGEST_FILE) return undefined;
    // Behind it there is nothing but blanks, most of the file.
    const end = buffer.subarray(0, length).lastIndexOf(CLOSING_BRACE) + 1;
    const content = checkedContent(fromBytes(buffer.subarray(0, end)));
    if (content !== undefined) return decodeRecord(content);
  }
  return undefined;
}

function decodeRecord(content: string): MonitorRecord | undefined {
  try {
    const value: unknown = JSON.parse(content);
    const { version } = VERSIONED(value);
    return version === VERSION ? RECORD(value) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof InvalidField) {
      return undefined;
    }
    throw error;
  }
}

/**
 * What a monitor's file is to hold.
 *
 * @param record What the monitor says.
 * @param least How long the file is at least, in bytes: one that gets shorter
 * could be read when it has no end.
 * @returns Its bytes.
 */
export function encodeMonitorRecord(
  record: MonitorRecord,
  least = 0,
): Uint8Array<ArrayBuffer> {
  const { name, lastEnd, lastStart, logFile } = record;
  const content = JSON.stringify({
    version: VERSION,
    ...record,
    name: cut(name),
    lastEnd: lastEnd && { ...lastEnd, text: cut(lastEnd.text) },
    lastStart: lastStart &&
      { ...lastStart, text: lastStart.text && cut(lastStart.text) },
    command: cutList(record.command),
    logFile: logFile && cut(logFile, 4 * LONGEST_TEXT),
    // Not cut: a shorter name is another file's, and none longer can be opened.
    outputs: encodeParts(
      record.outputs.map((output) => ({
        ...output,
        trouble: output.trouble && cut(output.trouble),
      })),
    ),
  });
  const bytes = toBytes(`{"check":${checksum(content)},${content.slice(1)}`);
  const blocks = Math.ceil((bytes.length + 1) / BLOCK_SIZE) * BLOCK_SIZE;
  const padded = new Uint8Array(Math.max(blocks, least)).fill(0x20);
  padded.set(bytes);
  padded[padded.length - 1] = 0x0a;
  return padded;
}

/**
 * The record's text, if all of it was written by one write: a reader and a
 * writer do not wait for each other, and half of one record before half of
 * another may be valid JSON.
 */
function checkedContent(text: string): string | undefined {
  const [whole, check] = /^\{"check":(\d+),/.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const content = `{${text.slice(whole.length)}`;
  return checksum(content) === Number(check) ? content : undefined;
}

/**
 * Adler-32, of units of UTF-16. Its numbers stay small while it counts: larger
 * ones are objects to V8, and a hundred records would make 25,000 of them.
 */
function checksum(text: string): number {
  let [low, high] = [1, 0];
  for (let i = 0; i < text.length; i++) {
    low = (low + text.charCodeAt(i)) % 65521;
    high = (high + low) % 65521;
  }
  return high * 0x10000 + low;
}

/** Not in the middle of a character that takes two. */
function cut(text: string, length = LONGEST_TEXT): string {
  return text.length <= length
    ? text
    : `${text.slice(0, length).replace(/[\ud800-\udbff]$/, "")}…`;
}

function cutList(words: readonly string[]): string[] {
  const shown: string[] = [];
  let room = LONGEST_TEXT;
  for (const word of words) {
    if (room <= 0) return [...shown, "…"];
    shown.push(cut(word, room));
    room -= word.length + 1;
  }
  return shown;
}
