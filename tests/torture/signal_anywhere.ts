/**
 * Signals that come in the midst of what others do: to a daemon, its monitor or
 * the caller's process at each call of the monitor's, or of the daemon's before
 * it is its command. What ends then has to be heard of, whatever the monitor is
 * about to do, and what was told to end has to end.
 *
 * @module
 */
import { Signal } from "../../ffi/signal.ts";
import { Sandbox } from "../sandbox.ts";
import { afterwards, settled } from "./afterwards.ts";
import type { Life, Made, Plan, Strike } from "./life.ts";
import {
  COMMANDED,
  READY,
  type Sleep,
  startArgs,
  type Subject,
} from "./lived_daemons.ts";
import { describe, picture } from "./picture.ts";
import type { Budget, Row } from "./row.ts";
import { runLife } from "./run_life.ts";
import { crashesOf, deathsOf, outputOf } from "./said.ts";
import { lifeOf, STEPS, type Trial } from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";
import {
  lifeOfVerb,
  tryVerb,
  VERB_DEEDS,
  type VerbDeed,
} from "./verb_trial.ts";

/** A signal, when it comes, and what has to hold then. */
interface Kind {
  readonly what: string;
  readonly strike: Strike;
  /** Whether it may come at a call. */
  readonly isAt: (call: Made) => boolean;
  /** What does not hold. */
  readonly check: (end: End) => string | false | undefined;
}

/** What is left, and what was said. */
interface End {
  readonly life: Life;
  readonly steps: number;
  /** The daemon, if it runs. */
  readonly daemon: number | undefined;
}

const isMonitors = ({ role }: Made) => role.startsWith("monitor");
const isDaemons = ({ role }: Made) => role === "daemon";
const isStarting = ({ there }: Made) => there?.includes("parent") === true;

const KINDS: readonly Kind[] = [
  {
    what: "SIGSEGV to a daemon",
    strike: { signal: Signal.SIGSEGV, to: "daemon" },
    isAt: isMonitors,
    check: ({ life, steps, daemon }) =>
      daemon !== undefined && "it was not stopped" ||
      life.code === 0 && life.stage < steps && "it is lost" ||
      life.code !== 0 && life.doneAt > 0 && `exit status ${life.code}`,
  },
  {
    what: "SIGTERM to a monitor",
    strike: { signal: Signal.SIGTERM, to: "monitor" },
    isAt: (call) => isMonitors(call) || isDaemons(call),
    check: ({ life, daemon }) =>
      daemon !== undefined && "it has not ended" ||
      life.code !== 0 && life.doneAt > 0 && `exit status ${life.code}`,
  },
  {
    what: "SIGKILL to a monitor",
    strike: { signal: Signal.SIGKILL, to: "monitor" },
    isAt: isDaemons,
    check: ({ life, daemon }) =>
      life.code !== 0 && daemon !== undefined &&
        `exit status ${life.code}, and a daemon runs` ||
      life.code === 0 && life.doneAt === 0 && daemon === undefined &&
        "exit status 0, and there is no daemon",
  },
  {
    what: "SIGTERM to the caller's process",
    strike: { signal: Signal.SIGTERM, to: "parent" },
    isAt: (call) => isStarting(call) && (isMonitors(call) || isDaemons(call)),
    check: ({ life, daemon }) =>
      (life.code === 0) !== (daemon !== undefined) &&
      `exit status ${life.code}, and the daemon is ${daemon}`,
  },
  {
    what: "SIGKILL to the caller's process",
    strike: { signal: Signal.SIGKILL, to: "parent" },
    isAt: (call) => isStarting(call) && (isMonitors(call) || isDaemons(call)),
    // Nobody was told anything: there is one, or none.
    check: () => undefined,
  },
];

