import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { OPTIONS, usage } from "../../../lib/cli/usage.ts";
import { DESTINATIONS, LEVELS, MODULES } from "../../../lib/vlog_levels.ts";
import "../../open_libc.ts";

Deno.env.set("TEND_RUNDIR", "/run/here");
Deno.env.set("TEND_LOGDIR", "/log/there");

for (const option of OPTIONS) {
  Deno.test(`usage() has --${option.name} once`, () => {
    const lines = usage().split("\n")
      .filter((line) => RegExp(`^ .*--${option.name}(?![a-z-])`).test(line))
      .filter((line) => !line.slice(27).includes(`--${option.name}`));
    assertEquals(lines.length, 1, usage());
  });
}

Deno.test("OPTIONS have no name and no letter twice", () => {
  const names = OPTIONS.flatMap((option) =>
    "letter" in option ? [option.name, option.letter] : [option.name]
  );
  assertEquals(new Set<string>(names).size, names.length);
});

Deno.test("usage() has every word that --verbose takes", () => {
  for (const words of [MODULES, DESTINATIONS, LEVELS]) {
    assertStringIncludes(usage(), words.join(", "));
  }
});

Deno.test("usage() says where pidfiles and logs are", () => {
  assertStringIncludes(usage(), "RUNDIR is /run/here (TEND_RUNDIR)");
  assertStringIncludes(usage(), "LOGDIR is /log/there (TEND_LOGDIR)");
});

Deno.test("usage() fits a terminal of 80 columns", () => {
  const long = usage().split("\n").filter((line) => line.length > 79);
  assertEquals(long, []);
});
