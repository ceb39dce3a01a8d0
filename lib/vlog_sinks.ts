/**
 * The places where vlog's messages go.
 *
 * @module
 */
import { close, writeFully } from "../ffi/descriptor.ts";
import { type CString, fromBytes, toBytes } from "../ffi/c_string.ts";
import { dupFrom } from "../ffi/duplicate.ts";
import { LibcError } from "../ffi/libc.ts";
import {
  LOG_ALERT,
  LOG_DEBUG,
  LOG_ERR,
  LOG_NOTICE,
  LOG_WARNING,
  syslog,
} from "../ffi/syslog.ts";
import { openForAppending } from "./append_file.ts";
import { programName } from "./program_name.ts";
import type { Destination, Level } from "./vlog_levels.ts";

const STDERR = 2;

/** Where the console is. */
let consoleFd = STDERR;

/** The priorities that vlog.c gives its levels in the system's log. */
const PRIORITIES = {
  emer: LOG_ALERT,
  err: LOG_ERR,
  warn: LOG_WARNING,
  info: LOG_NOTICE,
  dbg: LOG_DEBUG,
} as const satisfies Record<Exclude<Level, "off">, number>;

/** A message, all but its time in its text. */
export interface Line {
  /** When, in milliseconds since 1970. */
  readonly timestamp: number;
  /** How important. */
  readonly level: Exclude<Level, "off">;
  /** Sequence number, module, level and message, with bars between them. */
  readonly text: string;
}

/** What takes messages, for each destination. */
export const SINKS: Record<Destination, (line: Line) => void> = {
  console: ({ timestamp, text }) => {
    const seconds = new Date(timestamp).toISOString().slice(0, 19);
    writeConsole(`${seconds}Z|${text}\n`);
  },
  file: ({ timestamp, text }) => {
    if (logFile === undefined) return;
    try {
      append(logFile, `${new Date(timestamp).toISOString()}|${text}\n`);
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      if (!fileFailed) {
        writeConsole(
          `${programName()}: ${
            fromBytes(toBytes(logFile))
          }: ${error.message}\n`,
        );
      }
      fileFailed = true;
      return;
    }
    fileFailed = false;
  },
  syslog: ({ level, text }) => {
    syslog(programName(), PRIORITIES[level], text);
  },
};

let logFile: CString | undefined;
/** The file, where it cannot be opened any more. */
let heldFd: number | undefined;
/** Whether the last write failed: one complaint, not one a line. */
let fileFailed = false;

/**
 * Sets the file for messages. It is opened for each message alone: whoever
 * waits for months must not hold a file that was rotated away. Port of
 * `vlog_set_log_file()`.
 *
 * @param path The file; made with mode 0640 when it is not there.
 * @throws {LibcError} When it cannot be opened for writing.
 */
export function setLogFile(path: CString): void {
  append(path, "");
  logFile = path;
}

/**
 * The file for messages.
 *
 * @returns The file, if there is one.
 */
export function currentLogFile(): CString | undefined {
  return logFile;
}

/**
 * Sets the file for messages without opening it: it was opened before.
 *
 * @param path The file.
 */
export function resumeLogFile(path: CString | undefined): void {
  logFile = path;
}

/**
 * Opens the file for messages for good: for a process that is about to lose the
 * right to, and soon ends or executes something. It is closed on exec.
 */
export function holdLogFile(): void {
  if (logFile === undefined) return;
  try {
    heldFd = openForAppending(logFile);
  } catch (error) {
    // The next message finds that too, and complains.
    if (!(error instanceof LibcError)) throw error;
  }
}

function append(path: CString, text: string): void {
  if (heldFd !== undefined) return writeFully(heldFd, text);
  const fd = openForAppending(path);
  try {
    writeFully(fd, text);
  } finally {
    close(fd);
  }
}

/**
 * Keeps the console for what has yet to be said, while the standard
 * descriptors are let go of.
 *
 * @returns The descriptor that is the console now; closed on exec.
 * @throws {LibcError} When there is no descriptor to be had.
 */
export function keepConsole(): number {
  // Once: for a second daemon the console is another than stderr.
  if (consoleFd === STDERR) consoleFd = dupFrom(STDERR, STDERR + 1, true);
  return consoleFd;
}

/**
 * Has a number free for something else.
 *
 * @param fd The number; the console gets a higher one.
 * @throws {LibcError} When there is no descriptor to be had.
 */
export function moveConsole(fd: number): void {
  if (consoleFd === fd) consoleFd = dupFrom(consoleFd, fd + 1, true);
}

/** Lets go of what {@linkcode keepConsole} has kept. */
export function dropConsole(): void {
  if (consoleFd !== STDERR) close(consoleFd);
  consoleFd = STDERR;
}

/**
 * Writes to the console. What cannot be written there cannot be told anywhere.
 *
 * @param text The text.
 */
export function writeConsole(text: string): void {
  try {
    writeFully(consoleFd, text);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
  }
}
