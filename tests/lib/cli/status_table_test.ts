import { assertEquals } from "@std/assert/equals";
import { bytesText, durationText } from "../../../lib/cli/status_table.ts";

for (
  const [seconds, text] of [
    [0, "0s"],
    [59.9, "59s"],
    [60, "1m0s"],
    [3599, "59m59s"],
    [3600, "1h0m"],
    [90_061, "1d1h"],
    [864_000, "10d0h"],
  ] as const
) {
  Deno.test(`durationText() says ${text} for ${seconds}`, () => {
    assertEquals(durationText(seconds), text);
  });
}

for (
  const [bytes, text] of [
    [0, "0.0K"],
    [4096, "4.0K"],
    [12 * 1024, "12K"],
    [999 * 1024, "999K"],
    [1000 * 1024, "1.0M"],
    [1.5 * 2 ** 30, "1.5G"],
    [3 * 2 ** 40, "3.0T"],
  ] as const
) {
  Deno.test(`bytesText() says ${text} for ${bytes}`, () => {
    assertEquals(bytesText(bytes), text);
  });
}
