/**
 * A start that is held back before one of its calls while another comes, of the
 * same pidfile: whatever the order of their steps, one of them succeeds, and the
 * other says who runs.
 *
 * @module
 */
import { Sandbox } from "../sandbox.ts";
import { afterwards, settled } from "./afterwards.ts";
import { nameOf } from "./calls.ts";
import type { Life, Made, Plan } from "./life.ts";
import { COMMANDED, startArgs } from "./lived_daemons.ts";
import { describe, picture } from "./picture.ts";
import type { Budget, Row } from "./row.ts";
import { runLife } from "./run_life.ts";
import { crashesOf, deathsOf } from "./said.ts";
import type { Trial } from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";

/** What is held back, and what the table says of it. */
interface Kind {
  readonly what: string;
  readonly argv: readonly string[];
  /** Whether it is a verb, and only what comes meanwhile a start, or a verb too. */
  readonly isVerb?: true;
  /** What comes meanwhile, if that is no start. */
  readonly rival?: readonly string[];
}

const WHAT = "a start held back before a call while another starts";
/**
 * How each is started. A monitor's file has a lock too, so it hides what is wrong
 * with the other.
 */
export const RIVAL_STARTS = {
  "with monitors": startArgs(COMMANDED, "awake"),
  "without monitors": [COMMANDED.program, "--detach", "--exec"]
    .concat("--pidfile=web.pid", COMMANDED.command),
} as const satisfies Record<string, readonly string[]>;

const STOP = [COMMANDED.program, "stop", "web"];
const KINDS: readonly Kind[] = [
  { what: WHAT, argv: RIVAL_STARTS["with monitors"] },
  { what: `${WHAT}, without monitors`, argv: RIVAL_STARTS["without monitors"] },
  {
    what:
      "tend stop of a stale pidfile held back before a call while another " +
      "starts",
    argv: STOP,
    isVerb: true,
  },
  {
    what:
      "tend stop of a stale pidfile held back before a call while another " +
      "stops it",
    argv: STOP,
    isVerb: true,
    rival: STOP,
  },
];
/** What the one says that is too late. */
export const REFUSAL =
  /: already (?:running as|monitored by) pid \d+.*, aborting$/m;
const REMOVED_LATE = /being deleted by pid \d+\n(?:.*\n)*.*, aborting$/m;
/** What a stop says of one that is about to remove a file, and does not. */
const LOCKED = /: \S+ names pid \d+, and pid \d+ has it locked, not stopped$/m;
/** Nobody's. */
const STALE = "4194304\n";

/** Tries starts. */
export async function rivalStarts(budget: Budget): Promise<Row[]> {
  const begin = performance.now();
  const cases: Case[] = [];
  for (const kind of KINDS) {
    const { life, failures } = await tryStart(kind, undefined);
    if (life === undefined || failures.length > 0) {
      return [{ what: kind.what, tried: 1, held: 0, failures }];
    }
    cases.push(
      ...plansOf(life).map((plan) => ({
        what: kind.what,
        run: () => tryStart(kind, plan),
      })),
    );
  }
  const seconds = budget.seconds - (performance.now() - begin) / 1000;
  return tryCases(cases, { ...budget, seconds });
}

function plansOf({ calls }: Life): Plan[] {
  const counts = new Map<string, number>();
  return calls.flatMap((call) => {
    const { role, number, file } = call;
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    const plan = {
      role,
      index,
      what: "rival",
      call: { number, file },
    } as const;
    return isShared(call) ? [plan] : [];
  });
}

/** Whether a call does something to the files for which they compete. */
export function isShared({ role, number, text, file, stage }: Made): boolean {
  const isOfStart = stage === 0 && role !== "parent";
  // The descriptor's file may be on its way to that name.
  return isOfStart && `${text} ${file}`.includes("/web.pid") ||
    isOfStart && nameOf(number) === "fcntl" && file?.startsWith("/") === true;
}

async function tryStart(
  { argv, isVerb, rival = isVerb ? KINDS[0]!.argv : argv }: Kind,
  plan: Plan | undefined,
): Promise<Trial> {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  // Both find what another has left, and remove it.
  Deno.writeTextFileSync(box.runPath("web.pid"), STALE);
  const failures: string[] = [];
  let life: Life | undefined;
  try {
    life = await runLife(
      box,
      plan && { ...plan, rival },
      // Without a rival a daemon is stopped once it is there.
      isVerb ? [] : ["stop"],
      argv,
    );
    failures.push(...deathsOf(life), ...crashesOf(box));
    if (life.done !== undefined) {
      failures.push(
        ...isVerb ? await brokenByVerb(box, life) : await broken(box, life),
      );
    }
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

/** It may stop what has started; but not take a pidfile away from it. */
async function brokenByVerb(
  box: Sandbox,
  { code, rival }: Life,
): Promise<string[]> {
  const failures: string[] = [];
  const daemon = await settled(box, COMMANDED);
  const said = box.read(box.path("rival.err")) ?? "";
  // Nobody waits for ever for one that is about to remove a file.
  const isFair = rival === 0 || REMOVED_LATE.test(said) || LOCKED.test(said);
  if (code !== 0 || !isFair) {
    failures.push(
      `exit status ${code}, the other's ${rival}, "${said}": ${picture(box)}`,
    );
  }
  failures.push(...await afterwards(box, COMMANDED, "awake", daemon));
  return failures;
}
