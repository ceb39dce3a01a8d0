/**
 * Doing one thing to a daemon in the course of its life, and looking whether
 * what tend promises holds after that.
 *
 * @module
 */
import { strerror } from "../../ffi/libc.ts";
import { readMonitorFile } from "../../lib/monitor_file.ts";
import { isWaiting } from "../monitored.ts";
import {
  isAlive,
  isAsleep,
  look,
  parentOf,
  signalsIn,
  titleOf,
} from "../proc.ts";
import { CONFIG } from "../program.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { json } from "../verb_calls.ts";
import { linesLost, troubleUntold, WRITES } from "./written.ts";
import { nameOf, saysWhatFailed } from "./calls.ts";
import { type Held, heldBy, leaksOf } from "./descriptors.ts";
import type { Life, Plan, Step } from "./life.ts";
import type { SweepPlan } from "./sweep.ts";
import { undisturbed } from "./trials.ts";

const LIFE = new URL("life.ts", import.meta.url).pathname;
/** The log of all that live here. */
const LOG = "./web.log";
/** Told apart from what other tests run by what the sandbox marks. */
const COMMAND = ["/bin/sleep", "1000000"] as const;
/** A command's child: it reads until nobody can write any more. */
const READER = "/bin/cat";
/** What `ps` shows of it. */
export const TITLE: string = COMMAND.join(" ");

/** Something that runs as a daemon. */
export interface Subject {
  /** The program that starts it. */
  readonly program: string;
  /** The last of its options, and what stands behind them. */
  readonly command: readonly string[];
  /** Those of a sandbox's processes that are such a daemon. */
  readonly daemons: (box: Sandbox, pids: readonly number[]) => number[];
  /** What does not hold when all is over, besides what all promise. */
  readonly check?: (
    box: Sandbox,
    plan: Plan | undefined,
    life: Life,
  ) => string[];
}

/** A command, by `tend`. */
export const COMMANDED: Subject = {
  program: TEND,
  command: ["--", ...COMMAND],
  daemons: (_, pids) => pids.filter((pid) => titleIfAlive(pid) === TITLE),
};

/** A command whose output goes to a file, by a logger. */
export const LOGGED: Subject = {
  ...COMMANDED,
  command: ["--output=out.log", "--log-timestamps", ...COMMANDED.command],
};

/** One that says when it is ready, through a pipe of the monitor's. */
export const READY: Subject = {
  ...COMMANDED,
  command: ["--output=out.log", "--ready=fd=3", "--", "/bin/sh", "-c"]
    .concat(`echo >&3; exec 3>&-; exec ${TITLE}`),
};

/**
 * One that needs the calls of many options, and has a child that ends when it
 * does. Of its user there is nothing to be changed unless by root.
 */
export const OPTIONED: Subject = {
  ...COMMANDED,
  command: [
    ...Deno.uid() === 0 ? ["--user=nobody"] : [],
    ...["--limit=nofile=100", "--nice=3", "--umask=027"],
    ...["--output=out.log", "--ready=notify", "--watchdog=1h"],
    ...["--kill-mode=tree", "--on-crash=exit 0", "--", "/bin/bash", "-c"],
    `exec 4> >(exec ${READER}); systemd-notify --ready --pid=$$; exec ${TITLE}`,
  ],
};

/** One whose logger rotates all the while: nothing of its lines may be lost. */
export const WRITING: Subject = {
  ...COMMANDED,
  command: ["--output=out.log", "--log-rotate=1k,99", "--", "/bin/sh", "-c"]
    .concat(`${WRITES}; exec ${TITLE}`),
  check: (box, plan, life) => [
    ...linesLost(box),
    ...troubleUntold(box, plan, life),
  ],
};

/** A program that makes itself a daemon: its processes have one title. */
export function itself(program: string): Subject {
  return {
    program,
    command: [],
    daemons: (box) =>
      [box.holder("web.pid")].filter((pid) => pid !== undefined),
  };
}
/** What happens in a life; the end that is wanted comes by a signal too. */
const STEPS: Readonly<Record<Sleep, readonly Step[]>> = {
  asleep: ["crash", "restart", "stop"],
  awake: ["crash", "restart", "terminate"],
};
/** A life takes a second; a monitor may wait for ten before it tries again. */
const PATIENCE_MS = 45_000;
/**
 * A daemon that was told to end by a monitor that is gone may take so long, or
 * one whose caller is gone. One that takes longer is taken for one that stays.
 */
const LAST_MS = 500;
/**
 * Of which one is in each stack trace, panic or message of Deno's. In a log a
 * stack trace is in one line, without its line feeds.
 */
const CRASH_MARKS =
  /\bfile:\/\/|Stack backtrace|panicked|Uncaught| {4}at |^error: /m;

/** Whether the monitor may sleep between events. */
export type Sleep = "asleep" | "awake";

/** A life that was tried. */
export interface Trial {
  readonly life: Life | undefined;
  /** What did not hold, in words. */
  readonly failures: readonly string[];
}

