/**
 * Running a program traced, in a process of its own.
 *
 * @module
 */
import { CONFIG } from "../program.ts";
import type { Sandbox } from "../sandbox.ts";
import type { Life, Plan, Step } from "./life.ts";
import { picture } from "./picture.ts";
import type { SweepPlan } from "./sweep.ts";

const TRACER = new URL("tracer.ts", import.meta.url).pathname;
/** A life takes a second; a monitor may wait for ten before it tries again. */
const PATIENCE_MS = 45_000;

/**
 * Runs a program traced.
 *
 * @param box Where.
 * @param plan What is done to it.
 * @param steps What happens to the daemon that it starts; nothing to a verb.
 * @param argv The program with its arguments.
 * @param patience How long it may take, in milliseconds.
 */
export async function runLife(
  box: Sandbox,
  plan: Plan | SweepPlan | undefined,
  steps: readonly Step[],
  argv: readonly string[],
  patience = PATIENCE_MS,
): Promise<Life> {
  const tracer = box.start(
    [Deno.execPath(), "run", "--quiet", "-A", "--no-check"]
      .concat(`--config=${CONFIG}`, TRACER, JSON.stringify(plan ?? null))
      .concat(JSON.stringify(steps), argv),
    { env: { PATH: "/usr/bin:/bin", NO_COLOR: "1" } },
  );
  let timer: number | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patience);
  });
  const finished = await Promise.race([tracer.finished(), late]);
  clearTimeout(timer);
  if (finished === undefined) {
    throw new Error(`it does not go on: ${picture(box)}`);
  }
  if (finished.code !== 0) throw new Error(`no life: ${finished.stderr}`);
  return JSON.parse(finished.stdout);
}
