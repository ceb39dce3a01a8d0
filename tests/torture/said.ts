/**
 * What `tend` has said in a life, and what it should have said.
 *
 * @module
 */
import { strerror } from "../../ffi/libc.ts";
import type { Sandbox } from "../sandbox.ts";
import { nameOf, saysWhatFailed } from "./calls.ts";
import type { Life, Plan } from "./life.ts";
import { LOG } from "./lived_daemons.ts";

/**
 * Of which one is in each stack trace, panic or message of Deno's. In a log a
 * stack trace is in one line, without its line feeds.
 */
const CRASH_MARKS =
  /\bfile:\/\/|Stack backtrace|panicked|Uncaught| {4}at |^error: /m;

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
  // What would say it is on the same full disk.
  const isConsole = done.file !== undefined && /\/traced\.\w+$/.test(done.file);
  if (isConsole && plan.times !== undefined) return [];
  // A verb looks at much, and says of what it looked at why it could not.
  const looked = new RegExp(`\\w: ${strerror(plan.what)}`);
  if (done.role === "verb" && looked.test(said)) return [];
  const sentence = `${nameOf(done.number)} failed (${strerror(plan.what)})`;
  return [`no "${sentence}" in "${said.trim()}"`];
}

/** Lines of logs of lives that nothing was done to, by how they start. */
const USUAL_LINES = new Map<string, Set<string>>();

/** What a log says of failures, but for a life that nothing was done to. */
export function strangeLines(
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
