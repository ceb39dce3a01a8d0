/** One line of the table: something that was tried, and how it went. */
export interface Row {
  /** What was tried, as the table says it. */
  readonly what: string;
  /** How many times. */
  readonly tried: number;
  /** How many of these times what tend promises held. */
  readonly held: number;
  /** What went wrong, each with what is needed to see it again. */
  readonly failures: readonly string[];
}

/** What a subject may spend. */
export interface Budget {
  /** How long it may try things, in seconds. */
  readonly seconds: number;
  /** Where its random choices start. */
  readonly seed: number;
}
