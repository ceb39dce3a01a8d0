/**
 * What is looked at after a life: what is left of it, and whether the next start
 * works.
 *
 * @module
 */
import { readMonitorFile } from "../../lib/monitor_file.ts";
import { isWaiting } from "../monitored.ts";
import { isAsleep, look, parentOf, signalsIn } from "../proc.ts";
import type { Sandbox } from "../sandbox.ts";
import { json } from "../verb_calls.ts";
import {
  READER,
  type Sleep,
  startArgs,
  type Subject,
} from "./lived_daemons.ts";
import { picture, titleIfAlive } from "./picture.ts";

/**
 * A daemon that was told to end by a monitor that is gone may take so long, or
 * one whose caller is gone. One that takes longer is taken for one that stays.
 */
const LAST_MS = 500;

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
    if (pids.length === 0) {
      // One that was killed holds its locks until the last of its threads ends.
      const { kind } = readMonitorFile(box.runPath("web.pid"));
      return kind !== "held" && (answer = { daemon: undefined });
    }
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

/** All but a daemon and those that end when nobody writes to them any more. */
export function others(pids: readonly number[], daemon: number): number[] {
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
