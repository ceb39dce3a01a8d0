/**
 * Doing one thing to a verb while it does something to a daemon, and looking
 * whether what tend promises holds after that.
 *
 * @module
 */
import { Signal } from "../../ffi/signal.ts";
import { isAlive, parentOf } from "../proc.ts";
import { untilAsleep, untilItWaits } from "../monitored.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { afterwards, settled } from "./afterwards.ts";
import { heldBy, leaksOf } from "./descriptors.ts";
import type { Life, Plan, Strike } from "./life.ts";
import { COMMANDED, type Sleep, startArgs } from "./lived_daemons.ts";
import { describe, picture } from "./picture.ts";
import { runLife } from "./run_life.ts";
import { crashesOf, deathsOf, outputOf, unsaid } from "./said.ts";
import type { Trial } from "./trial.ts";
import { undisturbed } from "./trials.ts";

/** What a verb is to do to a daemon. */
interface Deed {
  readonly args: readonly string[];
  /** What is wrong when it says that it has done that, if anything. */
  readonly lie: (after: After) => string | false | undefined;
}

/** What a verb found, said, and left. */
interface After {
  /** The daemon before. */
  readonly before: number;
  /** The daemon when nothing changed any more. */
  readonly daemon: number | undefined;
  readonly output: string;
}

const DEEDS = {
  status: {
    args: ["status", "web"],
    lie: ({ before, daemon, output }) =>
      daemon !== before && "the daemon is another" ||
      // After the state there may be what it could not read.
      !new RegExp(`\\brunning\\b.* ${before} `).test(output) &&
        `it does not show pid ${before} as running`,
  },
  restart: {
    args: ["restart", "web"],
    lie: ({ before, daemon }) =>
      (daemon === undefined || daemon === before) && "it was not restarted",
  },
  stop: {
    args: ["stop", "web"],
    lie: ({ daemon }) => daemon !== undefined && "it runs",
  },
  "stop by force": {
    // Nothing ends of SIGCONT.
    args: ["stop", "--signal=CONT", "--timeout=20ms", "web"],
    lie: ({ daemon }) => daemon !== undefined && "it runs",
  },
} as const satisfies Record<string, Deed>;

/** One of them. */
export type VerbDeed = keyof typeof DEEDS;

/** All of them. */
export const VERB_DEEDS = Object.keys(DEEDS) as readonly VerbDeed[];

/**
 * Has a verb do its deed with something done to the verb.
 *
 * @param deed What it does.
 * @param sleep Whether the monitor sleeps.
 * @param plan What is done; `undefined` to see which calls there are.
 */
export async function tryVerb(
  deed: VerbDeed,
  sleep: Sleep,
  plan: Plan | undefined,
): Promise<Trial> {
  await using box = await Sandbox.create();
  const failures: string[] = [];
  let life: Life | undefined;
  try {
    const start = await box.run(startArgs(COMMANDED, sleep));
    const before = box.pidfile("web.pid");
    if (start.code !== 0 || before === undefined) {
      throw new Error(`no start: ${start.code}, ${start.stderr}`);
    }
    const monitor = parentOf(before);
    if (sleep === "asleep") await untilAsleep(box, monitor);
    else await untilItWaits(box, monitor);
    const usual = heldBy(monitor);
    life = await runLife(box, plan, [], [TEND, ...DEEDS[deed].args]);
    const output = outputOf(box);
    failures.push(...deathsOf(life));
    if (plan === undefined || life.done !== undefined) {
      const daemon = await settled(box, COMMANDED);
      if (daemon !== undefined && isAlive(monitor)) {
        failures.push(...leaksOf(heldBy(monitor), usual));
      }
      const after = { before, daemon, output };
      failures.push(
        ...typeof plan?.what === "object"
          ? brokenByStrike(deed, plan.what, life, after)
          : broken(box, DEEDS[deed], plan, life, after),
      );
      failures.push(...await afterwards(box, COMMANDED, sleep, daemon));
    }
    failures.push(...crashesOf(box));
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  const where = `${describe(plan, life)}, ${deed}, monitor ${sleep}`;
  return { life, failures: failures.map((text) => `${where}: ${text}`) };
}

/** A verb that nothing is done to. */
export function lifeOfVerb(deed: VerbDeed, sleep: Sleep): Promise<Trial> {
  return undisturbed(
    `tend ${deed}, monitor ${sleep}`,
    () => tryVerb(deed, sleep, undefined),
  );
}

/** What does not hold when another was sent a signal meanwhile. */
function brokenByStrike(
  deed: VerbDeed,
  { signal }: Strike,
  { code }: Life,
  { before, daemon, output }: After,
): string[] {
  const said = `exit status ${code}: "${output}"`;
  // What a status says was so when it looked.
  const sentence = deed === "status"
    ? /^web +(running|starting|stopping|stopped|stale|ended|backing)/m
    : /^tend: .+/m;
  const isSaid = code === 0 && deed !== "status" || sentence.test(output);
  if (code < 0 || !isSaid) return [said];
  const isStop = deed.startsWith("stop");
  if (code === 0 && isStop && daemon !== undefined) {
    return [`it runs, ${said}`];
  }
  if (daemon === before && deed === "restart" && code === 0) {
    return [`it was not restarted, ${said}`];
  }
  // It crashed, and is back, or another was asked for.
  return signal === Signal.SIGSEGV && daemon === undefined && !isStop
    ? [`it is lost, ${said}`]
    : [];
}

function broken(
  box: Sandbox,
  { args, lie }: Deed,
  plan: Plan | undefined,
  life: Life,
  after: After,
): string[] {
  const failures: string[] = [];
  const { code } = life;
  const { before, daemon, output } = after;
  const verb = args[0];
  // A daemon is another only if that was asked for, and gone only likewise.
  if (
    daemon === undefined
      ? verb !== "stop"
      : daemon !== before && verb !== "restart"
  ) {
    failures.push(`pid ${before} has become ${daemon}: ${picture(box)}`);
  }
  if (plan?.what === "kill") return failures;
  if (code < 0) failures.push(`it died of signal ${-code}`);
  if (code === 0) {
    const text = lie(after);
    if (text) failures.push(`exit status 0, and ${text}: "${output}"`);
    return failures;
  }
  if (plan === undefined) failures.push(`exit status ${code}, "${output}"`);
  // Of what cannot be told, tend status says why in its table.
  const isSaid = verb === "status"
    ? code === 4
    : (code === 1 || code === 4) && /^tend: .+/m.test(output);
  if (!isSaid) failures.push(`exit status ${code}: "${output}"`);
  return [...failures, ...unsaid(plan, life, output)];
}