const OF_VERBS = [
  { what: "SIGSEGV to a daemon", signal: Signal.SIGSEGV, to: "daemon" },
  { what: "SIGTERM to a monitor", signal: Signal.SIGTERM, to: "monitor" },
  { what: "SIGKILL to a monitor", signal: Signal.SIGKILL, to: "monitor" },
] as const;

/** Sends them. */
export async function signalAnywhere(budget: Budget): Promise<Row[]> {
  const deadline = performance.now() + budget.seconds * 1000;
  const isBrief = budget.extent === "brief";
  const deeds = isBrief ? ["restart"] as const : VERB_DEEDS;
  const cases = await Promise.all([
    casesOf(COMMANDED, "asleep", ""),
    ...isBrief ? [] : [
      casesOf(COMMANDED, "awake", ""),
      // Between its start and its word a monitor waits for it.
      casesOf(READY, "awake", " of a command that says when it is ready"),
    ],
    ...deeds.map((deed, i) =>
      // Each has its turn with either kind of monitor.
      casesOfVerb(deed, (i + budget.seed) % 2 === 0 ? "asleep" : "awake")
    ),
  ]);
  const seconds = (deadline - performance.now()) / 1000;
  return tryCases(cases.flat(), { ...budget, seconds });
}

/** To those that a verb is about, at each of its calls. */
async function casesOfVerb(deed: VerbDeed, sleep: Sleep): Promise<Case[]> {
  const calls = callsOf(await lifeOfVerb(deed, sleep));
  return calls.flatMap((call, index) =>
    OF_VERBS.filter(({ to }) => call.there?.includes(to)).map((strike) => ({
      what: `${strike.what} while tend ${deed} makes a call, ${sleep}`,
      run: () => tryVerb(deed, sleep, { role: "verb", index, what: strike }),
    }))
  );
}

function callsOf({ life, failures }: Trial): readonly Made[] {
  if (life !== undefined && failures.length === 0) return life.calls;
  throw new Error(failures.join("\n"));
}

/** Each signal at each call at which it can come. */
async function casesOf(
  subject: Subject,
  sleep: Sleep,
  whose: string,
): Promise<Case[]> {
  const calls = callsOf(await lifeOf(subject, sleep));
  const counts = new Map<string, number>();
  return calls.flatMap((call) => {
    const { role } = call;
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    return KINDS.filter(({ strike, isAt }) =>
      call.there?.includes(strike.to) && isAt(call)
    ).map((kind) => ({
      what: `${kind.what}${whose} at a call of the ${role}, ${sleep}`,
      run: () =>
        trySignal(subject, sleep, kind, {
          role,
          index,
          what: kind.strike,
        }),
    }));
  });
}

async function trySignal(
  subject: Subject,
  sleep: Sleep,
  { strike, check }: Kind,
  plan: Plan,
): Promise<Trial> {
  await using box = await Sandbox.create();
  const failures: string[] = [];
  let life: Life | undefined;
  try {
    const steps = STEPS[sleep];
    life = await runLife(box, plan, steps, startArgs(subject, sleep));
    failures.push(...deathsOf(life));
    if (life.done !== undefined) {
      const isCallers = strike.to === "parent";
      const daemon = await settled(box, subject, isCallers);
      const trouble = check({ life, steps: steps.length, daemon });
      if (trouble) failures.push(`${trouble}: ${picture(box)}`);
      const { code } = life;
      // Who was told to end says no more than that.
      const isStruck = isCallers && code === -strike.signal ||
        strike.signal === Signal.SIGTERM && code === 128 + Signal.SIGTERM;
      const isSaid = code > 0 && /^\w+: .+/m.test(outputOf(box));
      if (code !== 0 && !isStruck && !isSaid) {
        failures.push(`exit status ${code}: "${outputOf(box)}"`);
      }
      failures.push(...await afterwards(box, subject, sleep, daemon));
    }
    failures.push(...crashesOf(box));
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  const where = `${describe(plan, life)}, monitor ${sleep}`;
  return { life, failures: failures.map((text) => `${where}: ${text}`) };
}
