import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { parseDuration } from "../../lib/duration.ts";

const READ: readonly [text: string, ms: number][] = [
  ["0", 0],
  ["90", 90_000],
  ["90s", 90_000],
  ["500ms", 500],
  ["2m", 120_000],
  ["1.5h", 5_400_000],
  ["0.25s", 250],
  ["1d", 86_400_000],
  ["007", 7000],
  ["3650d", 315_360_000_000],
];

for (const [text, ms] of READ) {
  Deno.test(`parseDuration() reads ${text}`, () => {
    assertEquals(parseDuration(text), ms);
  });
}

const REFUSED = [
  ...["", " ", "s", "-1", "+1", "1 s", "1S", "1w", "1e3", "0x10", ".5", "1."],
  ...["1m30s", "NaN", "Infinity", "never", "1\n", "\u0661"],
];

for (const text of REFUSED) {
  Deno.test(`parseDuration() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(() => parseDuration(text), TypeError, "not a duration");
  });
}

for (const text of ["3651d", "9".repeat(400)]) {
  Deno.test(`parseDuration() refuses ${text.slice(0, 8)} as too long`, () => {
    assertThrows(() => parseDuration(text), TypeError, "more than ten years");
  });
}
