import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import type { Weighed } from "../../../scripts/bench/many.ts";
import {
  apart,
  memory,
  memoryChart,
  ticksOf,
} from "../../../scripts/bench/memory_chart.ts";

function weighed(name: string, weights: Record<number, number>): Weighed {
  return {
    name,
    weights: Object.entries(weights).map(([count, pssKib]) => ({
      count: Number(count),
      pssKib,
      startSeconds: 1,
    })),
  };
}

Deno.test("memoryChart() draws a line for each supervisor, and says its last weight", () => {
  const chart = memoryChart([
    weighed("tend", { 1: 12, 10: 120 }),
    weighed("pm2", { 1: 57344, 10: 58368 }),
  ]);
  assertEquals(chart.match(/<polyline /g)?.length, 2);
  assertEquals(chart.match(/<circle /g)?.length, 4);
  assertStringIncludes(chart, ">tend, 120 KiB</text>");
  assertStringIncludes(chart, ">pm2, 57 MiB</text>");
});

Deno.test("memoryChart() leaves out a supervisor that could not be weighed", () => {
  const chart = memoryChart([weighed("tend", { 1: 12 }), weighed("s6", {})]);
  assertEquals(chart.match(/<polyline /g)?.length, 1);
  assert(!chart.includes("NaN"));
});

Deno.test("memoryChart() has colours for a dark ground", () => {
  const chart = memoryChart([weighed("tend", { 1: 12 })]);
  assertStringIncludes(chart, "@media (prefers-color-scheme: dark)");
});

Deno.test("ticksOf() begins below the least and ends below the greatest", () => {
  assertEquals(ticksOf([12, 5000]), [10, 100, 1024]);
  assertEquals(ticksOf([10, 100]), [10, 100]);
});

Deno.test("apart() leaves alone what is far enough apart", () => {
  assertEquals(apart([50, 10, 30], 18), [50, 10, 30]);
});

Deno.test("apart() moves what is too close by the same to both sides", () => {
  assertEquals(apart([20, 24, 100], 10), [17, 27, 100]);
});

Deno.test("apart() joins what has come too close by being moved", () => {
  assertEquals(apart([20, 20, 26], 10), [12, 22, 32]);
});

Deno.test("memory() has the unit that people would say it in", () => {
  assertEquals(
    [12, 1023, 1024, 6000, 131072, 2 * 1024 ** 2].map(memory),
    ["12 KiB", "1023 KiB", "1 MiB", "5.9 MiB", "128 MiB", "2 GiB"],
  );
});
