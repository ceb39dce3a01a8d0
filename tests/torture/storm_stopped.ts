/**
 * Daemons that are stopped, as by a terminal or a debugger: that is no end. They
 * can be ended, and then it is one like any other.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import {
  LOGGED,
  logOf,
  shown,
  untilAsleep,
  untilItWaits,
  untilShown,
} from "../monitored.ts";
import { childrenOf, isAlive, look, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import type { Row } from "./row.ts";
import { Tally } from "./tally.ts";

const SIGNALS = ["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"] as const;
const SLEEPS = ["0", "never"] as const;

interface Stopped {
  readonly box: Sandbox;
  readonly daemon: number;
  readonly monitor: number;
}

const WAYS: Record<string, (stopped: Stopped) => Promise<void>> = {
  "crashes when it goes on": async ({ box, daemon, monitor }) => {
    Deno.kill(daemon, "SIGSEGV");
    assertEquals([shown(box)?.crashes, isAlive(daemon)], [0, true]);
    Deno.kill(daemon, "SIGCONT");
    await untilNext({ box, daemon, monitor });
    assertMatch(
      logOf(box),
      new RegExp(
        `1 crashes: pid ${daemon} died, killed \\(Segmentation fault\\)`,
      ),
    );
  },
  "is killed": async ({ box, daemon, monitor }) => {
    Deno.kill(daemon, "SIGKILL");
    await untilNext({ box, daemon, monitor });
    assertMatch(
      logOf(box),
      new RegExp(`1 crashes: pid ${daemon} died, killed \\(Killed\\)`),
    );
  },
  "is restarted": async ({ box, daemon, monitor }) => {
    const { code, stderr } = await box.run(
      [TEND, "restart", "--timeout=20ms", "web"],
    );
    assertEquals(code, 0, stderr);
    await untilNext({ box, daemon, monitor });
    assertEquals(shown(box)?.crashes, 0, logOf(box));
  },
};

/**
 * Tries all that stops a daemon.
 *
 * @param isFull Whether each is tried in every way; else in one.
 */
export async function stormStopped(isFull: boolean): Promise<Row[]> {
  const cases = SIGNALS.flatMap((signal) =>
    Object.entries(WAYS).flatMap(([what, way]) =>
      SLEEPS.map((sleep) => ({ signal, what, way, sleep }))
    )
  );
  const row = new Tally("daemons that are stopped, and end then", cases.length);
  const perSignal = cases.length / SIGNALS.length;
  // One more way each time: every way and both monitors are among them.
  const some = SIGNALS.map((_, i) => cases[i * (perSignal + 1)]!);
  for (const { signal, what, way, sleep } of isFull ? cases : some) {
    await row.attempt(
      `${signal}, then it ${what}, --sleep-after=${sleep}`,
      () => tryStopped(signal, way, sleep),
    );
  }
  return [row];
}

async function tryStopped(
  signal: typeof SIGNALS[number],
  way: (stopped: Stopped) => Promise<void>,
  sleep: typeof SLEEPS[number],
): Promise<void> {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.tend(
    ...[...LOGGED, "--restart=always", "--restart-delay=0"],
    ...[`--sleep-after=${sleep}`, "--", "sleep", "600"],
  );
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  const untilIdle = () =>
    sleep === "0" ? untilAsleep(box, monitor) : untilItWaits(box, monitor);
  await untilIdle();
  Deno.kill(daemon, signal);
  await box.until("it is stopped", () => look(daemon)?.state === "T");
  await untilIdle();
  // Who has stopped it may want it so.
  assertEquals([childrenOf(monitor), logOf(box)], [[daemon], ""]);
  assertEquals(shown(box)?.phase, "running");
  await way({ box, daemon, monitor });
  const stopped = await box.tend("stop", "web");
  assertEquals([stopped.code, stopped.stderr], [0, ""]);
  assertEquals([box.processes(), box.runFiles()], [[], []]);
}

async function untilNext({ box, daemon, monitor }: Stopped): Promise<void> {
  const { pid } = await untilShown(
    box,
    "another daemon",
    ({ phase, pid }) => phase === "running" && pid !== daemon,
  );
  assertEquals([childrenOf(monitor), box.pidfile("web.pid")], [[pid], pid]);
}
