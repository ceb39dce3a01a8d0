/**
 * Crashes that come at one moment with a wish: the monitor finds both at once,
 * and the wish counts, whatever the crash would have led to.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import {
  LOGGED,
  logOf,
  request,
  shown,
  untilAsleep,
  untilItWaits,
} from "../monitored.ts";
import { childrenOf, freeze, isAlive, parentOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import type { Row } from "./row.ts";
import { Tally } from "./tally.ts";

/** Wishes for the end, by whom they are sent. */
const STOPS: Record<string, (box: Sandbox, monitor: number) => void> = {
  "SIGTERM": (_, monitor) => Deno.kill(monitor, "SIGTERM"),
  "a request": (box) => request(box, "stop"),
};

/** Tries wishes, before and after the crash. */
export async function stormWishes(): Promise<Row[]> {
  const row = new Tally("crashes at one moment with a stop, or a restart");
  for (const sleep of ["0", "never"]) {
    for (const isFirst of [true, false]) {
      const order = isFirst ? "before" : "after";
      for (const [what, stop] of Object.entries(STOPS)) {
        await row.attempt(
          `${what} ${order} the crash, --sleep-after=${sleep}`,
          () => tryStop(sleep, isFirst, stop),
        );
      }
      await row.attempt(
        `a restart ${order} the crash, --sleep-after=${sleep}`,
        () => tryRestart(sleep, isFirst),
      );
    }
  }
  return [row];
}

/** Starts a daemon, and has its monitor see two things at once. */
async function bothAtOnce(
  box: Sandbox,
  sleep: string,
  isFirst: boolean,
  wish: (monitor: number) => void,
): Promise<{ daemon: number; monitor: number }> {
  const { code, stderr } = await box.tend(
    ...[...LOGGED, "--restart-delay=0", `--sleep-after=${sleep}`],
    ...["--", "sleep", "600"],
  );
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  if (sleep === "0") await untilAsleep(box, monitor);
  else await untilItWaits(box, monitor);
  await freeze(box, monitor);
  if (isFirst) wish(monitor);
  Deno.kill(daemon, "SIGSEGV");
  await box.until("the daemon has ended", () => !isAlive(daemon));
  if (!isFirst) wish(monitor);
  Deno.kill(monitor, "SIGCONT");
  return { daemon, monitor };
}

async function tryStop(
  sleep: string,
  isFirst: boolean,
  stop: (box: Sandbox, monitor: number) => void,
): Promise<void> {
  await using box = await Sandbox.create();
  const { monitor } = await bothAtOnce(
    box,
    sleep,
    isFirst,
    (monitor) => stop(box, monitor),
  );
  await box.until("the monitor has ended", () => !isAlive(monitor));
  // No daemon has followed, not even for a moment.
  assertEquals(/restarting/.test(logOf(box)), false, logOf(box));
  assertEquals([box.processes(), box.runFiles()], [[], []]);
}

async function tryRestart(sleep: string, isFirst: boolean): Promise<void> {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await bothAtOnce(
    box,
    sleep,
    isFirst,
    () => request(box, "restart"),
  );
  const { pid, restarts, crashes } = await box.until("another runs", () => {
    const record = shown(box);
    return record?.phase === "running" && record.pid !== daemon && record;
  });
  assertEquals([restarts, crashes], [1, 0], logOf(box));
  assertEquals([parentOf(pid), childrenOf(monitor)], [monitor, [pid]]);
  assertEquals(box.holder("web.pid"), pid);
}
