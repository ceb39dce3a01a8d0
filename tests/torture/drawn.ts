/**
 * Cases that can be counted, as many of them as there is time for.
 *
 * @module
 */
import { Random } from "../random.ts";
import type { Budget } from "./row.ts";

/**
 * Draws cases in random order until there are none, or no more time; all of them
 * when it is to go through all.
 *
 * @param cases What there is.
 * @param budget How long, and which order.
 * @param isEnough Whether it may end, for lack of time, after one or more.
 */
export function* drawn<Case>(
  cases: readonly Case[],
  { seconds, seed, extent }: Budget,
  isEnough: () => boolean = () => true,
): Generator<Case, void> {
  const deadline = extent === "through"
    ? Infinity
    : performance.now() + seconds * 1000;
  let isFirst = true;
  for (const next of new Random(seed).shuffled(cases)) {
    if (!isFirst && performance.now() > deadline && isEnough()) return;
    isFirst = false;
    yield next;
  }
}
