/**
 * What the torture suite tries.
 *
 * @module
 */
import { failAnywhere } from "./fail_anywhere.ts";
import { hygiene } from "./hygiene.ts";
import { killAnywhere } from "./kill_anywhere.ts";
import type { Budget, Row } from "./row.ts";

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
  kill: { run: killAnywhere, weight: 10 },
  fail: { run: failAnywhere, weight: 10 },
};
