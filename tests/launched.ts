/**
 * Commands that the tests' own process launches.
 *
 * @module
 */
import { fail } from "@std/assert/fail";
import { toBytes } from "../ffi/c_string.ts";
import { waitpid } from "../ffi/child.ts";
import { kill } from "../ffi/process.ts";
import { Signal } from "../ffi/signal.ts";
import { Launcher } from "../lib/launch.ts";
import type { Command } from "../lib/monitor_state.ts";
import { Child } from "./children.ts";
import { look } from "./proc.ts";
import type { Sandbox } from "./sandbox.ts";

/** A command, and what its caller had ignored. */
export function command(
  argv: readonly [string, ...string[]],
  ignored: readonly number[] = [],
): Command {
  return {
    path: toBytes(argv[0]),
    argv: argv.map(toBytes),
    ignored,
    surroundings: undefined,
    outputs: undefined,
  };
}

/** One that stays until it is killed. */
export const SLEEP: Command = command(["/bin/sleep", "600"]);

/**
 * Writes the pidfile that a daemon has left: it names a process that has ended.
 *
 * @param path The file; one that is there stays the same file.
 * @returns Its name.
 */
export function leavePidfile(path: string): string {
  using ended = new Child("true");
  ended.wait();
  Deno.writeTextFileSync(path, `${ended.pid}\n`, { mode: 0o644 });
  return path;
}

/** A launched command that is killed and waited for when it is disposed. */
export class LaunchedChild implements Disposable {
  /** Its pid. */
  readonly pid: number;

  /** @param by What launches it; that has to work. */
  constructor(by: Pick<Launcher, "launch">, coreDumped = false) {
    const launched = by.launch(coreDumped);
    if (launched.kind !== "ready") fail(`it was ${launched.kind}`);
    this.pid = launched.pid;
  }

  /**
   * Waits until it is as it stays: a launch returns in the middle of the exec,
   * before `/proc` shows the arguments and descriptors are closed.
   */
  async settled(box: Sandbox): Promise<number> {
    const ours = look(Deno.pid)?.status.get("Name");
    await box.until("the command sleeps", () => {
      const process = look(this.pid);
      return process?.state === "S" && process.status.get("Name") !== ours;
    });
    return this.pid;
  }

  /** Kills it and waits for it. */
  [Symbol.dispose](): void {
    kill(this.pid, Signal.SIGKILL);
    waitpid(this.pid);
  }
}

/** Launches SLEEP; with a pidfile, which has to be there. */
export function launchSleep(pidfile: string | undefined): LaunchedChild {
  return new LaunchedChild(new Launcher(SLEEP, pidfile));
}

/** The children of this thread that have ended and were not waited for. */
export function childrenThatEnded(): number[] {
  const children = Deno.readTextFileSync("/proc/thread-self/children");
  return children.split(" ").filter((pid) => pid !== "").map(Number)
    .filter((pid) => look(pid) === undefined);
}
