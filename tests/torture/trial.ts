/**
 * Doing one thing to a daemon in the course of its life, and looking whether
 * what tend promises holds after that.
 *
 * @module
 */
import { Sandbox } from "../sandbox.ts";
import { afterwards, others, settled } from "./afterwards.ts";
import { nameOf } from "./calls.ts";
import { type Held, heldBy, leaksOf } from "./descriptors.ts";
import type { Life, Plan, Step } from "./life.ts";
import { LOG, type Sleep, startArgs, type Subject } from "./lived_daemons.ts";
import { describe, picture } from "./picture.ts";
import { runLife } from "./run_life.ts";
import { crashesOf, deathsOf, outputOf, strangeLines, unsaid } from "./said.ts";
import { undisturbed } from "./trials.ts";

/** What happens in a life; the end that is wanted comes by a signal too. */
export const STEPS: Readonly<Record<Sleep, readonly Step[]>> = {
  asleep: ["crash", "restart", "stop"],
  awake: ["crash", "restart", "terminate"],
};

/** A life that was tried. */
export interface Trial {
  readonly life: Life | undefined;
  /** What did not hold, in words. */
  readonly failures: readonly string[];
}

/** What monitors hold in lives that nothing was done to, by how they start. */
const USUAL = new Map<string, Held>();

/**
 * Has a daemon live its life with something done to it.
 *
 * @param subject The daemon.
 * @param sleep Whether its monitor sleeps.
 * @param plan What is done; `undefined` to see which calls there are.
 */
export async function tryLife(
  subject: Subject,
  sleep: Sleep,
  plan: Plan | undefined,
): Promise<Trial> {
  await using box = await Sandbox.create();
  const failures: string[] = [];
  let life: Life | undefined;
  try {
    life = await runLife(box, plan, STEPS[sleep], startArgs(subject, sleep));
    const output = outputOf(box);
    failures.push(...deathsOf(life));
    if (plan === undefined || life.done !== undefined) {
      failures.push(...await broken(box, subject, sleep, plan, life, output));
    }
    failures.push(...crashesOf(box));
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  const where = describe(plan, life);
  return { life, failures: failures.map((text) => `${where}: ${text}`) };
}

/** The life of a daemon that nothing is done to. */
export function lifeOf(subject: Subject, sleep: Sleep): Promise<Trial> {
  return undisturbed(
    startArgs(subject, sleep).join(" "),
    () => tryLife(subject, sleep, undefined),
  );
}

/** What does not hold after a life, or what is left of it. */
async function broken(
  box: Sandbox,
  subject: Subject,
  sleep: Sleep,
  plan: Plan | undefined,
  life: Life,
  output: string,
): Promise<string[]> {
  const failures: string[] = [];
  const { code } = life;
  const steps = STEPS[sleep].length;
  const isKill = plan?.what === "kill";
  const daemon = await settled(
    box,
    subject,
    isKill && life.done?.role === "parent",
  );
  // A runtime that could not start has ended its monitor as SIGKILL does.
  const isKilled = isKill || life.done?.role === "monitor waking" &&
      (life.stage < steps || daemon !== undefined);
  const killed = isKilled ? life.done?.role : undefined;
  // Who was killed itself could say nothing.
  if (killed !== "parent") {
    if (code < 0) failures.push(`the parent died of signal ${-code}`);
    if (code > 0 && daemon !== undefined) {
      failures.push(`exit status ${code}, and pid ${daemon} runs`);
    }
    if (code > 0 && !/^\w+: .+/m.test(output)) {
      failures.push(`exit status ${code} without a word: "${output}"`);
    }
    if (code > 0) failures.push(...unsaid(plan, life, output));
  }
  const start = startArgs(subject, sleep).join(" ");
  const strange = strangeLines(box, start, plan);
  // A disk that stays full takes no log either; and what a logger could not do
  // is not told by its calls.
  const isTold = plan !== undefined && plan.what !== "kill" &&
    plan.times === undefined && life.done?.role !== "logger";
  if (strange.length > 0 && isTold) {
    failures.push(...unsaid(plan, life, box.read(box.path(LOG)) ?? ""));
  }
  if (plan === undefined && code !== 0) failures.push(`exit status ${code}`);
  if (killed === undefined && code === 0 && life.stage < steps) {
    failures.push(`came to step ${life.stage} only: ${picture(box)}`);
  }
  // A program is ready in the midst of its own calls, and by SIGKILL to one that
  // is ready its monitor ends too.
  const isCommand = subject.command.length > 0;
  const isWatched = life.doneAt < steps &&
    (killed === "logger" || killed === "daemon" && isCommand);
  const isUnwatched = killed?.startsWith("monitor") && life.doneAt === 0;
  if (code === 0 && daemon === undefined && (isWatched || isUnwatched)) {
    failures.push(`the daemon is lost`);
  }
  if (daemon !== undefined && killed === undefined) {
    failures.push(`not stopped: ${picture(box)}`);
  }
  if (plan === undefined && life.held !== undefined) {
    USUAL.set(start, life.held);
  }
  const monitor = others(box.processes(), daemon ?? 0)[0];
  const held = !isKilled
    ? (sleep === "awake" ? life.held : undefined)
    : daemon !== undefined && monitor !== undefined
    ? heldBy(monitor)
    : undefined;
  failures.push(...leaksOf(held, USUAL.get(start)));
  // The next start would take it over, and nobody would have seen it.
  const isFailure = plan !== undefined && plan.what !== "kill";
  const mayLeave = life.done !== undefined &&
    nameOf(life.done.number) === "unlink";
  if (isFailure && !mayLeave) failures.push(...temporaryFiles(box));
  failures.push(...await afterwards(box, subject, sleep, daemon));
  failures.push(...subject.check?.(box, plan, life) ?? []);
  return failures;
}

/** What a call that failed has left half made. */
function temporaryFiles(box: Sandbox): string[] {
  return box.runFiles().filter((name) => name.endsWith(".tmp"))
    .map((name) => `left: ${name}`);
}
