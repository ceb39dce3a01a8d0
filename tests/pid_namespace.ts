/**
 * Daemons in PID namespaces of their own.
 *
 * @module
 */
import { type Sandbox, TEND } from "./sandbox.ts";

/** Begins a PID namespace; a user without privileges needs one of users too. */
export const UNSHARE: readonly string[] = [
  "unshare",
  ...(Deno.uid() === 0 ? [] : ["--user", "--map-root-user"]),
  ...["--pid", "--fork", "--mount-proc", "--kill-child"],
];

/** Whether to pass over tests with one: CI can begin them. */
export const WITHOUT_NAMESPACES: boolean = Deno.env.get("CI") === undefined &&
  !canUnshare();

function canUnshare(): boolean {
  const args = [...UNSHARE.slice(1), "true"];
  return new Deno.Command("unshare", { args, stderr: "null" })
    .outputSync().success;
}

/** What tend is given for a daemon with web.pid. */
export const START: readonly string[] = [
  "--detach",
  "--pidfile=web.pid",
  "--",
  "sleep",
  "600",
];

/** Starts a daemon in a PID namespace of its own, with web.pid. */
export async function startInside(box: Sandbox): Promise<void> {
  const script = 'ready=$1; shift; "$@" && : >"$ready" && exec sleep 600';
  const ready = box.path("ready");
  box.start([...UNSHARE, "sh", "-c", script, "sh", ready, TEND, ...START]);
  await box.until(
    "the daemon runs in its namespace",
    () => box.read(ready) !== undefined,
  );
}
