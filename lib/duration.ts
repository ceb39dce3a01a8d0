/**
 * Lengths of time on a command line.
 *
 * @module
 */

/** Milliseconds in a unit. */
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Longer ones are no limit that anybody would live to see. */
const MOST_DAYS = 3650;

/**
 * Reads a length of time: a number and a unit, of `ms`, `s`, `m`, `h` and `d`;
 * seconds where there is none.
 *
 * @param text The text, `500ms` or `1.5h`.
 * @returns Milliseconds.
 * @throws {TypeError} When it is something else, or more than ten years.
 * @example
 * ```ts
 * import { parseDuration } from "./duration.ts";
 *
 * parseDuration("90"); // 90000
 * parseDuration("2m"); // 120000
 * ```
 */
export function parseDuration(text: string): number {
  const [, number, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ??
    [];
  if (number === undefined) {
    throw new TypeError("not a duration, as 90, 90s, 2m and 500ms are");
  }
  const ms = Math.round(Number(number) * UNITS[unit as keyof typeof UNITS]);
  if (ms > MOST_DAYS * UNITS.d) throw new TypeError("more than ten years");
  return ms;
}
