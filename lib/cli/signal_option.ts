/**
 * The option that says which signal a verb sends.
 *
 * @module
 */
import { type GivenOption, lastValue, UsageError } from "../options.ts";
import { parseSignal, signalNames } from "../signal_name.ts";

/**
 * The signal that `--signal` says.
 *
 * @param given The options that were given.
 * @param fallback The number of the signal to send where it says none.
 * @returns The signal's number.
 * @throws {UsageError} When it says what is no signal.
 */
export function readSignal(
  given: readonly GivenOption[],
  fallback: number,
): number {
  const text = lastValue(given, "signal");
  if (text === undefined) return fallback;
  try {
    return parseSignal(text);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`option --signal=${text}: ${error.message}`, {
      word: text,
      words: signalNames().flatMap((name) => [name, `SIG${name}`]),
    });
  }
}
