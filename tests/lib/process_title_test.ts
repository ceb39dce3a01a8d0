import { assertEquals } from "@std/assert/equals";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

const IMPORTS = `
  import { proctitleRestore, proctitleSet } from "${ROOT}/lib/process_title.ts";
  import { setProgramName } from "${ROOT}/lib/program_name.ts";
  const cmdline = () => Deno.readTextFileSync("/proc/self/cmdline");
  const title = () => cmdline().replace(/\\0+$/, "");`;

async function say(source: string, args: string[] = []): Promise<string> {
  await using box = await Sandbox.create();
  return await ask(box, IMPORTS + source, { args });
}

Deno.test("proctitleSet() puts the program's name before the title", async () => {
  const answer = await say(`
    setProgramName("web");
    proctitleSet("monitoring pid 9 (healthy)");
    console.log(title());`);
  assertEquals(answer, "web: monitoring pid 9 (healthy)");
});

Deno.test("proctitleSet() leaves nothing of the title before", async () => {
  const answer = await say(`
    proctitleSet("a very long title");
    proctitleSet("short");
    console.log(title());`);
  assertEquals(answer, "tend: short");
});

Deno.test("proctitleSet() leaves the environment as it is in /proc", async () => {
  const answer = await say(`
    const environ = () => Deno.readTextFileSync("/proc/self/environ");
    const before = environ();
    proctitleSet("x".repeat(4000));
    console.log(environ() === before);`);
  assertEquals(answer, "true");
});

for (
  const [what, args] of [
    ["arguments", ["a", "b c"]],
    ["empty arguments at the end", ["a", "", ""]],
    ["arguments of 100,000 bytes", ["x".repeat(100_000), "y"]],
  ] as const
) {
  Deno.test(`proctitleRestore() shows ${what} as they were`, async () => {
    const answer = await say(
      `
      const before = cmdline();
      proctitleSet("a title");
      proctitleSet("another");
      proctitleRestore();
      console.log(cmdline() === before);`,
      [...args],
    );
    assertEquals(answer, "true");
  });
}

Deno.test("proctitleRestore() does nothing when no title was set", async () => {
  const answer = await say(`
    const before = cmdline();
    proctitleRestore();
    console.log(cmdline() === before);`);
  assertEquals(answer, "true");
});

Deno.test("proctitleSet() sets a title again after proctitleRestore()", async () => {
  const answer = await say(`
    proctitleSet("one");
    proctitleRestore();
    proctitleSet("two");
    console.log(title());`);
  assertEquals(answer, "tend: two");
});
