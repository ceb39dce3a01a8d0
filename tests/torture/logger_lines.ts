/**
 * A logger whose calls fail, or read and write less: it loses no byte of what
 * its daemon writes, and writes none twice.
 *
 * @module
 */
import { Sandbox } from "../sandbox.ts";
import { plansOf } from "./fail_anywhere.ts";
import type { Life, Plan } from "./life.ts";
import type { Budget, Row } from "./row.ts";
import {
  COMMANDED,
  crashesOf,
  deathsOf,
  describe,
  picture,
  runLife,
  startArgs,
  type Trial,
} from "./trial.ts";
import { tryCases } from "./trials.ts";

const WHOSE = "of a logger, which loses no byte";
const LINES = 40;
/** So few bytes a file, that it rotates now and then. */
const ROTATION = "--log-rotate=300,20";
/** It is ready when all is written. */
const SCRIPT = `i=0
while [ $i -lt ${LINES} ]; do echo "line $i of many"; i=$((i + 1)); done
echo >&3; exec 3>&-; exec /bin/sleep 1000000`;
const EXPECTED = Array.from({ length: LINES }, (_, i) => `line ${i} of many\n`)
  .join("");

const SUBJECT = {
  ...COMMANDED,
  command: ["--output=out.log", ROTATION, "--ready=fd=3", "--"]
    .concat("/bin/sh", "-c", SCRIPT),
};

/** Lets each call of a logger fail in each way it can. */
export async function loggerLines(budget: Budget): Promise<Row[]> {
  const begin = performance.now();
  const { life, failures } = await tryLines(undefined);
  if (life === undefined || failures.length > 0) {
    const what = `a life ${WHOSE}`;
    return [{ what, tried: 1, held: 0, failures }];
  }
  const cases = plansOf(life).filter(({ role }) => role === "logger")
    .map((plan) => ({
      what: plan.what === "half"
        ? `reads and writes of less ${WHOSE}`
        : `calls that fail ${WHOSE}`,
      run: () => tryLines(plan),
    }));
  const seconds = budget.seconds - (performance.now() - begin) / 1000;
  return tryCases(cases, { ...budget, seconds });
}

async function tryLines(plan: Plan | undefined): Promise<Trial> {
  await using box = await Sandbox.create();
  const failures: string[] = [];
  let life: Life | undefined;
  try {
    const argv = startArgs(SUBJECT, "awake");
    life = await runLife(box, plan, ["terminate"], argv);
    if (life.code !== 0 || life.stage !== 1) {
      failures.push(`exit status ${life.code}: ${picture(box)}`);
    }
    failures.push(...deathsOf(life), ...crashesOf(box));
    // One that cannot write tries again after a second, and ends when it could.
    await box.until("all have ended", () => box.processes().length === 0);
    const output = outputOf(box);
    if (output !== EXPECTED) failures.push(`its files hold "${output}"`);
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  const where = describe(plan, life);
  return { life, failures: failures.map((text) => `${where}: ${text}`) };
}

/** What was written, the oldest first. */
function outputOf(box: Sandbox): string {
  return [...Deno.readDirSync(box.dir)]
    .flatMap(({ name }) => /^out\.log(?:\.(\d+))?$/.exec(name) ?? [])
    .filter((text) => text?.startsWith("out.log"))
    .map((name) => ({ name, age: Number(name.split(".")[2] ?? 0) }))
    .sort((a, b) => b.age - a.age)
    .map(({ name }) => box.read(box.path(name)) ?? "").join("");
}
