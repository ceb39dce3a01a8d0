/**
 * Commands that leave processes behind.
 *
 * @module
 */
import { isAlive } from "./proc.ts";
import { type Finished, type Running, type Sandbox, TEND } from "./sandbox.ts";

/** Where such a process is in relation to the command. */
export const PLACES = ["its group", "a session of its own"] as const;

/** How a process that is left behind behaves. */
export interface Leftover {
  /** Where it is; in another session it was forked twice for that. */
  readonly place: typeof PLACES[number];
  /** Whether SIGTERM does not end it. */
  readonly isStubborn?: boolean;
  /** What the command does when it is there; sleeps by default. */
  readonly then?: string;
}

const LEAVE = `#!/bin/sh
case $1 in
two) shift; setsid "$0" one "$@" & exit;;
one) shift; setsid "$0" none "$@" & exit;;
fork) shift; "$0" none "$@" & exit;;
esac
shift
test $1 = stubborn && trap "" TERM
shift
exec "$@"
`;

/** A listener that says that it is there, by a line with its pid. */
const LISTEN = `
Deno.listen({ hostname: "127.0.0.1", port: Number(Deno.args[0]) });
Deno.writeTextFileSync(Deno.args[1]!, \`\${Deno.pid}\\n\`, { append: true });
setInterval(() => {}, 1e6);
`;

/**
 * A command that starts a process, which listens on a port and loses its parent.
 *
 * @param box Where its files are.
 * @param port The port.
 * @param leftover How that is.
 * @returns The command, with `--` before it.
 */
export function leaving(
  box: Sandbox,
  port: number,
  { place, isStubborn, then = "exec sleep 600" }: Leftover,
): string[] {
  const leave = box.path("leave");
  Deno.writeTextFileSync(leave, LEAVE, { mode: 0o755 });
  Deno.writeTextFileSync(box.path("listen.ts"), LISTEN);
  const how = place === "its group" ? "fork" : "two";
  const kind = isStubborn ? "stubborn" : "polite";
  const run = [Deno.execPath(), "run", "-A", "--quiet", "--no-config"];
  const listen = [...run, "--no-lock", box.path("listen.ts"), `${port}`];
  const script = 'left=$1; touch "$left"; before=$(wc -l <"$left"); shift; ' +
    '"$@" "$left"; until test $(wc -l <"$left") -gt $before; do sleep 0.01; done; ' +
    then;
  return ["--", "sh", "-c", script, "sh", box.path("left"), leave, how, kind]
    .concat(listen);
}

/** The processes that were left, in their order. */
export function leftIn(box: Sandbox): number[] {
  return (box.read(box.path("left")) ?? "").split("\n").slice(0, -1)
    .map(Number);
}

/** Waits until so many were left. */
export async function untilLeft(box: Sandbox, count = 1): Promise<number[]> {
  return await box.until(`${count} processes were left`, () => {
    const left = leftIn(box);
    return left.length >= count && left;
  });
}

/** Whether somebody could listen on a port. */
export function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Starts tend in the foreground, and waits until something was left. */
export async function startLeaving(
  box: Sandbox,
  options: readonly string[],
  command: readonly string[],
): Promise<{ tend: Running; left: number }> {
  const tend = box.start([TEND, ...options, ...command]);
  const [left] = await untilLeft(box);
  return { tend, left: left! };
}

/** Sends a signal again and again, until a process has ended. */
export async function insist(
  box: Sandbox,
  running: Running,
  signal: Deno.Signal,
): Promise<Finished> {
  await box.until(`pid ${running.pid} has ended`, () => {
    if (!isAlive(running.pid)) return true;
    Deno.kill(running.pid, signal);
    return false;
  });
  return running.finished();
}
