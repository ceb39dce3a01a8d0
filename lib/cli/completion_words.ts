/**
 * What shells complete, whichever they are.
 *
 * What stands for a word in the help says how it is completed: a FILE by the
 * names of files, a DIR by those of directories, a TARGET by those in the run
 * directory, a COMMAND by those of programs, a USER by those of users, and the
 * words below by lists. Anything else is for the user to know.
 *
 * @module
 */
import { RLIMITS } from "../../ffi/limit.ts";
import { KILL_MODES } from "../monitor_state.ts";
import type { Option } from "../options.ts";
import { signalNames } from "../signal_name.ts";
import { readyWords } from "./ready_option.ts";
import { RESTART_WORDS } from "./restart_options.ts";
import type { Verb } from "./verb.ts";

/** The shells that there are completions for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
/** One of them. */
export type Shell = typeof SHELLS[number];

/**
 * The words that are one of a list.
 *
 * @param verbs The verbs that there are.
 * @returns What stands for each in the help, and its list. A word with `=` at its
 * end goes on.
 */
export function wordLists(
  verbs: readonly Verb[],
): [placeholder: string, words: readonly string[]][] {
  return [
    ["SIG", signalNames()],
    ["VERB", verbs.map(({ name }) => name)],
    ["SHELL", SHELLS],
    ["WHEN", RESTART_WORDS],
    ["HOW", readyWords()],
    ["LIMIT", Object.keys(RLIMITS).map((name) => `${name}=`)],
    ["MODE", KILL_MODES],
  ];
}

/**
 * How an option begins on a command line.
 *
 * @param option The option.
 * @returns Its letter and its name, this with `=` where a value can follow.
 */
export function optionWords({ name, letter, value }: Option): string[] {
  const words = letter === undefined ? [] : [`-${letter}`];
  if (value !== "required") words.push(`--${name}`);
  if (value !== "none") words.push(`--${name}=`);
  return words;
}

/**
 * The letters whose value is the next word.
 *
 * @param options The options of a verb.
 * @returns The letters with their dashes.
 */
export function lettersWithWord(options: readonly Option[]): string[] {
  return options.flatMap(({ letter, value }) =>
    letter !== undefined && value === "required" ? [`-${letter}`] : []
  );
}

/**
 * A word that a shell takes as it is.
 *
 * @param word Any text.
 * @returns The text in single quotes, for bash and zsh.
 */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
