import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { runVerb } from "../../../lib/cli/run.ts";
import { usage, verbUsage } from "../../../lib/cli/usage.ts";
import { optionsOf } from "../../../lib/cli/verb.ts";
import { DESTINATIONS, LEVELS, MODULES } from "../../../lib/vlog_levels.ts";
import { TEST_VERBS } from "../../verbs.ts";
import "../../open_libc.ts";

Deno.env.set("TEND_RUNDIR", "/run/here");
Deno.env.set("TEND_LOGDIR", "/log/there");

const TEXT = usage(TEST_VERBS);

for (const option of optionsOf(runVerb)) {
  Deno.test(`usage() has --${option.name} once`, () => {
    const lines = TEXT.split("\n")
      .filter((line) => RegExp(`^ .*--${option.name}(?![a-z-])`).test(line))
      .filter((line) => !line.slice(27).includes(`--${option.name}`));
    assertEquals(lines.length, 1, TEXT);
  });
}

for (const { name, summary } of TEST_VERBS) {
  Deno.test(`usage() has the verb ${name} and what it does`, () => {
    assertMatch(
      TEXT,
      RegExp(`^  ${name} +${summary.replace(/[()]/g, ".")}$`, "m"),
    );
  });
}

Deno.test("usage() has every word that --verbose takes", () => {
  for (const words of [MODULES, DESTINATIONS, LEVELS]) {
    assertStringIncludes(TEXT, words.join(", "));
  }
});

Deno.test("usage() says where pidfiles and logs are", () => {
  assertMatch(TEXT, /^ {2}RUNDIR +\/run\/here \(TEND_RUNDIR\)$/m);
  assertMatch(TEXT, /^ {2}LOGDIR +\/log\/there \(TEND_LOGDIR\)$/m);
});

Deno.test("usage() fits a terminal of 80 columns", () => {
  assertEquals(TEXT.split("\n").filter((line) => line.length > 79), []);
});

for (const verb of TEST_VERBS) {
  const text = verbUsage(verb);

  Deno.test(`verbUsage() fits a terminal of 80 columns for ${verb.name}`, () => {
    assertEquals(text.split("\n").filter((line) => line.length > 79), []);
  });

  Deno.test(`verbUsage() has all options and examples of ${verb.name}`, () => {
    for (const { name } of optionsOf(verb)) {
      assertMatch(text, RegExp(`^ {2}(-., )?--${name}(?![a-z-])`, "m"));
    }
    for (const [command, does] of verb.examples) {
      assertStringIncludes(text, `\n  ${command}\n      ${does}\n`);
    }
  });
}

Deno.test("verbUsage() is the whole text, with what its words mean", () => {
  const [poke] = TEST_VERBS.filter(({ name }) => name === "poke");
  assertEquals(
    verbUsage(poke!),
    `tend poke: poke what's named
usage: tend poke [OPTION]... TARGET...

Does it to each TARGET.

.And says so.

Options:
  -s, --signal=SIG         the signal [to send]: it's HUP
                           by default
  --all                    all daemons of RUNDIR, in place of TARGETs
  --json                   print JSON

Other options:
  -h, --help               display this help and exit
  -V, --version            display the version and exit

Exit status:
  0                        done
  3                        not running

Examples:
  tend poke web
      does it to web

Words:
  TARGET                   the NAME of RUNDIR/NAME.pid, or a pidfile: a FILE
                           with / in it, or .pid at its end
  FILE                     a file; a pidfile that is relative is below RUNDIR
  SIG                      a signal: TERM, SIGTERM or 15
  RUNDIR                   /run/here (TEND_RUNDIR)
`,
  );
});

Deno.test("verbUsage() has no title above nothing", () => {
  const [help] = TEST_VERBS.filter(({ name }) => name === "help");
  assertEquals(
    /^[^ ].*:\n(\n|$)/m.test(verbUsage({ ...help!, statuses: [] })),
    false,
  );
});
