import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { readRestarting } from "../../../lib/cli/restart_options.ts";
import type { RunOptionName } from "../../../lib/cli/run_options.ts";
import { UsageError } from "../../../lib/options.ts";
import { DEFAULT_THROTTLE } from "../../../lib/restart_throttle.ts";

function read(...words: string[]): ReturnType<typeof readRestarting> {
  return readRestarting(words.map((word) => {
    const [name, value] = word.split("=") as [RunOptionName, string?];
    return { name, value };
  }));
}

for (
  const [words, policy] of [
    [[], undefined],
    [["monitor"], "on-error-signal"],
    [["restart=on-error-signal"], "on-error-signal"],
    [["restart=on-failure"], "on-failure"],
    [["restart=always"], "always"],
    [["restart=no"], undefined],
    [["monitor", "restart=always"], "always"],
  ] as const
) {
  Deno.test(`readRestarting() has ${policy} for "${words.join(" ")}"`, () => {
    assertEquals(read(...words).policy, policy);
  });
}

Deno.test("readRestarting() has the throttle of the C by default", () => {
  assertEquals(read("monitor").throttle, DEFAULT_THROTTLE);
});

Deno.test("readRestarting() has all that a throttle can be told", () => {
  assertEquals(
    read(
      "monitor",
      "restart-delay=500ms",
      "restart-max-delay=1m",
      "restart-reset=1h",
      "restart-limit=5/2m",
    ).throttle,
    {
      delay: 500,
      maxDelay: 60_000,
      reset: 3_600_000,
      limit: { ends: 5, within: 120_000 },
    },
  );
});

for (
  const [words, message] of [
    [["restart=alway"], "option --restart=alway: none of no, on-error-signal"],
    [["monitor", "restart=no"], "options --monitor and --restart=no exclude"],
    [["restart-delay=1s"], "option --restart-delay needs --monitor or"],
    [["restart=no", "on-crash=true"], "option --on-crash needs --monitor or"],
    [
      ["monitor", "restart-delay=x"],
      "option --restart-delay=x: not a duration",
    ],
    [
      ["monitor", "restart-max-delay=1s"],
      "option --restart-max-delay=1s: less than the delay of 10 seconds",
    ],
    [["monitor", "restart-limit=5"], "option --restart-limit=5: not a number"],
    [["monitor", "restart-limit=0/1m"], "option --restart-limit=0/1m: not a"],
    [["monitor", "restart-limit=2/x"], "option --restart-limit=2/x: not a dur"],
  ] as const
) {
  Deno.test(`readRestarting() refuses "${words.join(" ")}"`, () => {
    const error = assertThrows(() => read(...words), UsageError);
    assertEquals(error.message.slice(0, message.length), message);
  });
}
