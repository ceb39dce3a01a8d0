/**
 * This program, as it can be started again.
 *
 * @module
 */
import { readArgv } from "../ffi/argv.ts";
import { fromBytes } from "../ffi/c_string.ts";
import { readLink } from "../ffi/file.ts";
import { statFile } from "../ffi/file_stat.ts";
import { LibcError } from "../ffi/libc.ts";

/** A program and the arguments with which it was started. */
export interface SelfImage {
  /** The executable: Deno's or a compiled one. */
  readonly path: string;
  /** The arguments, with the program's name first. */
  readonly argv: readonly Uint8Array[];
}

const DELETED = " (deleted)";

/**
 * Finds out how this program was started.
 *
 * @param path Its executable; where it is now by default.
 * @returns The program.
 * @throws {Error} When it cannot be started again: its script came by standard
 * input and is gone, or its executable was removed.
 */
export function selfImage(path: string = findExecutable()): SelfImage {
  const fromStdin = !Deno.build.standalone &&
    /\/\$deno\$stdin|^file:\/\/\/(dev|proc)\//.test(Deno.mainModule);
  if (fromStdin) {
    throw new Error(
      "a script from standard input cannot become a daemon: " +
        "put it into a file, or compile it",
    );
  }
  const argv = readArgv();
  const inspect = argv.slice(0, argv.length - Deno.args.length)
    .map(fromBytes).find((flag) => flag.startsWith("--inspect"));
  if (inspect !== undefined) {
    throw new Error(
      `${inspect}: a program that is started again to become a daemon cannot ` +
        "share its inspector: leave this out, or do not detach",
    );
  }
  return { path, argv };
}

/**
 * The name of this program's executable. A package manager may have put a new
 * file in its place: that is meant then.
 *
 * @returns Its path, where for a moment there may be nothing.
 */
export function executablePath(): string {
  const link = readLink("/proc/self/exe");
  return link.endsWith(DELETED) ? link.slice(0, -DELETED.length) : link;
}

function findExecutable(): string {
  const path = executablePath();
  try {
    statFile(path);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw new Error(`${path}: cannot be started again (${error.reason})`);
  }
  return path;
}
