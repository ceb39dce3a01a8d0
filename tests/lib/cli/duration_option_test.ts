import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { readDuration } from "../../../lib/cli/duration_option.ts";
import { UsageError } from "../../../lib/options.ts";

const given = (value: string) => [{ name: "timeout" as const, value }];

Deno.test("readDuration() reads milliseconds, and has a fallback", () => {
  assertEquals(readDuration(given("2m"), "timeout", 7), 120_000);
  assertEquals(readDuration([], "timeout", 7), 7);
});

Deno.test("readDuration() refuses what is no duration, by the option's name", () => {
  const { message } = assertThrows(
    () => readDuration(given("soon"), "timeout", 7),
    UsageError,
  );
  assertEquals(
    message,
    "option --timeout=soon: not a duration, as 90, 90s, 2m and 500ms are",
  );
});
