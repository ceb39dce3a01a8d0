/**
 * Properties that are tried for a time, with all that fast-check can think of.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import fc from "fast-check";
import { KEPT_SEEDS, type KeptSeed } from "./kept_seeds.ts";
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
 * Tries properties one after the other, each for its share of the time: first
 * what has failed once.
 *
 * @param properties The properties.
 * @param budget Of all of them.
 * @param kept What has failed.
 */
export async function tryProperties(
  properties: readonly Property[],
  { seconds, seed }: Budget,
  kept: readonly KeptSeed[] = KEPT_SEEDS,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { what, property } of properties) {
    const deadline = Date.now() + seconds * 1000 / properties.length;
    const again = kept.filter((kept) => kept.what === what);
    let held = 0;
    let failure: string | undefined;
    for (const { seed, path } of again) {
      failure = await failureOf(what, property, { seed, path, numRuns: 1 });
      if (failure !== undefined) break;
      held++;
    }
    // By and by: interrupted by its own clock, fast-check would not shrink.
    for (
      let runs = LEAST_RUNS;
      failure === undefined && held < MOST_RUNS;
      runs *= 2
    ) {
      const numRuns = Math.min(runs, MOST_RUNS - held);
      const start = { seed: (seed + held - again.length) | 0, numRuns };
      failure = await failureOf(what, property, start);
      held += failure === undefined ? numRuns : 0;
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

/** Tries a property, and says what did not hold and how to keep that. */
async function failureOf(
  what: string,
  property: fc.IRawProperty<unknown>,
  start: { seed: number; path?: string; numRuns: number },
): Promise<string | undefined> {
  const details = await fc.check(property, start);
  if (!details.failed) return undefined;
  const { seed, counterexamplePath: path } = details;
  const line = JSON.stringify({ what, seed, path, found: "..." });
  return `${fc.defaultReportMessage(details)}\nfor kept_seeds.ts: ${line}`;
}

/**
 * The row of what has failed once, of properties that there are no more: nobody
 * would notice that it is not tried.
 *
 * @param rows Those of all properties.
 * @param kept What has failed.
 */
export function lostSeeds(
  rows: readonly Row[],
  kept: readonly KeptSeed[] = KEPT_SEEDS,
): Row {
  const lost = kept.filter(({ what }) =>
    rows.every((row) => row.what !== what)
  );
  return {
    what: "kept seeds that are tried first, each for a property that there is",
    tried: kept.length,
    held: kept.length - lost.length,
    failures: lost.map(({ what }) => `kept_seeds.ts: no property "${what}"`),
  };
}

/** Of what words are made that are nearly right. */
const PIECES = ["-", "--", "=", "", "é", "\u{1f600}", "\ufeff", " ", "0", "\n"];

/** Any word, or one that is nearly one of these. */
export function nearly(words: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.constantFrom(...words, ...PIECES);
  return fc.oneof(
    fc.constantFrom(...words),
    fc.array(piece, { maxLength: 4 }).map((pieces) => pieces.join("")),
    fc.string({ unit: "binary", maxLength: 12 }),
  );
}

/** Does what may say that its input is wrong: with that error, and a text. */
export function valueOrError<T>(
  kind: new (...args: never[]) => Error,
  make: () => T,
): T | undefined {
  try {
    return make();
  } catch (error) {
    assert(error instanceof kind, `it threw ${error}`);
    assert(error.message !== "");
    return undefined;
  }
}
