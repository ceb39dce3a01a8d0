/**
 * The option that says which signal a verb sends.
 *
 * @module
 */
import { type GivenOption, lastValue, UsageError } from "../options.ts";
import { parseSignal, signalNames } from "../signal_name.ts";

/**
 * The signal that an option says.
 *
 * @param given The options that were given.
 * @param fallback What is returned where it was not given.
 * @param name The option.
 * @returns The signal's number.
 * @throws {UsageError} When it says what is no signal.
 */
export function readSignal<T extends number | undefined>(
  given: readonly GivenOption[],
  fallback: T,
  name = "signal",
): number | T {
  const text = lastValue(given, name);
  if (text === undefined) return fallback;
  try {
    return parseSignal(text);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`option --${name}=${text}: ${error.message}`, {
      word: text,
      words: signalNames().flatMap((name) => [name, `SIG${name}`]),
    });
  }
}