/** What monitors hold in lives that nothing was done to, by how they start. */
const USUAL = new Map<string, Held>();

/** How a subject is started. */
export function startArgs(
  { program, command }: Subject,
  sleep: Sleep,
): string[] {
  const after = sleep === "asleep" ? "20ms" : "never";
  return [program, "--detach", "--monitor", "--pidfile=web.pid"]
    .concat("--restart-delay=50ms", `--sleep-after=${after}`)
    // What a monitor has to say it says there.
    .concat(`--log-file=${LOG}`, command);
}

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

/** What `tend` has said while it was traced. */
export function outputOf(box: Sandbox): string {
  return (box.read(box.path("traced.err")) ?? "") +
    (box.read(box.path("traced.out")) ?? "");
}

/** What says that a process of tend's has been killed by another signal. */
export function deathsOf(life: Life): string[] {
  return life.deaths.map((death) => `death of ${death}`);
}

/** What says that `tend` has crashed, to its caller or in its log. */
export function crashesOf(box: Sandbox): string[] {
  const said = outputOf(box) + (box.read(box.path(LOG)) ?? "");
  return CRASH_MARKS.test(said) ? [`it crashed: ${said}`] : [];
}

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
      .concat(`--config=${CONFIG}`, LIFE, JSON.stringify(plan ?? null))
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

/**
 * What is missing where something is said of a call that failed.
 *
 * @param plan What was done.
 * @param life What was seen.
 * @param said What was said.
 */
export function unsaid(
  plan: Plan | undefined,
  { done }: Life,
  said: string,
): string[] {
  if (done === undefined || typeof plan?.what !== "number") {
    return plan?.what === "half" ? [`of a call that did less: ${said}`] : [];
  }
  if (saysWhatFailed(said, done.number, plan.what)) return [];
  // A verb looks at much, and says of what it looked at why it could not.
  const looked = new RegExp(`\\w: ${strerror(plan.what)}`);
  if (done.role === "verb" && looked.test(said)) return [];
  const sentence = `${nameOf(done.number)} failed (${strerror(plan.what)})`;
  return [`no "${sentence}" in "${said.trim()}"`];
}

/** Lines of logs of lives that nothing was done to, by how they start. */
const USUAL_LINES = new Map<string, Set<string>>();

/** What a log says of failures, but for a life that nothing was done to. */
function strangeLines(
  box: Sandbox,
  start: string,
  plan: Plan | undefined,
): string[] {
  const lines = (box.read(box.path(LOG)) ?? "").split("\n");
  const kindOf = (line: string) =>
    line.replace(/\S*tend-test-[^/ ]*/g, "").replace(/\d+/g, "N");
  const usual = USUAL_LINES.get(start) ?? new Set();
  const strange = lines.filter((line) =>
    / failed |: failed to /.test(line) && !usual.has(kindOf(line))
  );
  if (plan === undefined) {
    USUAL_LINES.set(start, new Set(lines.map(kindOf)));
  }
  return strange;
}

/** What a call that failed has left half made. */
function temporaryFiles(box: Sandbox): string[] {
  return box.runFiles().filter((name) => name.endsWith(".tmp"))
    .map((name) => `left: ${name}`);
}

/**
 * Whatever has happened: status is right, there is no second copy, and the next
 * start works.
 *
 * @param daemon The daemon, if it runs.
 * @returns What does not hold.
 */
export async function afterwards(
  box: Sandbox,
  subject: Subject,
  sleep: Sleep,
  daemon: number | undefined,
): Promise<string[]> {
  const failures: string[] = [];
  const { state, pid } = await json(box, "status", "web");
  const isRight = daemon === undefined
    ? (state === "stopped" || state === "stale") && pid === null
    : (state === "running" || state === "stopping") && pid === daemon;
  if (!isRight) {
    failures.push(`status: ${state}, pid ${pid}, and it is ${daemon}`);
  }
  if (daemon !== undefined) {
    const second = await box.run(startArgs(subject, sleep));
    const said = `already running as pid ${daemon}, aborting`;
    if (second.code !== 1 || !second.stderr.includes(said)) {
      failures.push(`a second start: ${second.code}, ${second.stderr}`);
    }
    await stop(box, daemon);
  }
  failures.push(...await nextStart(box, subject, sleep));
  return failures;
}

