/**
 * Many daemons, each with a monitor of its own, that crash all at once.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { isAsleep, parentOf, titleOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

/** How many there are in full, which takes half a minute. */
const MANY = 200;
/** How many each second of a budget is good for. */
const EACH_SECOND = 7;

/**
 * Tries fleets.
 *
 * @param budget How long, where that is not in full.
 * @param isFull Whether there are as many as are promised.
 */
export async function fleets(
  { seconds }: Budget,
  isFull: boolean,
): Promise<Row[]> {
  const few = Math.max(10, Math.min(MANY, Math.floor(seconds * EACH_SECOND)));
  const count = isFull ? MANY : few;
  const row = new Tally(`${count} daemons killed at once, awake and asleep`);
  await using box = await Sandbox.create();
  const names = Array.from({ length: count }, (_, i) => `web${i}.pid`);
  const waiting = [...names];
  await Promise.all([0, 1].map(async () => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const { code, stderr } = await box.run([
        ...[TEND, "--detach", "--monitor", "--restart-delay=0"],
        ...[`--pidfile=${name}`, "--", "sleep", "600"],
      ]);
      assertEquals([code, stderr], [0, ""]);
    }
  }));
  for (const mustSleep of [false, true]) {
    const before = new Map(names.map((name) => [name, box.pidfile(name)!]));
    const monitors = new Map(
      [...before].map(([name, pid]) => [name, parentOf(pid)]),
    );
    if (mustSleep) {
      await box.until(
        "all monitors sleep",
        () => [...monitors.values()].every(isAsleep),
      );
    }
    for (const pid of before.values()) Deno.kill(pid, "SIGSEGV");
    for (const name of names) {
      await row.attempt(`${name}${mustSleep ? " asleep" : ""}`, async () => {
        const pid = await box.until(`${name} is back`, () => {
          const pid = box.pidfile(name);
          return pid !== undefined && pid !== before.get(name) &&
            box.holder(name) === pid && titleIs(pid, "sleep 600") && pid;
        });
        assertEquals(parentOf(pid), monitors.get(name));
      });
    }
  }
  assertEquals(box.processes().length, 2 * count);
  return [row];
}

function titleIs(pid: number, title: string): boolean {
  try {
    return titleOf(pid) === title;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
