import { assertEquals } from "@std/assert/equals";
import { countsThatFit } from "../../../scripts/bench/many.ts";

Deno.test("countsThatFit() leaves out what could not be awake at once", () => {
  const gibibytes = (count: number) => count * 1024 ** 2;
  assertEquals(countsThatFit([1, 10, 500], gibibytes(16)), [1, 10, 500]);
  assertEquals(countsThatFit([1, 10, 500], gibibytes(8)), [1, 10]);
});
