/**
 * A start that is held back before it has a lock while another comes and is
 * stopped: what the one has opened may have lost its name by then, and that name
 * may be another's.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Sandbox, TEND } from "../sandbox.ts";
import { afterwards, settled } from "./afterwards.ts";
import { nameOf } from "./calls.ts";
import type { Life, Plan } from "./life.ts";
import { COMMANDED } from "./lived_daemons.ts";
import { describe, picture } from "./picture.ts";
import { isShared, REFUSAL, RIVAL_STARTS } from "./rival_starts.ts";
import type { Budget, Row } from "./row.ts";
import { runLife } from "./run_life.ts";
import { crashesOf, deathsOf } from "./said.ts";
import type { Trial } from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";

/** What comes meanwhile, besides the other; and what has to hold then. */
interface Kind {
  readonly what: string;
  /** Runs behind the other and its stop. */
  readonly third: string;
  readonly check: (box: Sandbox, life: Life) => Promise<string[]>;
}

const F_SETLK = "6";

/** Its stop is over long before: nobody has a lock for which it would wait. */
const HELD_MS = 60_000;

/**
 * A third start, by the protocol of Open vSwitch's programs: it has locked the
 * temporary file when the one goes on, and gives it its name a little later.
 */
const THIRD = `
import fcntl, os, sys, time
pidfile, locked = sys.argv[1:]
file = open(pidfile + ".tmp", "w")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
open(locked, "w").close()
time.sleep(0.3)
file.write(f"{os.getpid()}\\n")
file.flush()
os.rename(pidfile + ".tmp", pidfile)
time.sleep(600)`;

const WHAT = "a start held back before its lock while another starts";
const KINDS: readonly Kind[] = [
  { what: `${WHAT} and stops`, third: ":", check: isAlone },
  {
    what: `${WHAT} and stops, and a third is in the middle of it`,
    third: `python3 -c '${THIRD}' "$pidfile" "$locked" &
until [ -e "$locked" ]; do kill -0 $! || exit 9; sleep 0.01; done`,
    check: hasLost,
  },
];

/** Tries starts that have opened the first of their files, and not locked it. */
export async function rivalStops(budget: Budget): Promise<Row[]> {
  const begin = performance.now();
  const cases: Case[] = [];
  for (const [where, argv] of Object.entries(RIVAL_STARTS)) {
    const { life, failures } = await tryStart(KINDS[0]!, argv, undefined);
    if (life === undefined || failures.length > 0) {
      return [{
        what: `${KINDS[0]!.what}, ${where}`,
        tried: 1,
        held: 0,
        failures,
      }];
    }
    cases.push(
      ...plansOf(life).flatMap((plan) =>
        KINDS.map((kind) => ({
          what: `${kind.what}, ${where}`,
          run: () => tryStart(kind, argv, plan),
        }))
      ),
    );
  }
  const seconds = budget.seconds - (performance.now() - begin) / 1000;
  return tryCases(cases, { ...budget, seconds });
}

/** Between its open and its lock, in which the file may lose its name. */
function plansOf({ calls }: Life): Plan[] {
  const counts = new Map<string, number>();
  const plans: Plan[] = [];
  for (const call of calls) {
    const { role, number, file, second } = call;
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    const isOpen = nameOf(number) === "fcntl" && file?.includes("/web.pid");
    if (!isShared(call) || !isOpen) continue;
    plans.push({ role, index, what: "rival", call: { number, file } });
    if (second === F_SETLK) break;
  }
  return plans;
}

async function tryStart(
  { third, check }: Kind,
  argv: readonly string[],
  plan: Plan | undefined,
): Promise<Trial> {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  const script = `pidfile=$1 locked=$2; shift 2
"$@" && "${TEND}" stop web || exit
${third}`;
  const rival = ["sh", "-c", script, "sh", box.runPath("web.pid")]
    .concat(box.path("locked"), argv);
  const failures: string[] = [];
  let life: Life | undefined;
  try {
    life = await runLife(
      box,
      plan && { ...plan, rival, patience: HELD_MS },
      // Without a rival a daemon is stopped once it is there.
      ["stop"],
      argv,
    );
    failures.push(...deathsOf(life), ...crashesOf(box));
    if (life.done !== undefined) failures.push(...await check(box, life));
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  const where = describe(plan, life);
  return { life, failures: failures.map((text) => `${where}: ${text}`) };
}

/** Nobody else runs any more: it has to. */
async function isAlone(
  box: Sandbox,
  { code, rival }: Life,
): Promise<string[]> {
  const said = box.read(box.path("traced.err"));
  assertEquals([code, rival, said], [0, 0, ""], picture(box));
  const daemon = await settled(box, COMMANDED);
  return await afterwards(box, COMMANDED, "awake", daemon);
}

/** The third one runs, and has its pidfile. */
async function hasLost(
  box: Sandbox,
  { code, rival }: Life,
): Promise<string[]> {
  const said = box.read(box.path("traced.err")) ?? "";
  assertEquals([code, rival], [1, 0], `"${said}": ${picture(box)}`);
  assertMatch(said, REFUSAL);
  const third = await box.until("the third one has its pidfile", () => {
    const holder = box.holder("web.pid");
    return box.pidfile("web.pid") === holder && holder;
  });
  assertEquals(
    [COMMANDED.daemons(box, box.processes()), box.runFiles()],
    [[], ["web.pid"]],
  );
  Deno.kill(third, "SIGKILL");
  await box.until("it has ended", () => box.processes().length === 0);
  return await afterwards(box, COMMANDED, "awake", undefined);
}
