/**
 * Options on a command line. The value of a name stands behind `=` alone:
 * `--signal=HUP`. The value of a letter stands behind `=`, or at once behind the
 * letter, or, where there has to be one, in the next word: `-s HUP`.
 *
 * @module
 */

/** An option that a program takes. */
export interface Option {
  /** Its name, without dashes. */
  readonly name: string;
  /** Its one-letter name. */
  readonly letter?: string;
  /** Whether it has a value, `--name=VALUE`. */
  readonly value: "none" | "optional" | "required";
  /** What the value is called in the help. */
  readonly placeholder?: string;
  /** What it does, for the help. */
  readonly help: string;
}

/** An option as it was given. */
export interface GivenOption<N extends string = string> {
  /** Which one. */
  readonly name: N;
  /** Its value, if it has one. */
  readonly value: string | undefined;
}

/** Options and what follows them. */
export interface ParsedOptions<N extends string = string> {
  /** The options, in their order. */
  readonly given: readonly GivenOption<N>[];
  /** How many words they are, with a `--` behind them. */
  readonly length: number;
}

/** A word that is none of those that it has to be one of. */
export interface Misspelt {
  /** The word. */
  readonly word: string;
  /** Those that it could have been. */
  readonly words: readonly string[];
}

/** Wrong usage of a command line. */
export class UsageError extends Error {
  /** The class's name. */
  override readonly name = "UsageError";
  /** What may have been meant, to be looked for by whoever shows the error. */
  readonly misspelt: Misspelt | undefined;

  /**
   * @param message What is wrong.
   * @param misspelt The word that is unknown, if that is it.
   */
  constructor(message: string, misspelt?: Misspelt) {
    super(message);
    this.misspelt = misspelt;
  }
}

/**
 * Takes the options from the beginning of a command line. They end at the first
 * word that is none, or at `--`.
 *
 * @param options The options that there are.
 * @param words The command line.
 * @returns The options that were given.
 * @throws {UsageError} For an unknown option, one without the value that it
 * needs, and one with a value that it does not take.
 */
export function parseOptions<const O extends readonly Option[]>(
  options: O,
  words: readonly string[],
): ParsedOptions<O[number]["name"]> {
  const given: GivenOption<O[number]["name"]>[] = [];
  let length = 0;
  while (length < words.length) {
    const word = words[length]!;
    if (word === "--") {
      length++;
      break;
    }
    if (!isOption(word)) break;
    const option = parseOption(options, word, words[length + 1]);
    given.push(option.given);
    length += option.length;
  }
  return { given, length };
}

/**
 * Takes the options from anywhere on a command line. From `--` on there are
 * none.
 *
 * @param options The options that there are.
 * @param words The command line.
 * @returns The options that were given, and all other words.
 * @throws {UsageError} As {@linkcode parseOptions}.
 */
export function parseOptionsAnywhere<const O extends readonly Option[]>(
  options: O,
  words: readonly string[],
): { given: GivenOption<O[number]["name"]>[]; operands: string[] } {
  const given: GivenOption<O[number]["name"]>[] = [];
  const operands: string[] = [];
  let i = 0;
  while (i < words.length) {
    const word = words[i]!;
    if (word === "--") {
      operands.push(...words.slice(i + 1));
      break;
    }
    if (isOption(word)) {
      const option = parseOption(options, word, words[i + 1]);
      given.push(option.given);
      i += option.length;
    } else {
      operands.push(word);
      i++;
    }
  }
  return { given, operands };
}

/**
 * Takes the options out of a command line that has others too.
 *
 * @param options The options that there are.
 * @param words The command line.
 * @returns The options that were given, and all other words; those from `--`
 * on are left alone.
 * @throws {UsageError} For an option without the value that it needs, and for
 * one with a value that it does not take.
 */
