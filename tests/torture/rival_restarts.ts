/**
 * A restart that is held back before one of its calls while a server of Open
 * vSwitch is started with the same pidfile. That knows nothing of monitors: the
 * pidfile's lock alone keeps the two apart.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { Sandbox } from "../sandbox.ts";
import type { Life, Plan } from "./life.ts";
import { COMMANDED, startArgs } from "./lived_daemons.ts";
import { describe, picture } from "./picture.ts";
import { type Budget, leftOutRow, type Row } from "./row.ts";
import { runLife } from "./run_life.ts";
import { crashesOf, deathsOf } from "./said.ts";
import type { Trial } from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";

const WHAT =
  "a restart held back before a call while an ovsdb-server starts: one runs";

/** Tries restarts in one go: others take the pidfile as a start does. */
export async function rivalRestarts(budget: Budget): Promise<Row[]> {
  if (WITHOUT_OVSDB) return [leftOutRow(WHAT, "needs ovsdb-server")];
  const begin = performance.now();
  const { life, failures } = await tryRestart(undefined);
  if (life === undefined || failures.length > 0) {
    return [{ what: WHAT, tried: 1, held: 0, failures }];
  }
  let count = 0;
  const cases: Case[] = life.calls.flatMap(({ role, number, file, stage }) => {
    if (role !== "daemon") return [];
    const index = count++;
    if (stage === 0) return [];
    const plan = {
      role,
      index,
      what: "rival",
      call: { number, file },
    } as const;
    return [{ what: WHAT, run: () => tryRestart(plan) }];
  });
  const seconds = budget.seconds - (performance.now() - begin) / 1000;
  return tryCases(cases, { ...budget, seconds });
}

async function tryRestart(plan: Plan | undefined): Promise<Trial> {
  await using box = await Sandbox.create();
  const failures: string[] = [];
  let life: Life | undefined;
  try {
    const server = await Ovsdb.create(box);
    const env = { ...server.env, PATH: Deno.env.get("PATH") ?? "" };
    const rival = [
      "env",
      ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
      ...server.argv("--detach", `--pidfile=${box.runPath("web.pid")}`),
    ];
    life = await runLife(
      box,
      plan && { ...plan, rival },
      plan === undefined ? ["crash", "terminate"] : ["crash"],
      startArgs(COMMANDED, "awake"),
    );
    failures.push(...deathsOf(life), ...crashesOf(box));
    if (life.done !== undefined) {
      // It runs, or has found that another does.
      assert(life.rival === 0 || life.rival === 1, `${life.rival}`);
      await untilOneRuns(box, life.rival);
    }
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  const where = describe(plan, life);
  return { life, failures: failures.map((text) => `${where}: ${text}`) };
}

/** The server, which has said that it runs, or our command. */
async function untilOneRuns(
  box: Sandbox,
  rival: number | undefined,
): Promise<void> {
  await box.until("one of them runs, and has the pidfile", () => {
    const holder = box.holder("web.pid");
    const commands = COMMANDED.daemons(box, box.processes());
    if (holder === undefined || box.pidfile("web.pid") !== holder) return false;
    return rival === 0
      ? commands.length === 0
      : commands.length === 1 && commands[0] === holder;
  }).catch((error) => {
    throw new Error(`${error.message}, the server's ${rival}: ${picture(box)}`);
  });
}
