/**
 * Finding a command.
 *
 * @module
 */
import { checkExecutable } from "../../ffi/access.ts";
import { close, read } from "../../ffi/descriptor.ts";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import { getenv } from "../../ffi/environment.ts";
import { O_NOCTTY, O_NONBLOCK, O_RDONLY, open, SLASH } from "../../ffi/file.ts";
import { isDirectory, statFile } from "../../ffi/file_stat.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import { absolutePath } from "../../ffi/working_directory.ts";
import type { Command } from "../monitor_state.ts";

const COLON = ":".charCodeAt(0);
/** Where a shell looks without PATH; what glibc's `confstr()` says. */
const DEFAULT_PATH = "/bin:/usr/bin";
/** As much of a script as the kernel looks at. */
const SCRIPT_HEAD = 256;

/** A command that cannot be run. */
export class CommandError extends Error {
  /** The class's name. */
  override readonly name = "CommandError";
  /** The command's name. */
  readonly command: string;
  /** The exit status, as shells have it: 127 not found, else 126. */
  readonly status: number;

  /**
   * @param command The command.
   * @param error What failed.
   */
  constructor(command: Uint8Array, error: LibcError) {
    super(`${fromBytes(command)}: exec failed (${error.reason})`);
    this.command = fromBytes(command);
    this.status = error.errno === Errno.ENOENT ? 127 : 126;
  }
}

/** Where a command is looked for. */
export interface Search {
  /** `PATH`, for a name without a slash. */
  readonly path: Uint8Array | undefined;
  /** What relative names are below; without it, the working directory. */
  readonly directory?: Uint8Array | undefined;
}

/**
 * Looks a command up, before anything is forked or written for it.
 *
 * @param argv The command's name and its arguments.
 * @param absolute Whether the working directory will be another.
 * @param search Where it is looked for.
 * @returns The command.
 * @throws {CommandError} When it is not there or may not be executed.
 */
export function findCommand(
  argv: readonly [Uint8Array, ...Uint8Array[]],
  absolute: boolean,
  { path, directory }: Search = { path: getenv("PATH") },
): Pick<Command, "path" | "argv"> {
  const [name] = argv;
  const isPath = name.includes(SLASH);
  const candidates = isPath ? [name] : searchPath(name, path);
  let denied: LibcError | undefined;
  for (const candidate of candidates) {
    try {
      const isBelow = directory !== undefined && candidate[0] !== SLASH;
      const path = isBelow
        ? concat(directory, Uint8Array.of(SLASH), candidate)
        : absolute
        ? absolutePath(candidate)
        : candidate;
      checkCommand(path);
      return { path, argv };
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      // As execvp() has it: one that may not be executed counts when no other
      // is found.
      const isMissing = error.errno === Errno.ENOENT ||
        error.errno === Errno.ENOTDIR;
      if (isPath || !isMissing) denied ??= error;
    }
  }
  throw new CommandError(name, denied ?? new LibcError("exec", Errno.ENOENT));
}

/**
 * Checks what can be checked of an exec without making it.
 *
 * @param path The file.
 * @throws {LibcError} When it would fail.
 */
export function checkCommand(path: Uint8Array): void {
  if (isDirectory(statFile(path))) throw new LibcError("exec", Errno.EACCES);
  checkExecutable(path);
  const interpreter = interpreterOf(path);
  if (interpreter !== undefined) checkExecutable(interpreter);
}

/** The program in the first line of a script; `undefined` of anything else. */
function interpreterOf(path: Uint8Array): Uint8Array | undefined {
  const head = new Uint8Array(SCRIPT_HEAD);
  let length: number;
  try {
    const fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    try {
      length = read(fd, head);
    } finally {
      close(fd);
    }
  } catch (error) {
    // A program may be executable and not readable.
    if (error instanceof LibcError) return undefined;
    throw error;
  }
  const line = String.fromCharCode(...head.subarray(0, length)).split("\n")[0]!;
  const interpreter = /^#![ \t]*(\/[^ \t]+)/.exec(line)?.[1];
  return interpreter === undefined
    ? undefined
    : Uint8Array.from(interpreter, (character) => character.charCodeAt(0));
}

function searchPath(
  name: Uint8Array,
  path: Uint8Array = toBytes(DEFAULT_PATH),
): Uint8Array[] {
  if (name.length === 0) return [];
  return splitAt(COLON, path).map((directory) =>
    directory.length === 0
      ? concat(toBytes("./"), name)
      : concat(directory, Uint8Array.of(SLASH), name)
  );
}

function splitAt(separator: number, bytes: Uint8Array): Uint8Array[] {
  const end = bytes.indexOf(separator);
  return end === -1
    ? [bytes]
    : [bytes.subarray(0, end), ...splitAt(separator, bytes.subarray(end + 1))];
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let length = 0;
  for (const part of parts) {
    whole.set(part, length);
    length += part.length;
  }
  return whole;
}
