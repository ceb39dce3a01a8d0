/**
 * Programs that make themselves daemons by the library: killed anywhere, and
 * with calls that fail.
 *
 * Those of one thread, which fork in place: where one of several is stopped, the
 * others go on.
 *
 * @module
 */
import { CANNOT_COMPILE, compileSingleThreaded } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import { failuresInLives } from "./fail_anywhere.ts";
import { killsInLives } from "./kill_anywhere.ts";
import { type Budget, leftOutRow, type Row } from "./row.ts";
import { itself } from "./trial.ts";
import { tryCases } from "./trials.ts";

const PROGRAM = new URL("self_daemon.ts", import.meta.url).pathname;
const WHOSE = " of a program that is its own daemon";

/** Tries a program. */
export async function library(budget: Budget): Promise<Row[]> {
  if (CANNOT_COMPILE) {
    return [leftOutRow(`kills and failed calls${WHOSE}`, "needs a denort")];
  }
  const deadline = performance.now() + budget.seconds * 1000;
  await using box = await Sandbox.create();
  const subject = itself(await compileSingleThreaded(box, PROGRAM));
  const { rows, cases } = await killsInLives(subject, WHOSE);
  const all = [...cases, ...await failuresInLives(subject, WHOSE)];
  const seconds = (deadline - performance.now()) / 1000;
  return [...rows, ...await tryCases(all, { ...budget, seconds })];
}
