/**
 * What verbs are about: daemons by the names of their pidfiles.
 *
 * @module
 */
import { isThere } from "../../ffi/access.ts";
import { fromBytes } from "../../ffi/c_string.ts";
import { readDirectory } from "../../ffi/directory.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import { rundir } from "../dirs.ts";
import { monitorFileOf } from "../monitor_file.ts";
import { type Option, UsageError } from "../options.ts";
import { makePidfileName } from "../pidfile.ts";
import type { Operands, VerbCall } from "./verb.ts";

const SUFFIX = ".pid";
const MONITOR_SUFFIX: string = monitorFileOf(SUFFIX);
const MONITOR_LENGTH = MONITOR_SUFFIX.length - SUFFIX.length;

/** A daemon that a verb is about. */
export interface Target {
  /** What it is called: its name in the run directory, or else its pidfile. */
  readonly name: string;
  /** Its pidfile, an absolute path. */
  readonly pidfile: string;
}

/** The options that all verbs have that are about daemons. */
export const TARGET_OPTIONS = [
  {
    name: "all",
    value: "none",
    help: "all daemons of RUNDIR, in place of TARGETs",
  },
  {
    name: "json",
    value: "none",
    help: "print JSON",
  },
] as const satisfies readonly Option[];

/** The operands of these verbs. With `--all` there are none. */
export const TARGETS: Operands = {
  synopsis: "TARGET...",
  placeholder: "TARGET",
  least: 0,
  most: Infinity,
};

/**
 * The daemons that a verb is about.
 *
 * @param call How the verb is called.
 * @returns The daemons in the order in which they are named; all of the run
 * directory by their names with `--all`.
 * @throws {UsageError} When there is no word for one, and no `--all`, or both.
 * @throws {Error} When the run directory cannot be told or read.
 */
export function readTargets(
  { given, operands }: Pick<VerbCall, "given" | "operands">,
): Target[] {
  const words = operands.map(fromBytes);
  if (given.some(({ name }) => name === "all")) {
    if (words.length === 0) return allTargets();
    throw new UsageError(
      `options --all and TARGET ${words[0]} exclude each other`,
    );
  }
  if (words.length === 0) {
    throw new UsageError("TARGET is missing: name a daemon, or all with --all");
  }
  return words.map(parseTarget);
}

/**
 * The daemon that a word means. A relative pidfile is found where `--pidfile`
 * has made it.
 *
 * @param word A pidfile, with a `/` or `.pid` at its end, or a name.
 * @returns The daemon.
 * @throws {UsageError} When the word is empty.
 * @throws {Error} When the run directory is needed and nothing says where it is.
 */
export function parseTarget(word: string): Target {
  if (word === "") throw new UsageError("TARGET is empty");
  const isPidfile = word.includes("/") || word.endsWith(SUFFIX);
  return targetOf(makePidfileName(isPidfile ? word : `${word}${SUFFIX}`));
}

/**
 * All daemons that have a pidfile in the run directory, running or not, or a
 * monitor: while that backs off, anybody may remove the stale pidfile.
 *
 * @returns The daemons, by name.
 * @throws {Error} When the directory cannot be told or read; one that is not
 * there has none.
 */
export function allTargets(): Target[] {
  const directory = rundir();
  try {
    const names = readDirectory(directory).map((name) =>
      name.endsWith(MONITOR_SUFFIX) ? name.slice(0, -MONITOR_LENGTH) : name
    );
    return [...new Set(names)]
      .filter((name) => name.endsWith(SUFFIX))
      .sort()
      .map((name) => ({
        name: name.slice(0, -SUFFIX.length) || `${directory}/${name}`,
        pidfile: `${directory}/${name}`,
      }))
      // A name that is not UTF-8 is shown as another, and is none of ours.
      .filter(({ pidfile }) => !pidfile.includes("\ufffd") || isThere(pidfile));
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ENOENT) return [];
    throw new Error(`${directory}: ${error.message}`, { cause: error });
  }
}

function targetOf(pidfile: string): Target {
  const directory = `${rundirIfAny()}/`;
  const name = pidfile.startsWith(directory) && pidfile.endsWith(SUFFIX)
    ? pidfile.slice(directory.length, -SUFFIX.length)
    : "";
  const isName = name !== "" && !name.includes("/");
  return { name: isName ? name : pidfile, pidfile };
}

/** A pidfile that is named in full needs no run directory. */
function rundirIfAny(): string {
  try {
    return rundir();
  } catch (error) {
    if (error instanceof Error) return "";
    throw error;
  }
}
