/**
 * Options on a command line. Their values stand behind `=` alone, so a word is
 * an option or none by itself, whatever comes after it.
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

/** Wrong usage of a command line. */
export class UsageError extends Error {
  /** The class's name. */
  override readonly name = "UsageError";
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
  for (const word of words) {
    if (word === "--") {
      length++;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    given.push(parseOption(options, word));
    length++;
  }
  return { given, length };
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
    given: considered.filter(isOurs).map((word) => parseOption(options, word)),
    rest: [
      ...considered.filter((word) => !isOurs(word)),
      ...words.slice(considered.length),
    ],
  };
}

function parseOption(options: readonly Option[], word: string): GivenOption {
  const { name, value } = word.startsWith("--")
    ? splitLong(word)
    : splitShort(word);
  const option = options.find((option) =>
    name === `--${option.name}` || name === `-${option.letter}`
  );
  if (option === undefined) throw new UsageError(`unknown option ${name}`);
  const hasValue = value !== undefined && (value !== "" || word.includes("="));
  if (hasValue && option.value === "none") {
    throw new UsageError(
      `option ${name} takes no value, and has ${value || "an empty one"}`,
    );
  }
  if (!hasValue && option.value === "required") {
    throw new UsageError(
      `option ${name} needs a value: ${name}=${option.placeholder}`,
    );
  }
  return { name: option.name, value: hasValue ? value : undefined };
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
 * Lists options for a help text.
 *
 * @param options The options.
 * @returns A line or more for each.
 */
export function describeOptions(options: readonly Option[]): string {
  const column = 27;
  return options.map((option) => {
    const value = option.value === "none"
      ? ""
      : option.value === "optional"
      ? `[=${option.placeholder}]`
      : `=${option.placeholder}`;
    const letter = option.letter === undefined ? "" : `-${option.letter}, `;
    const head = `  ${letter}--${option.name}${value}`;
    const [first = "", ...rest] = option.help.split("\n");
    const lines = head.length < column - 1
      ? [head.padEnd(column) + first]
      : [head, " ".repeat(column) + first];
    return [...lines, ...rest.map((line) => " ".repeat(column) + line)]
      .map((line) => `${line}\n`).join("");
  }).join("");
}
