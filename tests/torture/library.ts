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
import { failInLives } from "./fail_anywhere.ts";
import { killInLives } from "./kill_anywhere.ts";
import { type Budget, leftOutRow, type Row } from "./row.ts";
import { itself } from "./trial.ts";

const PROGRAM = new URL("self_daemon.ts", import.meta.url).pathname;
const WHOSE = " of a program that is its own daemon";

/** Tries a program. */
export async function library(budget: Budget): Promise<Row[]> {
  if (CANNOT_COMPILE) {
    return [leftOutRow(`kills and failed calls${WHOSE}`, "needs a denort")];
  }
  await using box = await Sandbox.create();
  const start = performance.now();
  const subject = itself(await compileSingleThreaded(box, PROGRAM));
  const spent = (performance.now() - start) / 1000;
  const share = { ...budget, seconds: (budget.seconds - spent) / 2 };
  return [
    ...await killInLives(subject, WHOSE, share),
    ...await failInLives(subject, WHOSE, share),
  ];
}
