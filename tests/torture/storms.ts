/**
 * Commands that crash, again and again, in every way and at every moment.
 *
 * @module
 */
import { flatMonitors } from "./flat_monitors.ts";
import { fleets } from "./fleets.ts";
import type { Budget, Row } from "./row.ts";
import { stormEnds } from "./storm_ends.ts";
import { stormMoments } from "./storm_moments.ts";
import { stormWishes } from "./storm_wishes.ts";

/** Tries crashes. */
export async function storms({ seconds, seed }: Budget): Promise<Row[]> {
  const share = (part: number) => ({ seconds: seconds * part, seed });
  return [
    ...await stormEnds(share(0.2)),
    ...await stormMoments(share(0.15)),
    ...await stormWishes(),
    ...await fleets(share(0.25)),
    ...await flatMonitors(share(0.4)),
  ];
}
