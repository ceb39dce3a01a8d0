/**
 * The files that take what a command writes. Each of its processes opens them
 * anew: who has moved one away finds a new file after the next restart.
 *
 * @module
 */
import { checkMayMakeFiles, checkMayWrite } from "../ffi/access.ts";
import { fromBytes, toBytes } from "../ffi/c_string.ts";
import { close, setBlocking } from "../ffi/descriptor.ts";
import { dup3 } from "../ffi/duplicate.ts";
import { SLASH } from "../ffi/file.ts";
import {
  type FileStat,
  fstat,
  isDirectory,
  isFifo,
  isRegularFile,
  isSameFile,
  isSymbolicLink,
  lstatFile,
  statFile,
} from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { openForAppending } from "./append_file.ts";
import { foreignness } from "./foreign_file.ts";
import type { Logging, OutputFile, Outputs } from "./monitor_state.ts";

const [STDOUT, STDERR] = [1, 2];

/** A file, or the pipe to its logger, that is open. */
export interface OpenOutput extends Pick<OutputFile, "streams"> {
  /** The descriptor. */
  readonly fd: number;
}

/** A file cannot be had; the message names its option. */
export class OutputError extends Error {}

/**
 * The descriptors that lead to a file.
 *
 * @param output The file.
 * @returns Those of the command.
 */
export function fdsOf({ streams }: Pick<OutputFile, "streams">): number[] {
  return streams === "both"
    ? [STDOUT, STDERR]
    : [streams === "stdout" ? STDOUT : STDERR];
}

/**
 * How the option of a file is written.
 *
 * @param output The file.
 * @returns It, for messages.
 */
export function optionOf({ streams, file }: OutputFile): string {
  return `--${streams === "both" ? "output" : streams}=${fromBytes(file)}`;
}

/**
 * Opens a file for what a command writes.
 *
 * @param output The file.
 * @returns The descriptor, closed on exec; writing to it may wait, as a command
 * expects.
 * @throws {OutputError} When it cannot be opened.
 */
export function openOutput(output: OutputFile): number {
  try {
    const fd = openForAppending(output.file);
    setBlocking(fd);
    return fd;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw failure(output, error);
  }
}

/**
 * Finds out whether files can be had, while nothing is made yet.
 *
 * @param outputs The files, and what loggers do, if there are such.
 * @throws {OutputError} When one cannot be had, or not by a logger.
 */
export function checkOutputs({ files, logging }: Outputs): void {
  const looks = files.map(lookAtOutput);
  if (logging === undefined) return;
  files.forEach((output, i) => {
    const why = unfitness(output, looks[i], logging);
    if (why === undefined) return;
    throw new OutputError(`option ${optionOf(output)}: ${why}`);
  });
  const [first, second] = looks;
  if (first === undefined || second === undefined) return;
  if (!isSameFile(first, second)) return;
  const options = files.map(optionOf).join(" and ");
  throw new OutputError(`options ${options}: one file, for which --output is`);
}

/** Why a logger cannot have a file. */
function unfitness(
  { file }: OutputFile,
  stat: FileStat | undefined,
  { rotate }: Logging,
): string | undefined {
  if (stat !== undefined && !isRegularFile(stat)) {
    return "not a regular file, which --log-rotate and --log-timestamps need";
  }
  // It renames what has the name, and reopens that.
  const named = lookAtName(file);
  if (named !== undefined && isSymbolicLink(named)) {
    return "a symbolic link, which --log-rotate and --log-timestamps do not " +
      "follow: name the file";
  }
  // The longest name first.
  for (let number = rotate?.count ?? 0; number > 0; number--) {
    try {
      const name = Uint8Array.of(...file, ...toBytes(`.${number}`));
      const older = lookAtName(name);
      if (older === undefined) continue;
      if (isDirectory(older)) {
        return `${fromBytes(name)} is a directory, and would have to be an ` +
          "older file of it";
      }
      // Each file replaces the older one. One that is put there later is lost
      // like that: a logger that stopped for it would lose what is written.
      const foreign = foreignness(name, older);
      if (foreign !== undefined) {
        return `${fromBytes(name)} would be replaced: ${foreign}`;
      }
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      return `too long to put .${number} behind it (${error.reason})`;
    }
  }
  return undefined;
}

function lookAtName(path: Uint8Array): FileStat | undefined {
  try {
    return lstatFile(path);
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ENOENT) {
      return undefined;
    }
    throw error;
  }
}

/** `undefined` of a file that is not there and can be made. */
function lookAtOutput(output: OutputFile): FileStat | undefined {
  const { file } = output;
  try {
    const there = lookWithoutOpening(file);
    if (there !== undefined && isFifo(there)) {
      // Who reads it would see the end of what is written, and go. So that
      // nobody does is only found out by the command's own process.
      checkMayWrite(file);
      return there;
    }
    const fd = openForAppending(file, 0);
    try {
      return fstat(fd);
    } finally {
      close(fd);
    }
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno !== Errno.ENOENT) throw failure(output, error);
  }
  try {
    checkMayMakeFiles(file.subarray(0, file.lastIndexOf(SLASH) + 1));
    return undefined;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw failure(output, new LibcError("open", error.errno));
  }
}

function lookWithoutOpening(path: Uint8Array): FileStat | undefined {
  try {
    return statFile(path);
  } catch (error) {
    // Whoever opens it hears what is wrong.
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}

function failure(output: OutputFile, error: LibcError): OutputError {
  const why = error.errno === Errno.ENXIO
    ? `${error.message}: a FIFO that nobody reads, or a socket`
    : error.message;
  return new OutputError(`option ${optionOf(output)}: ${why}`, {
    cause: error,
  });
}

/**
 * Opens files in place of standard descriptors.
 *
 * @param outputs The files, open.
 */
export function putInPlace(outputs: readonly OpenOutput[]): void {
  for (const { streams, fd } of outputs) {
    for (const standard of fdsOf({ streams })) dup3(fd, standard, 0);
    close(fd);
  }
}
