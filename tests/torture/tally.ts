/**
 * Counts what was tried and what has held.
 *
 * @module
 */
import type { Row } from "./row.ts";

/** No table shows more. */
const MOST_FAILURES = 20;

/** One line of the table in the making. */
export class Tally implements Row {
  /** What was tried. */
  readonly what: string;
  /** How many there are that could be tried. */
  declare readonly all?: number;
  /** How often. */
  tried = 0;
  /** How often it has held. */
  held = 0;
  /** What has not. */
  readonly failures: string[] = [];

  /**
   * @param what What is tried.
   * @param all How many there are of that, where they can be counted.
   */
  constructor(what: string, all?: number) {
    this.what = what;
    if (all !== undefined) this.all = all;
  }

  /**
   * Tries something once.
   *
   * @param details What it takes to see it again.
   * @param attempt Tries it, and throws when it does not hold.
   */
  async attempt(
    details: string,
    attempt: () => Promise<void> | void,
  ): Promise<void> {
    try {
      await attempt();
      this.note(undefined);
    } catch (error) {
      const text = error instanceof Error ? error.message : `${error}`;
      this.note(`${details}: ${stripAnsiCode(text)}`);
    }
  }

  /**
   * Notes how something came out.
   *
   * @param failure What has not held, if anything.
   */
  note(failure: string | undefined): void {
    this.tried++;
    if (failure === undefined) this.held++;
    else if (this.failures.length < MOST_FAILURES) this.failures.push(failure);
  }
}

/** A table is for files too. */
function stripAnsiCode(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[0-9;]*m/g, "");
}
