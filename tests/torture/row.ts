/** One line of the table: something that was tried, and how it went. */
export interface Row {
  /** What was tried, as the table says it. */
  readonly what: string;
  /** How many times. */
  readonly tried: number;
  /** How many there are that could be tried, where they can be counted. */
  readonly all?: number;
  /** How many of these times what tend promises held. */
  readonly held: number;
  /** What went wrong, each with what is needed to see it again. */
  readonly failures: readonly string[];
  /** Why it cannot be tried here, if it cannot. */
  readonly leftOut?: string;
}

/** What a subject may spend. */
export interface Budget {
  /** How long it may try things, in seconds. */
  readonly seconds: number;
  /** Where its random choices start. */
  readonly seed: number;
  /** How much of what can be counted is tried; `full` by default. */
  readonly extent?: Extent;
}

/**
 * `brief` is what there is time for beside other tests; `full` leaves out
 * nothing that is done in seconds; `through` goes on until all is tried, without
 * regard to the time.
 */
export type Extent = "brief" | "full" | "through";

/**
 * A part of a budget's time.
 *
 * @param budget Of what.
 * @param part How much: 1 is all.
 */
export function partOf(budget: Budget, part: number): Budget {
  return { ...budget, seconds: budget.seconds * part };
}

/**
 * The line of something that cannot be tried on this machine.
 *
 * @param what What is not tried.
 * @param leftOut What it needs, in words.
 */
export function leftOutRow(what: string, leftOut: string): Row {
  return { what, tried: 0, held: 0, failures: [], leftOut };
}

/**
 * What is wrong with a line, in words. What was never tried has not held; where
 * the machine is ours, nothing is left out.
 */
export function troubleOf(row: Row): string | undefined {
  const { what, tried, held, leftOut } = row;
  if (held < tried) return `${what}: ${tried - held} of ${tried} did not hold`;
  if (tried > 0) return undefined;
  if (leftOut === undefined) return `${what}: not tried`;
  return Deno.env.has("CI") ? `${what}: left out: ${leftOut}` : undefined;
}
