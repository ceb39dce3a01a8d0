/**
 * Properties that are tried for a time, with all that fast-check can think of.
 *
 * @module
 */
import fc from "fast-check";
import type { Budget, Row } from "./row.ts";

/** Something that holds for any input. */
export interface Property {
  /** What it is, for the table. */
  readonly what: string;
  /** The property. */
  readonly property: fc.IRawProperty<unknown>;
}

/** No time is so long that it would be tried more often. */
const MOST_RUNS = 200_000;
/** So often in any case: the same seed tries the same inputs, in this order. */
const LEAST_RUNS = 200;

/**
 * Tries properties one after the other, each for its share of the time.
 *
 * @param properties The properties.
 * @param budget Of all of them.
 */
export async function tryProperties(
  properties: readonly Property[],
  { seconds, seed }: Budget,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { what, property } of properties) {
    const deadline = Date.now() + seconds * 1000 / properties.length;
    let held = 0;
    let failure: string | undefined;
    // By and by: interrupted by its own clock, fast-check would not shrink.
    for (let runs = LEAST_RUNS; held < MOST_RUNS; runs *= 2) {
      const details = await fc.check(property, {
        seed: (seed + held) | 0,
        numRuns: Math.min(runs, MOST_RUNS - held),
      });
      held += details.numRuns - (details.failed ? 1 : 0);
      if (details.failed) {
        failure = `TEND_TEST_SEED=${seed}: ${fc.defaultReportMessage(details)}`;
        break;
      }
      if (Date.now() >= deadline) break;
    }
    rows.push({
      what,
      tried: held + (failure === undefined ? 0 : 1),
      held,
      failures: failure === undefined ? [] : [failure],
    });
  }
  return rows;
}
