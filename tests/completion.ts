/**
 * The tests of completions, the same for each shell.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import type { Shell } from "../lib/cli/completion_words.ts";
import { runVerb } from "../lib/cli/run.ts";
import type { Verb } from "../lib/cli/verb.ts";
import { Sandbox } from "./sandbox.ts";
import { lacksShell, TypedShell } from "./shells.ts";
import { TEST_VERBS } from "./verbs.ts";

/** What is completed, what is typed, and the words that tend is called with. */
const COMPLETED: readonly [string, string, string][] = [
  ["a verb", "tend pok\tx", "[poke][x]"],
  ["an option of tend", "tend --det\tx", "[--detach][x]"],
  ["an option of a verb", "tend poke --js\tx", "[poke][--json][x]"],
  [
    "an option that needs a value",
    "tend settle --tim\t5s",
    "[settle][--timeout=5s]",
  ],
  ["an option behind an operand", "tend poke x --js\t", "[poke][x][--json]"],
  [
    "an option behind a value",
    "tend poke -s HUP --js\t",
    "[poke][-s][HUP][--json]",
  ],
  ["a signal", "tend poke --signal=TE\tx", "[poke][--signal=TERM][x]"],
  ["a letter's signal", "tend poke -s TE\tx", "[poke][-s][TERM][x]"],
  [
    "a file",
    "tend settle --log-file=./fi\tx",
    "[settle][--log-file=./file.pid][x]",
  ],
  ["a file of tend's", "tend --log-file=./fi\tx", "[--log-file=./file.pid][x]"],
  ["a directory", "tend --chdir=./bi\tx", "[--chdir=./bin/x]"],
  ["when a command is ready", "tend --ready=del\t3s", "[--ready=delay=3s]"],
  ["that it says so", "tend --ready=not\tx", "[--ready=notify][x]"],
  ["a limit", "tend --limit=nof\t9", "[--limit=nofile=9]"],
  ["a user", "tend --user=nobo\tx", "[--user=nobody][x]"],
  ["a name in the run directory", "tend poke we\tx", "[poke][web][x]"],
  ["several names", "tend poke we\tapi\t", "[poke][web][api]"],
  ["a name that holds a blank", "tend poke my\tx", "[poke][my db][x]"],
  ["a name after --", "tend poke -- we\t", "[poke][--][web]"],
  ["a pidfile", "tend poke ./fi\tx", "[poke][./file.pid][x]"],
  ["the verb of help", "tend help pok\tx", "[help][poke][x]"],
  [
    "the shell of completions",
    "tend completions fi\tx",
    "[completions][fish][x]",
  ],
  ["a command in PATH", "tend unlik\tx", "[unlikely-command][x]"],
  ["a command's path", "tend ./prog\tx", "[./program][x]"],
  [
    "a command behind an option",
    "tend --detach ./prog\tx",
    "[--detach][./program][x]",
  ],
  [
    "a command behind a value",
    "tend --name=a ./prog\tx",
    "[--name=a][./program][x]",
  ],
  ["a command of run", "tend run ./prog\tx", "[run][./program][x]"],
  ["a command after --", "tend -- ./prog\tx", "[--][./program][x]"],
  [
    "a command's own file",
    "tend ./program ./fi\tx",
    "[./program][./file.pid][x]",
  ],
  [
    "a command's own file of run",
    "tend run -- ./program ./fi\tx",
    "[run][--][./program][./file.pid][x]",
  ],
];

/** What is left as it is, and how it is typed. */
const LEFT_ALONE: readonly [string, string, string][] = [
  [
    "an option behind the command",
    "tend ./program --det\tx",
    "[./program][--detx]",
  ],
  ["an option after --", "tend poke -- --js\tx", "[poke][--][--jsx]"],
  ["an option of another verb", "tend poke --tim\tx", "[poke][--timx]"],
  ["a verb behind an option", "tend --detach pok\tx", "[--detach][pokx]"],
  ["a file for a directory", "tend --chdir=./fi\tx", "[--chdir=./fix]"],
  ["a duration", "tend settle --timeout=\t5s", "[settle][--timeout=5s]"],
  ["the name of a file that is no pidfile", "tend poke tex\tx", "[poke][texx]"],
];

/** Has a shell complete command lines of the tests' verbs. */
export async function testCompletion(
  shell: Shell,
  completion: (verbs: readonly Verb[]) => string,
): Promise<void> {
  const ignore = await lacksShell(shell);
  const test = (
    title: string,
    line: string,
    expected: string,
    verbs = TEST_VERBS,
  ) =>
    Deno.test({
      name: `${shell}Completion() ${title}`,
      ignore,
      fn: async () => {
        await using box = await Sandbox.create();
        await Deno.mkdir(box.path("run"));
        for (const name of ["web.pid", "api.pid", "my db.pid", "text.txt"]) {
          await Deno.writeTextFile(box.runPath(name), "");
        }
        await Deno.writeTextFile(box.path("file.pid"), "");
        await Deno.writeTextFile(box.path("program"), "", { mode: 0o755 });
        await Deno.mkdir(box.path("bin"));
        await Deno.symlink(
          box.path("program"),
          box.path("bin/unlikely-command"),
        );
        using typed = await TypedShell.start(
          box,
          shell,
          completion(verbs),
        );
        assertEquals(await typed.type(line), expected);
      },
    });
  for (const [what, line, expected] of COMPLETED) {
    test(`completes ${what}`, line, expected);
  }
  test("completes a verb where nothing is typed", "tend \tx", "[run][x]", [
    runVerb,
  ]);
  for (const [what, line, expected] of LEFT_ALONE) {
    test(`leaves ${what} alone`, line, expected);
  }
}
