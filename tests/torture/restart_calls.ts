/**
 * Each call of a restart in its turn: it fails, or its process is killed right
 * before it.
 *
 * @module
 */
import { Sandbox } from "../sandbox.ts";
import { afterwards, settled } from "./afterwards.ts";
import type { Role } from "./life.ts";
import { startArgs, type Subject } from "./lived_daemons.ts";
import { picture } from "./picture.ts";
import type { Budget, Row } from "./row.ts";
import { runLife } from "./run_life.ts";
import { crashesOf, deathsOf } from "./said.ts";

/** A sweep takes so much longer where the machine is slow. */
const PATIENCE_MS = 300_000;

/**
 * Goes through the calls of restarts.
 *
 * @param what What it is, for the table.
 * @param subject The daemon.
 * @param sweep What is done at each call.
 * @param roles Whose calls these are.
 * @param budget The budget; but for a short form each call has its turn with each
 * error, however long that takes.
 */
export async function sweepRestarts(
  what: string,
  subject: Subject,
  sweep: "fail" | "kill",
  roles: readonly Role[],
  { seconds, extent }: Budget,
): Promise<Row> {
  await using box = await Sandbox.create();
  const failures: string[] = [];
  let [tried, held] = [0, 0];
  let isThrough = false;
  try {
    const isBrief = extent === "brief";
    const plan = { sweep, roles, ...isBrief && { seconds } };
    const argv = startArgs(subject, "awake");
    const life = await runLife(box, plan, ["crash"], argv, PATIENCE_MS);
    const { swept } = life;
    if (swept === undefined) throw new Error(`no sweep: ${picture(box)}`);
    ({ tried, held, isThrough } = swept);
    if (!isBrief && !isThrough) failures.push("it did not come to its end");
    failures.push(...swept.failures, ...deathsOf(life), ...crashesOf(box));
    const daemon = await settled(box, subject);
    if (daemon === undefined) failures.push("the daemon is lost");
    failures.push(...await afterwards(box, subject, "awake", daemon));
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  // What is seen in the end alone is no single call's.
  if (failures.length > 0 && held === tried) {
    tried = Math.max(tried, 1);
    held = tried - 1;
  }
  return {
    what,
    tried,
    ...isThrough && { all: tried },
    held,
    failures: failures.map((text) => `${what}: ${text}`),
  };
}
