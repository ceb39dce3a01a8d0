/**
 * Many trials, as many as there is time for.
 *
 * @module
 */
import type { Budget, Row } from "./row.ts";
import type { Trial } from "./trial.ts";

/** A machine of few cores is shared with others; most of a life is waiting. */
const AT_ONCE = 3;

/** So many of each row are tried however short the time. */
const LEAST = 1;

/** Something to be tried, under the row of the table where it is counted. */
export interface Case {
  readonly what: string;
  /** Tries it. */
  readonly run: () => Promise<Trial>;
}

/**
 * Tries cases in random order, until there are none or no more time. However
 * short that is, there are {@linkcode LEAST} of each row.
 *
 * @param cases What there is to be tried.
 * @param budget How long, and which order.
 * @returns A row for each `what`.
 */
export async function tryCases(
  cases: readonly Case[],
  { seconds, seed }: Budget,
): Promise<Row[]> {
  const deadline = performance.now() + seconds * 1000;
  const left = shuffled(cases, seed);
  const all = new Map<string, number>();
  for (const { what } of cases) all.set(what, (all.get(what) ?? 0) + 1);
  /** Of those that are tried right now, too. */
  const begun = new Map<string, number>();
  const begin = (what: string, by: 1 | -1) =>
    begun.set(what, (begun.get(what) ?? 0) + by);
  const draw = (): Case | undefined => {
    const isDue = ({ what }: Case) => (begun.get(what) ?? 0) < LEAST;
    const due = left.findLastIndex(isDue);
    if (due >= 0) return left.splice(due, 1)[0];
    return performance.now() < deadline ? left.pop() : undefined;
  };
  const counts = new Map<string, { tried: number; failures: string[][] }>();
  const work = async () => {
    for (;;) {
      const next = draw();
      if (next === undefined) return;
      begin(next.what, 1);
      const { life, failures } = await next.run();
      // A call that was not made this time: threads and timers differ.
      if (failures.length === 0 && life?.done === undefined) {
        begin(next.what, -1);
        continue;
      }
      const count = counts.get(next.what) ?? { tried: 0, failures: [] };
      counts.set(next.what, count);
      count.tried++;
      if (failures.length > 0) count.failures.push([...failures]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return [...all].map(([what, all]) => {
    const { tried, failures } = counts.get(what) ?? { tried: 0, failures: [] };
    const held = tried - failures.length;
    return { what, tried, all, held, failures: failures.flat() };
  });
}

/** Fisher and Yates, with mulberry32. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  const result = [...items];
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