export function takeOptions<const O extends readonly Option[]>(
  options: O,
  words: readonly string[],
): { given: GivenOption<O[number]["name"]>[]; rest: string[] } {
  const end = words.indexOf("--");
  const considered = end === -1 ? words : words.slice(0, end);
  const isOurs = (word: string) =>
    word.startsWith("--") &&
    options.some(({ name }) => name === splitLong(word).name.slice(2));
  return {
    given: considered.filter(isOurs)
      .map((word) => parseOption(options, word).given),
    rest: [
      ...considered.filter((word) => !isOurs(word)),
      ...words.slice(considered.length),
    ],
  };
}

function isOption(word: string): boolean {
  return word.startsWith("-") && word !== "-";
}

/** One option, and how many words it takes. */
function parseOption(
  options: readonly Option[],
  word: string,
  next?: string,
): { given: GivenOption; length: number } {
  const isLong = word.startsWith("--");
  const { name, value } = isLong ? splitLong(word) : splitShort(word);
  const option = options.find((option) =>
    name === `--${option.name}` || name === `-${option.letter}`
  );
  if (option === undefined) {
    throw new UsageError(`unknown option ${name}`, {
      // All of it: `-detach` is a name with a dash too few.
      word: splitLong(word).name,
      words: options.map((option) => `--${option.name}`),
    });
  }
  const hasValue = value !== undefined && (value !== "" || word.includes("="));
  if (hasValue && option.value === "none") {
    throw new UsageError(
      `option ${name} takes no value, and has ${value || "an empty one"}`,
    );
  }
  if (!hasValue && option.value === "required") {
    if (!isLong && next !== undefined) {
      return { given: { name: option.name, value: next }, length: 2 };
    }
    const between = isLong ? "=" : " ";
    throw new UsageError(
      `option ${name} needs a value: ${name}${between}${option.placeholder}`,
    );
  }
  const given = { name: option.name, value: hasValue ? value : undefined };
  return { given, length: 1 };
}

function splitShort(word: string): { name: string; value: string } {
  // By characters: one may be more than a unit of UTF-16.
  const [dash, letter = "", ...value] = word;
  return { name: `${dash}${letter}`, value: value.join("").replace(/^=/, "") };
}

function splitLong(word: string): { name: string; value: string | undefined } {
  const equals = word.indexOf("=");
  return equals === -1
    ? { name: word, value: undefined }
    : { name: word.slice(0, equals), value: word.slice(equals + 1) };
}

/**
 * The last value of an option.
 *
 * @param given The options that were given.
 * @param name The option.
 * @returns Its value; `undefined` when it was not given, or has none.
 */
export function lastValue<N extends string>(
  given: readonly GivenOption<N>[],
  name: N,
): string | undefined {
  return given.findLast((option) => option.name === name)?.value;
}

/**
 * How an option is written.
 *
 * @param option The option.
 * @returns Its letter, if it has one, and its name, with what its value is
 * called: `--pidfile[=FILE]`.
 */
export function optionForms(option: Option): string[] {
  const value = option.value === "none"
    ? ""
    : option.value === "optional"
    ? `[=${option.placeholder}]`
    : `=${option.placeholder}`;
  const long = `--${option.name}${value}`;
  return option.letter === undefined ? [long] : [`-${option.letter}`, long];
}

/**
 * Lists options for a help text.
 *
 * @param options The options.
 * @returns A line or more for each.
 */
export function describeOptions(options: readonly Option[]): string {
  return options.map((option) =>
    explain(optionForms(option).join(", "), option.help)
  ).join("");
}

/**
 * Explains a word in a help text.
 *
 * @param word The word.
 * @param help The explanation, of a line or more.
 * @returns The lines, all explanations in the same column.
 */
export function explain(word: string, help: string): string {
  const column = 27;
  const head = `  ${word}`;
  const [first = "", ...rest] = help.split("\n");
  const lines = head.length < column - 1
    ? [head.padEnd(column) + first]
    : [head, " ".repeat(column) + first];
  return [...lines, ...rest.map((line) => " ".repeat(column) + line)]
    .map((line) => `${line}\n`).join("");
}
