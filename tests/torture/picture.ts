/**
 * What was done and what there is then, for the message of a failure.
 *
 * @module
 */
import { strerror } from "../../ffi/libc.ts";
import { isAlive, look, titleOf } from "../proc.ts";
import type { Sandbox } from "../sandbox.ts";
import { nameOf } from "./calls.ts";
import type { Life, Plan } from "./life.ts";

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
  const how = typeof what === "number"
    ? strerror(what)
    : typeof what === "object"
    ? `signal ${what.signal} to ${what.to}`
    : what;
  return `${how} at call ${index} of ${role}${call}`;
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

/** What `ps` shows of a process; nothing of one that has ended. */
export function titleIfAlive(pid: number): string {
  try {
    return titleOf(pid);
  } catch (error) {
    if (isAlive(pid)) throw error;
    return "";
  }
}