/** The next start works and is right, and its stop leaves nothing. */
async function nextStart(
  box: Sandbox,
  subject: Subject,
  sleep: Sleep,
): Promise<string[]> {
  const { code, stderr } = await box.run(startArgs(subject, sleep));
  const pid = box.pidfile("web.pid");
  if (code !== 0 || stderr !== "" || pid === undefined) {
    return [`the next start: ${code}, "${stderr}", pidfile ${pid}`];
  }
  const failures: string[] = [];
  if (box.holder("web.pid") !== pid) {
    failures.push(`the next start's pidfile lies: ${picture(box)}`);
  }
  const file = readMonitorFile(box.runPath("web.pid"));
  const monitor = parentOf(pid);
  const isShown = file.kind === "held" && file.monitor === monitor &&
    file.record?.phase === "running" && file.record.pid === pid;
  // No waiting: the start has returned.
  if (!isShown) {
    failures.push(`the next monitor's file: ${JSON.stringify(file)}`);
  }
  // A shell comes first where it is to say that it is ready.
  const daemon = await settled(box, subject);
  if (daemon !== pid || others(box.processes(), pid).length > 1) {
    failures.push(`not one daemon: ${picture(box)}`);
  }
  await stop(box, pid);
  const left = box.runFiles();
  if (left.length > 0) failures.push(`left: ${left.join(" ")}`);
  return failures;
}

/**
 * Waits until nothing changes any more; the daemon, if it runs.
 *
 * @param box Where.
 * @param subject The daemon.
 * @param isCallerGone Whether the daemon may be about to see that nobody waits
 * for it any more, and end.
 */
export async function settled(
  box: Sandbox,
  subject: Subject,
  isCallerGone = false,
): Promise<number | undefined> {
  let answer: { daemon: number | undefined } | undefined;
  let stays = { pid: 0, since: 0 };
  await box.until("things have settled", () => {
    const pids = box.processes();
    const [daemon, ...more] = subject.daemons(box, pids);
    if (more.length > 0) {
      throw new Error(`several daemons: ${picture(box)}`);
    }
    if (pids.length === 0) return answer = { daemon: undefined };
    if (daemon === undefined || box.holder("web.pid") !== daemon) return false;
    if (box.pidfile("web.pid") !== daemon) return false;
    const [monitor, ...strangers] = others(pids, daemon);
    if (monitor === undefined || isCallerGone) {
      if (stays.pid !== daemon) stays = { pid: daemon, since: Date.now() };
      if (Date.now() - stays.since <= LAST_MS) return false;
    }
    if (monitor === undefined) return answer = { daemon };
    // Once that has handled all that it was asked for, and written so.
    if (strangers.length > 0 || !isIdle(box, monitor)) return false;
    const file = readMonitorFile(box.runPath("web.pid"));
    return file.kind === "held" && file.monitor === monitor &&
      // By a signal that has not ended it, from one that would have done more.
      ["running", "stopping"].includes(file.record?.phase ?? "") &&
      file.record?.pid === daemon && (answer = { daemon });
  }).catch((error) => {
    throw new Error(`${error.message}: ${picture(box)}`);
  });
  return answer!.daemon;
}

/** All but a daemon and those that end when nobody writes to them any more. */
function others(pids: readonly number[], daemon: number): number[] {
  return pids.filter((pid) => {
    const title = titleIfAlive(pid);
    return pid !== daemon && title !== READER &&
      !title.startsWith("tend: logging to ");
  });
}

/** Whether a monitor waits, awake or asleep, and nothing has come for it. */
function isIdle(box: Sandbox, monitor: number): boolean {
  return signalsIn(monitor, "ShdPnd").length === 0 &&
    (isAsleep(monitor) || isWaiting(box, monitor));
}

/** Stops a daemon by its monitor, if it has one. */
async function stop(box: Sandbox, daemon: number): Promise<void> {
  const parent = look(daemon)?.ppid;
  const target = parent !== undefined && box.processes().includes(parent)
    ? parent
    : daemon;
  Deno.kill(target, "SIGTERM");
  await box.until("all have ended", () => box.processes().length === 0)
    .catch((error) => {
      const told = target === daemon ? "the daemon" : `monitor ${target}`;
      throw new Error(`${error.message}, ${told} told to: ${picture(box)}`);
    });
}

function titleIfAlive(pid: number): string {
  try {
    return titleOf(pid);
  } catch (error) {
    if (isAlive(pid)) throw error;
    return "";
  }
}

/** All that there is, for the message of a failure. */
export function picture(box: Sandbox): string {
  const processes = box.processes().map((pid) => {
    const wait = look(pid)?.state ?? "gone";
    return `${pid} (${titleIfAlive(pid)}, ${wait})`;
  });
  const files = box.runFiles().map((name) => name);
  const said = box.read(box.path("traced.err")) ?? "";
  return [
    `processes ${processes.join(", ") || "none"}`,
    `files ${files.join(" ") || "none"}`,
    `pidfile ${box.pidfile("web.pid")} held by ${box.holder("web.pid")}`,
    `said "${said.trim()}"`,
  ].join("; ");
}

/** Says what was done, so that it can be done again. */
export function describe(
  plan: Plan | undefined,
  life: Life | undefined,
): string {
  if (plan === undefined) return "undisturbed";
  const { role, index, what } = plan;
  const done = life?.done;
  const call = done === undefined
    ? ""
    : ` (${nameOf(done.number)} ${done.text} ${done.file ?? ""}, step ${
      life!.doneAt
    })`;
  const how = typeof what === "number" ? strerror(what) : what;
  return `${how} at call ${index} of ${role}${call}`;
}
