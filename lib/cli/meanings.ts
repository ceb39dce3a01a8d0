/**
 * What the words in capitals mean, in help and man page.
 *
 * @module
 */
import { RLIMITS } from "../../ffi/limit.ts";
import { logdir, rundir } from "../dirs.ts";
import { DESTINATIONS, LEVELS, MODULES } from "../vlog_levels.ts";

/** A word in capitals. */
interface Meaning {
  /** The word. */
  readonly word: string;
  /** What it means on this machine, for this user. */
  readonly here: () => string;
  /** What it means to everybody, when that is something else. */
  readonly everywhere?: string;
}

/** In an order in which each stands before those that it mentions. */
const MEANINGS: readonly Meaning[] = [
  {
    word: "TARGET",
    here: () =>
      "the NAME of RUNDIR/NAME.pid, or a pidfile: a FILE\n" +
      "with / in it, or .pid at its end",
  },
  {
    word: "FILE",
    here: () => "a file; a pidfile that is relative is below RUNDIR",
  },
  {
    word: "SIZE",
    here: () => "a number of bytes, with K, M or G for more",
  },
  { word: "DIR", here: () => "a directory" },
  {
    word: "LIMIT",
    here: () => "RESOURCE=SOFT[:HARD], numbers, with K, M or G, or\nunlimited",
  },
  {
    word: "RESOURCE",
    here: () => {
      const names = Object.keys(RLIMITS).sort();
      const lines = [names.slice(0, 7), names.slice(7, 12), names.slice(12)];
      return lines.map((line) => line.join(", ")).join(",\n");
    },
  },
  {
    word: "USER",
    here: () => "a user's name or number, with :GROUP for another\ngroup",
  },
  { word: "VARIABLE", here: () => "NAME=VALUE; the value is taken as it is" },
  {
    word: "HOW",
    here: () =>
      "exec: it is executed; notify: it says so as do\n" +
      "systemd's daemons; fd=N: it writes a newline to\n" +
      "descriptor N, as do those of s6; tcp=[HOST:]PORT,\n" +
      "unix=PATH: something accepts there; file=PATH: that\n" +
      "appears; delay=DURATION: it has lived so long",
  },
  {
    word: "DURATION",
    here: () => "a number and ms, s, m, h or d; seconds without",
  },
  {
    word: "SIG",
    here: () => "a signal: TERM, SIGTERM or 15",
  },
  {
    word: "SPEC",
    here: () => "[MODULE[:DESTINATION[:LEVEL]]]",
  },
  { word: "MODULE", here: () => `${MODULES.join(", ")}\nor any` },
  { word: "DESTINATION", here: () => `${DESTINATIONS.join(", ")} or any` },
  { word: "LEVEL", here: () => LEVELS.join(", ") },
  {
    word: "RUNDIR",
    here: () => `${describe(rundir)} (TEND_RUNDIR)`,
    everywhere: "/run/tend for root, and $XDG_RUNTIME_DIR/tend or\n" +
      "~/.local/state/tend for others, unless TEND_RUNDIR\n" +
      "names another directory",
  },
  {
    word: "LOGDIR",
    here: () => `${describe(logdir)} (TEND_LOGDIR)`,
    everywhere: "/var/log/tend for root, and $XDG_STATE_HOME/tend or\n" +
      "~/.local/state/tend for others, unless TEND_LOGDIR\n" +
      "names another directory",
  },
];

/** The help has to appear where no directory can be told, too. */
function describe(directory: () => string): string {
  try {
    return directory();
  } catch (error) {
    if (error instanceof Error) return `unknown: ${error.message}`;
    throw error;
  }
}

/**
 * Explains the words in capitals of a text.
 *
 * @param text The text.
 * @param where Whether the directories are this user's.
 * @returns Words and what they mean, of the text and of the meanings.
 */
export function meaningsIn(
  text: string,
  where: "here" | "everywhere",
): [word: string, meaning: string][] {
  const found: [string, string][] = [];
  let seen = text;
  for (const { word, here, everywhere } of MEANINGS) {
    if (!RegExp(`\\b${word}\\b`).test(seen)) continue;
    const meaning = (where === "everywhere" && everywhere) || here();
    found.push([word, meaning]);
    seen += `\n${meaning}`;
  }
  return found;
}
