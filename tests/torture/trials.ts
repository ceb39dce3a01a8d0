/**
 * Many trials, as many as there is time for.
 *
 * @module
 */
import type { Budget, Row } from "./row.ts";
import type { Trial } from "./trial.ts";

/** A machine of few cores is shared with others. */
const AT_ONCE = 2;

/** Something to be tried, under the row of the table where it is counted. */
export interface Case {
  readonly what: string;
  /** Tries it. */
  readonly run: () => Promise<Trial>;
}

/**
 * Tries cases in random order, until there are none or no more time.
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
  const counts = new Map<string, { tried: number; failures: string[][] }>();
  const work = async () => {
    for (;;) {
      const next = performance.now() < deadline ? left.pop() : undefined;
      if (next === undefined) return;
      const { life, failures } = await next.run();
      // A call that was not made this time: threads and timers differ.
      if (failures.length === 0 && life?.done === undefined) continue;
      const count = counts.get(next.what) ?? { tried: 0, failures: [] };
      counts.set(next.what, count);
      count.tried++;
      if (failures.length > 0) count.failures.push([...failures]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return [...new Set(cases.map(({ what }) => what))].map((what) => {
    const { tried, failures } = counts.get(what) ?? { tried: 0, failures: [] };
    const held = tried - failures.length;
    return { what, tried, held, failures: failures.flat() };
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
