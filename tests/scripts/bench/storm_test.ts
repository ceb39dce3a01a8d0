import { assertEquals } from "@std/assert/equals";
import { judgeStorm, type Storm } from "../../../scripts/bench/storm.ts";

const WELL: Storm = {
  count: 9,
  back: 9,
  right: 9,
  backSeconds: 1,
  pssKib: 108,
  processesLeft: 0,
  pidfilesLeft: 0,
  stopSeconds: 1,
};

function verdicts(storm: Partial<Storm>): (boolean | undefined)[] {
  return judgeStorm({ ...WELL, ...storm }).map(({ isMet }) => isMet);
}

Deno.test("judgeStorm() is content when all came back and nothing is left", () => {
  assertEquals(verdicts({}), [true, true, true]);
});

Deno.test("judgeStorm() is not when a daemon did not come back", () => {
  assertEquals(verdicts({ back: 8, right: 8 }), [false, true, true]);
});

Deno.test("judgeStorm() is not when a pidfile is wrong", () => {
  assertEquals(verdicts({ right: 8 }), [false, true, true]);
});

Deno.test("judgeStorm() is not when a monitor stays awake", () => {
  assertEquals(verdicts({ pssKib: NaN }), [true, false, true]);
});

Deno.test("judgeStorm() is not when something is left", () => {
  assertEquals(verdicts({ processesLeft: 1 }), [true, true, false]);
  assertEquals(verdicts({ pidfilesLeft: 1 }), [true, true, false]);
});
