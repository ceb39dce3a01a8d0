import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { manPage } from "../../../lib/cli/man_page.ts";
import { runVerb } from "../../../lib/cli/run.ts";
import { optionsOf } from "../../../lib/cli/verb.ts";
import { run } from "../../../scripts/command.ts";
import { lacks } from "../../binutils.ts";
import { Sandbox } from "../../sandbox.ts";
import { pokeVerb, TEST_VERBS } from "../../verbs.ts";
import "../../open_libc.ts";

const PAGE = manPage(TEST_VERBS);
const ignore = await lacks(["man", "groff"]);

/** The page as a terminal shows it. */
async function shown(): Promise<string> {
  await using box = await Sandbox.create();
  await Deno.writeTextFile(box.path("tend.8"), PAGE);
  const { code, stdout, stderr } = await box.run(
    ["man", "--warnings", "-l", box.path("tend.8")],
    {
      env: { MANWIDTH: "80", LC_ALL: "C.UTF-8", MANPAGER: "cat", TERM: "dumb" },
    },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  return stdout;
}

Deno.test({
  name: "manPage() is formatted without a warning",
  ignore,
  fn: async () => {
    await shown();
    await using box = await Sandbox.create();
    await Deno.writeTextFile(box.path("tend.8"), PAGE);
    const { success, output } = await run("groff", [
      ...["-man", "-ww", "-z", box.path("tend.8")],
    ]);
    assertEquals({ success, output }, { success: true, output: "" });
  },
});

Deno.test({
  name: "manPage() shows each verb and each option as it is typed",
  ignore,
  fn: async () => {
    const text = (await shown()).replace(/\u2010\n +/g, "").replace(
      /\s+/g,
      " ",
    );
    for (const verb of TEST_VERBS) {
      assertStringIncludes(text, `tend ${verb.name} [OPTION]...`);
      for (const { name } of optionsOf(verb)) {
        assertStringIncludes(text, ` --${name}`);
      }
    }
    for (const [command] of runVerb.examples) {
      assertStringIncludes(text, ` ${command} `);
    }
  },
});

Deno.test({
  name: "manPage() shows a line that begins with a dot, quotes and brackets",
  ignore,
  fn: async () => {
    const text = (await shown()).replace(/\s+/g, " ");
    assertStringIncludes(text, ".And says so.");
    assertStringIncludes(text, "the signal [to send]: it's HUP by default");
  },
});

Deno.test("manPage() has a section for all that its readers look for", () => {
  const sections = [...PAGE.matchAll(/^\.SH (.*)$/gm)].map(([, title]) =>
    title
  );
  assertEquals(sections, [
    ...["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "VERBS"],
    ...["WORDS", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"],
  ]);
});

Deno.test("manPage() is the same whoever asks", () => {
  Deno.env.set("TEND_RUNDIR", "/run/elsewhere");
  assertEquals(manPage(TEST_VERBS), PAGE);
  assertEquals(PAGE.includes("elsewhere"), false);
  assertMatch(PAGE, /^\/run\/tend for root/m);
});

Deno.test("manPage() explains the words of all its verbs", () => {
  const words = /\.SH WORDS\n([^]*?)\.SH/.exec(manPage([pokeVerb]))![1]!;
  for (const word of ["TARGET", "SIG", "RUNDIR"]) {
    assertStringIncludes(words, `.TP\n\\fI${word}\\fR\n`);
  }
});
