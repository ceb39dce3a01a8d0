/**
 * What the torture suite tries.
 *
 * @module
 */
import { failAnywhere } from "./fail_anywhere.ts";
import { fuzz } from "./fuzz.ts";
import { hostileFiles } from "./hostile_files.ts";
import { hygiene } from "./hygiene.ts";
import { killAnywhere } from "./kill_anywhere.ts";
import { library } from "./library.ts";
import { races } from "./races.ts";
import { rivalRestarts } from "./rival_restarts.ts";
import { rivalStarts } from "./rival_starts.ts";
import { rivalStops } from "./rival_stops.ts";
import { type Budget, partOf, type Row } from "./row.ts";
import { signalAnywhere } from "./signal_anywhere.ts";
import { storms } from "./storms.ts";

/** One subject. */
export interface Subject {
  /** Tries it. */
  readonly run: (budget: Budget) => Promise<Row[]>;
  /** Its share of the time, beside the others' shares. */
  readonly weight: number;
}

/** All of them, by name. */
export const SUBJECTS: Readonly<Record<string, Subject>> = {
  hygiene: { run: hygiene, weight: 1 },
  kill: { run: killAnywhere, weight: 8 },
  fail: { run: failAnywhere, weight: 11 },
  signal: { run: signalAnywhere, weight: 5 },
  library: { run: library, weight: 5 },
  rivals: { run: rivals, weight: 5 },
  races: { run: races, weight: 12 },
  storms: { run: storms, weight: 12 },
  hostile: { run: hostileFiles, weight: 8 },
  fuzz: { run: fuzz, weight: 4 },
};

async function rivals(budget: Budget): Promise<Row[]> {
  return [
    ...await rivalStarts(partOf(budget, 0.6)),
    ...await rivalStops(partOf(budget, 0.15)),
    ...await rivalRestarts(partOf(budget, 0.25)),
  ];
}
