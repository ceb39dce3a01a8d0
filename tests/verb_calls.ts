/**
 * Calling verbs that are about daemons, and reading what they say.
 *
 * @module
 */
import { type Finished, type Sandbox, TEND } from "./sandbox.ts";

/** The user "nobody". */
const OTHER = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/** Whether this user can be another one. */
export const IS_ROOT: boolean = Deno.uid() === 0;

/** Has a verb print JSON, and returns its first object. */
export async function json(
  box: Sandbox,
  ...args: string[]
): Promise<Record<string, unknown>> {
  const { stdout } = await box.tend(...args, "--json");
  return JSON.parse(stdout)[0];
}

/** Some fields of `tend status`. */
export async function statusOf(
  box: Sandbox,
  ...names: string[]
): Promise<unknown[]> {
  const object = await json(box, "status", "web");
  return names.map((name) => object[name]);
}

/** Runs tend as another user, who may look into the sandbox. */
export function asOther(box: Sandbox, ...args: string[]): Promise<Finished> {
  Deno.chmodSync(box.dir, 0o755);
  Deno.chmodSync(box.path("run"), 0o755);
  return box.run(["setpriv", ...OTHER, TEND, ...args]);
}

/** A shell that says when it is there, and does not end of SIGTERM. */
export function stubborn(box: Sandbox): string[] {
  const script = 'trap "" TERM; echo >>"$1"; while :; do sleep 600; done';
  return ["--", "sh", "-c", script, "sh", box.path("there")];
}

/** Waits until {@linkcode stubborn} is there, so many times. */
export async function isThere(box: Sandbox, times = 1): Promise<void> {
  await box.until(
    "the command is there",
    () => box.read(box.path("there")) === "\n".repeat(times),
  );
}
