/**
 * Verbs: the first words of a command line that say what tend is to do. One
 * table of them, `verbs.ts`, serves parsing, help, man page and completions.
 *
 * @module
 */
import { fromBytes, fromUtf8, toBytes } from "../../ffi/c_string.ts";
import {
  type GivenOption,
  type Option,
  parseOptions,
  parseOptionsAnywhere,
  UsageError,
} from "../options.ts";

/** Options that belong together. */
export interface OptionGroup<N extends string = string> {
  /** Their title in the help. */
  readonly title: string;
  /** The options. */
  readonly options: readonly (Option & { readonly name: N })[];
}

/** The words behind a verb that are no options. */
export interface Operands {
  /** As the help has them: `[VERB]`. */
  readonly synopsis: string;
  /** What one is called: `VERB`. Says what completes it, too. */
  readonly placeholder: string;
  /** How many there have to be. */
  readonly least: number;
  /** How many there may be. */
  readonly most: number;
  /** Whether the first one ends the options: the others are a command's own. */
  readonly isCommand?: boolean;
}

/** A verb. */
export interface Verb<N extends string = string> {
  /** The word. */
  readonly name: string;
  /** What it does, in less than a line. */
  readonly summary: string;
  /** What there is to know about it, in lines of a terminal. */
  readonly description: string;
  /** Its options. All verbs have {@linkcode OTHER_OPTIONS} besides. */
  readonly groups: readonly OptionGroup<N>[];
  /** What it is about. */
  readonly operands: Operands;
  /** Its exit statuses and what they mean. */
  readonly statuses: readonly (readonly [status: string, meaning: string])[];
  /** Command lines that show it, and what each does. */
  readonly examples: readonly (readonly [command: string, does: string])[];
  /**
   * Does it.
   *
   * @param call How it was called.
   * @returns The exit status, if the process does not end otherwise.
   */
  run(call: VerbCall<N>): number;
  /** The exit status when it cannot be done; 1 by default. */
  readonly failure?: number;
}

/** A verb as it was called. */
export interface VerbCall<N extends string = string> {
  /** The options, in their order. */
  readonly given: readonly GivenOption<N>[];
  /** The other words. They are UTF-8, but for a command's. */
  readonly operands: readonly Uint8Array[];
  /** The table that the verb was found in. */
  readonly verbs: readonly Verb[];
}

/** The options that all verbs have. */
export const OTHER_OPTIONS = [
  {
    name: "help",
    letter: "h",
    value: "none",
    help: "display this help and exit",
  },
  {
    name: "version",
    letter: "V",
    value: "none",
    help: "display the version and exit",
  },
] as const satisfies readonly Option[];

/** What a verb has that takes options alone. */
export const NO_OPERANDS: Operands = {
  synopsis: "",
  placeholder: "",
  least: 0,
  most: 0,
};

/**
 * All options of a verb, as the help shows them.
 *
 * @param verb The verb.
 * @returns Its groups.
 */
export function optionGroups(verb: Verb): OptionGroup[] {
  return [...verb.groups, { title: "Other options", options: OTHER_OPTIONS }];
}

/**
 * All options of a verb.
 *
 * @param verb The verb.
 * @returns The options.
 */
export function optionsOf(verb: Verb): Option[] {
  return optionGroups(verb).flatMap(({ options }) => options);
}

/**
 * The verb of a name.
 *
 * @param verbs The verbs that there are.
 * @param name The name.
 * @returns The verb; `undefined` when there is none.
 */
export function findVerb(
  verbs: readonly Verb[],
  name: string | undefined,
): Verb | undefined {
  return verbs.find((verb) => verb.name === name);
}

/**
 * Takes what follows a verb apart.
 *
 * @param verb The verb.
 * @param argv The words behind it.
 * @param verbs The table that it is from.
 * @returns How it is called. How many operands there are is to be checked yet.
 * @throws {UsageError} For options that it does not have, or not like that,
 * and for words that are not UTF-8 and no command's.
 */
export function parseCall(
  verb: Verb,
  argv: readonly Uint8Array[],
  verbs: readonly Verb[],
): VerbCall {
  const options = optionsOf(verb);
  if (verb.operands.isCommand) {
    const { given, length } = parseOptions(options, argv.map(fromBytes));
    argv.slice(0, length).forEach((word) => checkUtf8(word, "option"));
    return { given, operands: argv.slice(length), verbs };
  }
  argv.forEach((word) => checkUtf8(word, "word"));
  const words = argv.map(fromBytes);
  const { given, operands } = parseOptionsAnywhere(options, words);
  return { given, operands: operands.map(toBytes), verbs };
}

/**
 * Checks how many words a verb is about.
 *
 * @param verb The verb.
 * @param call How it is called.
 * @throws {UsageError} When they are too few or too many.
 */
export function checkOperands(verb: Verb, call: VerbCall): void {
  const { placeholder, least, most } = verb.operands;
  const { operands } = call;
  if (operands.length < least) {
    throw new UsageError(`${placeholder} is missing`);
  }
  if (operands.length > most) {
    throw new UsageError(
      `${fromBytes(operands[most]!)} is one word too many`,
    );
  }
}

/** A word is told apart as text, and it is often a file's name. */
function checkUtf8(word: Uint8Array, what: string): void {
  try {
    fromUtf8(word, what);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}
