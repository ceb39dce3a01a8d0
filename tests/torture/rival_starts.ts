/**
 * A start that is held back before one of its calls while another comes, of the
 * same pidfile: whatever the order of their steps, one of them succeeds, and the
 * other says who runs.
 *
 * @module
 */
import { Sandbox } from "../sandbox.ts";
import { nameOf } from "./calls.ts";
import type { Life, Made, Plan } from "./life.ts";
import type { Budget, Row } from "./row.ts";
import {
  afterwards,
  COMMANDED,
  crashesOf,
  deathsOf,
  describe,
  picture,
  runLife,
  settled,
  startArgs,
  type Trial,
} from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";

const WHAT = "a start held back before a call while another starts";
/** What the one says that is too late. */
const REFUSAL = /: already (?:running as|monitored by) pid \d+.*, aborting$/m;

/** Tries starts. */
export async function rivalStarts(budget: Budget): Promise<Row[]> {
  const begin = performance.now();
  const { life, failures } = await tryStart(undefined);
  if (life === undefined || failures.length > 0) {
    return [{ what: WHAT, tried: 1, held: 0, failures }];
  }
  const counts = new Map<string, number>();
  const cases: Case[] = life.calls.flatMap((call) => {
    const index = counts.get(call.role) ?? 0;
    counts.set(call.role, index + 1);
    if (!isShared(call)) return [];
    const { role, number, file } = call;
    const plan = {
      role,
      index,
      what: "rival",
      call: { number, file },
    } as const;
    return [{ what: WHAT, run: () => tryStart(plan) }];
  });
  const seconds = budget.seconds - (performance.now() - begin) / 1000;
  return tryCases(cases, { ...budget, seconds });
}

/** Whether a call does something to the files for which they compete. */
function isShared({ role, number, text, file, stage }: Made): boolean {
  const isOfStart = stage === 0 && (role === "monitor" || role === "daemon");
  // The descriptor's file may be on its way to that name.
  return isOfStart && `${text} ${file}`.includes("/web.pid") ||
    isOfStart && nameOf(number) === "fcntl" && file?.startsWith("/") === true;
}

async function tryStart(plan: Plan | undefined): Promise<Trial> {
  await using box = await Sandbox.create();
  const failures: string[] = [];
  let life: Life | undefined;
  try {
    life = await runLife(
      box,
      plan,
      // Without a rival it is stopped once it is there.
      ["stop"],
      startArgs(COMMANDED, "awake"),
    );
    failures.push(...deathsOf(life), ...crashesOf(box));
    if (life.done !== undefined) failures.push(...await broken(box, life));
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  const where = describe(plan, life);
  return { life, failures: failures.map((text) => `${where}: ${text}`) };
}

async function broken(box: Sandbox, { code, rival }: Life): Promise<string[]> {
  const failures: string[] = [];
  const starts = [
    { code, said: box.read(box.path("traced.err")) ?? "" },
    { code: rival, said: box.read(box.path("rival.err")) ?? "" },
  ];
  const daemon = await settled(box, COMMANDED);
  const lost = starts.filter(({ code }) => code !== 0);
  if (lost.length !== 1) {
    failures.push(`exit status ${code}, the other's ${rival}: ${picture(box)}`);
  }
  for (const { code, said } of lost) {
    if (!REFUSAL.test(said)) failures.push(`exit status ${code}: "${said}"`);
  }
  failures.push(...await afterwards(box, COMMANDED, "awake", daemon));
  return failures;
}
