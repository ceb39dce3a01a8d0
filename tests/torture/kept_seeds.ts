/**
 * What the fuzz has found once. Each is tried first in every run, however short,
 * so that what was mended stays so.
 *
 * To add one: a failure prints the line for it, ready to be put in here. Keep
 * what went wrong in its `found`, for a path leads to another input once the
 * property's inputs are made in another way, and is then to be found anew.
 *
 * @module
 */

/** A way to an input that did not hold. */
export interface KeptSeed {
  /** The property, by its name in the table. */
  readonly what: string;
  /** Where its random choices start. */
  readonly seed: number;
  /** Which of them, and how it was made smaller. */
  readonly path: string;
  /** The input, and what was wrong. */
  readonly found: string;
}

/** All of them. */
export const KEPT_SEEDS: readonly KeptSeed[] = [
  {
    what: "readEnvFile() has each line, or names one that is no variable",
    seed: 1,
    path: "176:1:0:2:1",
    found: "a name with the byte 0xa0, half of a letter, was taken for a blank",
  },
];
