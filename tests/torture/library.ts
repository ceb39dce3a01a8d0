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
import { failInLives } from "./fail_anywhere.ts";
import { killInLives } from "./kill_anywhere.ts";
import { type Budget, leftOutRow, type Row } from "./row.ts";
import { itself } from "./trial.ts";

const PROGRAM = new URL("self_daemon.ts", import.meta.url).pathname;
const WHOSE = " of a program that is its own daemon";

const RUN = `${WHOSE}, by deno run`;

/** A life by `deno run` takes so long that a short run has no time for any. */
const LEAST_SECONDS = 30;

/** Tries a program. */
export async function library(budget: Budget): Promise<Row[]> {
  await using box = await Sandbox.create();
  const start = performance.now();
  const compiled = CANNOT_COMPILE
    ? undefined
    : await compileSingleThreaded(box, PROGRAM);
  const spent = (performance.now() - start) / 1000;
  const seconds = budget.seconds - spent;
  const runs = seconds >= LEAST_SECONDS;
  const share = { ...budget, seconds: seconds / (runs ? 4 : 2) };
  return [
    ...compiled === undefined
      ? [leftOutRow(`kills and failed calls${WHOSE}`, "needs a denort")]
      : await tryProgram(compiled, WHOSE, share),
    ...runs ? await tryProgram(await runner(box), RUN, share) : [],
  ];
}

async function tryProgram(
  program: string,
  whose: string,
  share: Budget,
): Promise<Row[]> {
  const subject = itself(program);
  return [
    ...await killInLives(subject, whose, share),
    ...await failInLives(subject, whose, share),
  ];
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
