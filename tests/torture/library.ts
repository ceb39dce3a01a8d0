/**
 * Programs that make themselves daemons by the library: killed anywhere, and
 * with calls that fail. Those of one thread, which fork in place, and those of
 * `deno run`, which start anew: of their threads only the one that runs the
 * program is looked at, and the others go on while it is stopped.
 *
 * @module
 */
import { CANNOT_COMPILE, compileSingleThreaded, CONFIG } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import { failuresInLives } from "./fail_anywhere.ts";
import { type Kills, killsInLives } from "./kill_anywhere.ts";
import type { Role } from "./life.ts";
import { itself, type Sleep } from "./lived_daemons.ts";
import { type Budget, leftOutRow, type Row } from "./row.ts";
import { tryCases } from "./trials.ts";

const PROGRAM = new URL("self_daemon.ts", import.meta.url).pathname;
const WHOSE = " of a program that is its own daemon";

const RUN = `${WHOSE}, by deno run`;

/** A monitor by `deno run` that wakes reads its modules: calls of the runtime's. */
const OWN_ROLES = ["parent", "monitor", "daemon"] as const;

const BOTH = ["asleep", "awake"] as const;

/** Tries a program. */
export async function library(budget: Budget): Promise<Row[]> {
  const deadline = performance.now() + budget.seconds * 1000;
  await using box = await Sandbox.create();
  const all: Kills[] = [];
  if (!CANNOT_COMPILE) {
    const compiled = await compileSingleThreaded(box, PROGRAM);
    const isBrief = budget.extent === "brief";
    all.push(await casesOf(compiled, WHOSE, isBrief ? ["asleep"] : BOTH));
  }
  // A life by `deno run` takes so long that there is no time for it else.
  if (budget.extent === "through") {
    all.push(await casesOf(await runner(box), RUN, BOTH, OWN_ROLES));
  }
  const seconds = (deadline - performance.now()) / 1000;
  const cases = all.flatMap(({ cases }) => cases);
  return [
    ...CANNOT_COMPILE
      ? [leftOutRow(`kills and failed calls${WHOSE}`, "needs a denort")]
      : [],
    ...all.flatMap(({ rows }) => rows),
    ...await tryCases(cases, { ...budget, seconds }),
  ];
}

async function casesOf(
  program: string,
  whose: string,
  sleeps: readonly Sleep[],
  roles?: readonly Role[],
): Promise<Kills> {
  const subject = itself(program);
  const { rows, cases } = await killsInLives(subject, whose, sleeps);
  const failures = await failuresInLives(subject, whose, sleeps, roles);
  return { rows, cases: [...cases, ...failures] };
}

/** A program that is the same by `deno run`. */
async function runner(box: Sandbox): Promise<string> {
  const path = box.path("run");
  const deno = [Deno.execPath(), "run", "--quiet", "-A", "--no-check"];
  const command = [...deno, `--config=${CONFIG}`, PROGRAM].join(" ");
  const script = `#!/bin/sh\nexec ${command} "$@"\n`;
  await Deno.writeTextFile(path, script, { mode: 0o755 });
  return path;
}
