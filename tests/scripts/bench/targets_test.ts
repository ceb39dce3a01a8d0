import { assertEquals } from "@std/assert/equals";
import { ASLEEP, AWAKE, EMPTY } from "../../../scripts/bench/peers.ts";
import type { Idle, Seen } from "../../../scripts/bench/seen.ts";
import { judge } from "../../../scripts/bench/targets.ts";

function seen(name: string, what: Partial<Seen>): Seen {
  const peer = {
    name,
    needs: [],
    from: "",
    started: "return",
    args: () => [],
  } as const;
  return { peer, startMs: [], pidfiles: [], gapMs: [], ...what };
}

function idle(pssKib: number, switches: number): Partial<Seen> {
  return { idle: { processes: 1, pssKib, switches } satisfies Idle };
}

/** The verdict of the target whose sentence begins so. */
function verdictOf(begin: string, all: Seen[]): boolean | undefined {
  return judge(all, 60_000).find(({ what }) => what.startsWith(begin))?.isMet;
}

Deno.test("judge() compares the gap asleep with an empty program", () => {
  const withGap = (...gapMs: (number | undefined)[]) =>
    verdictOf("gap, asleep", [
      seen(EMPTY, { startMs: [30] }),
      seen(ASLEEP, { gapMs }),
    ]);
  assertEquals(withGap(54), true);
  assertEquals(withGap(55), false);
  assertEquals(withGap(40, undefined), false);
});

Deno.test("judge() wants 16 KiB and no context switch of a sleeping monitor", () => {
  const begin = `idle, ${ASLEEP}`;
  assertEquals(verdictOf(begin, [seen(ASLEEP, idle(16, 0))]), true);
  assertEquals(verdictOf(begin, [seen(ASLEEP, idle(20, 0))]), false);
  assertEquals(verdictOf(begin, [seen(ASLEEP, idle(12, 1))]), false);
});

Deno.test("judge() has a target missed when there is no figure", () => {
  assertEquals(verdictOf("start", []), false);
  assertEquals(verdictOf("pidfile", []), false);
  assertEquals(verdictOf("gap, asleep", []), false);
  assertEquals(verdictOf(`idle, ${AWAKE}`, []), false);
});

Deno.test("judge() leaves open what a missing rival would have been", () => {
  const all = [seen(AWAKE, { gapMs: [4] })];
  assertEquals(verdictOf("gap, awake", all), undefined);
});
