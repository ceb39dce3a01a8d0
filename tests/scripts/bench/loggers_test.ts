import { assertEquals } from "@std/assert/equals";
import {
  judgeKept,
  judgeRates,
  type Logged,
  TEND_LOGGER,
} from "../../../scripts/bench/loggers.ts";

function logged(name: string, timestamps: boolean, ...rates: number[]): Logged {
  return { name, timestamps, rates, pssKib: 100 };
}

function verdicts(...all: Logged[]): (boolean | undefined)[] {
  return judgeRates(all).map(({ isMet }) => isMet);
}

Deno.test("judgeRates() compares with each other logger, by medians", () => {
  const all = (plain: number, stamped: number) =>
    verdicts(
      logged(TEND_LOGGER, false, 1, 5, 9),
      logged("a", false, 1, 1, 1),
      logged("b", false, 9, plain, 1),
      logged(TEND_LOGGER, true, 3, 3, 3),
      logged("a", true, stamped, stamped, 1),
    );
  assertEquals(all(5, 3), [true, true]);
  assertEquals(all(6, 3), [false, true]);
  assertEquals(all(5, 4), [true, false]);
});

Deno.test("judgeRates() knows nothing where there is no other logger", () => {
  assertEquals(
    verdicts(logged(TEND_LOGGER, false, 1), logged(TEND_LOGGER, true, 1)),
    [undefined, undefined],
  );
});

Deno.test("judgeKept() wants each byte, and enough rotations", () => {
  const kept = { bytes: 1e9, rotations: 50, isSame: true };
  assertEquals(judgeKept(kept).isMet, true);
  assertEquals(judgeKept({ ...kept, isSame: false }).isMet, false);
  assertEquals(judgeKept({ ...kept, rotations: 49 }).isMet, false);
});
