/**
 * Commands that crash, again and again, in every way and at every moment.
 *
 * @module
 */
import { flatMonitors } from "./flat_monitors.ts";
import { fleets } from "./fleets.ts";
import { type Budget, partOf, type Row } from "./row.ts";
import { stormEnds } from "./storm_ends.ts";
import { stormMoments } from "./storm_moments.ts";
import { stormStopped } from "./storm_stopped.ts";
import { stormWishes } from "./storm_wishes.ts";

/** From so many seconds on there is all of them; that takes a little longer. */
const FULL_SECONDS = 60;

/** Tries crashes. */
export async function storms(budget: Budget): Promise<Row[]> {
  const isFull = budget.seconds >= FULL_SECONDS;
  return [
    ...await stormEnds(partOf(budget, 0.3), isFull),
    ...await stormMoments(partOf(budget, 0.1)),
    ...await stormStopped(isFull),
    ...await stormWishes(),
    ...await fleets(partOf(budget, 0.25), isFull),
    ...await flatMonitors(partOf(budget, 0.25), isFull),
  ];
}
