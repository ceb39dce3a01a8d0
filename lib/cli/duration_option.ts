/**
 * Options that say how long.
 *
 * @module
 */
import { parseDuration } from "../duration.ts";
import { type GivenOption, lastValue, UsageError } from "../options.ts";

/**
 * The length of time that an option says.
 *
 * @param given The options that were given.
 * @param name The option.
 * @param fallback What is returned where it was not given.
 * @returns Milliseconds.
 * @throws {UsageError} When it says what is no length of time.
 */
export function readDuration<N extends string, T extends number | undefined>(
  given: readonly GivenOption<N>[],
  name: N,
  fallback: T,
): number | T {
  const text = lastValue(given, name);
  if (text === undefined) return fallback;
  try {
    return parseDuration(text);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`option --${name}=${text}: ${error.message}`);
  }
}
