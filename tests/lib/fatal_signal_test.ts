import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { FATAL_SIGNALS } from "../../lib/fatal_signal.ts";
import { ask, CANNOT_UNSHARE, ROOT, runProgram } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const IMPORTS = `
  import * as fatal from "${ROOT}/lib/fatal_signal.ts";
  import { raise } from "${ROOT}/ffi/signal.ts";
  const [file] = Deno.args;`;

/** Runs a program that is given a file; returns whether it is there then. */
async function runWithFile(
  source: string,
  under: string[] = [],
): Promise<{ code: number; stdout: string; stderr: string; left: boolean }> {
  await using box = await Sandbox.create();
  const file = box.path("file");
  Deno.writeTextFileSync(file, "");
  const finished = await runProgram(box, IMPORTS + source, {
    args: [file],
    // A shell tells an end by a signal from an exit.
    under: ["sh", "-c", '"$@"; exit $?', "sh", ...under],
  });
  const left = [...Deno.readDirSync(box.dir)].some(({ name }) =>
    name === "file"
  );
  const { code, stdout, stderr } = finished;
  return { code, stdout, stderr, left };
}

Deno.test("exit() runs the hooks in their order, removes the files and ends", async () => {
  const { code, stdout, left } = await runWithFile(`
    fatal.addExitHook(() => console.log("first"));
    fatal.addExitHook(() => console.log("second"));
    fatal.addFileToUnlink(file);
    fatal.exit(3);
    console.log("not reached");`);
  assertEquals([code, stdout, left], [3, "first\nsecond\n", false]);
});

Deno.test("exit() runs the other hooks when one throws, and says so", async () => {
  const { code, stdout, stderr, left } = await runWithFile(`
    fatal.addExitHook(() => { throw new Error("oh"); });
    fatal.addExitHook(() => console.log("second"));
    fatal.addFileToUnlink(file);
    fatal.exit(3);`);
  assertEquals([code, stdout, left], [3, "second\n", false]);
  assertStringIncludes(stderr, "|fatal_signal|ERR|exit hook failed: Error: oh");
});

Deno.test("exit() removes the other files when one is gone, without a word", async () => {
  const { code, stderr, left } = await runWithFile(`
    fatal.addFileToUnlink("/no/such/file");
    fatal.addFileToUnlink(file);
    fatal.exit(3);`);
  assertEquals([code, stderr, left], [3, "", false]);
});

Deno.test("exit() removes the other files when one cannot be, and says so", async () => {
  const { code, stderr, left } = await runWithFile(`
    Deno.mkdirSync(\`\${file}.d\`);
    fatal.addFileToUnlink(\`\${file}.d\`);
    fatal.addFileToUnlink(file);
    fatal.exit(3);`);
  assertEquals([code, left], [3, false]);
  assertMatch(
    stderr,
    /\|fatal_signal\|WARN\|could not unlink ".*\/file\.d" \(Is a directory\)\n$/,
  );
});

Deno.test("exit() ends the process whatever name a file to remove was given", async () => {
  const { code, left } = await runWithFile(`
    try { fatal.addFileToUnlink("/tmp/a\\0b"); } catch { /* just as good */ }
    fatal.addFileToUnlink(file);
    fatal.exit(3);`);
  assertEquals([code, left], [3, false]);
});

Deno.test("exit() ends the process when a hook calls it again", async () => {
  const { code, stdout, left } = await runWithFile(`
    fatal.addExitHook(() => fatal.exit(4));
    fatal.addFileToUnlink(file);
    fatal.exit(3);
    console.log("not reached");`);
  assertEquals([code, stdout, left], [4, "", false]);
});

Deno.test("removeFileToUnlink() has a file stay", async () => {
  const { left } = await runWithFile(`
    fatal.addFileToUnlink(file);
    fatal.removeFileToUnlink(file);
    fatal.exit(0);`);
  assertEquals(left, true);
});

Deno.test("fatalSignalFork() leaves files and hooks to the child", async () => {
  const { stdout, left } = await runWithFile(`
    fatal.addExitHook(() => console.log("hook"));
    fatal.addFileToUnlink(file);
    fatal.fatalSignalFork("parent");
    fatal.exit(0);`);
  assertEquals([stdout, left], ["", true]);
});

Deno.test("fatalSignalFork() has them done in the child of a parent's child", async () => {
  const { stdout, left } = await runWithFile(`
    fatal.addExitHook(() => console.log("hook"));
    fatal.addFileToUnlink(file);
    fatal.fatalSignalFork("parent");
    fatal.fatalSignalFork("child");
    fatal.exit(0);`);
  assertEquals([stdout, left], ["hook\n", false]);
});

Deno.test("runExitHooks() does it all just once", async () => {
  const { stdout, left } = await runWithFile(`
    fatal.addExitHook(() => console.log("hook"));
    fatal.addFileToUnlink(file);
    fatal.runExitHooks();
    Deno.writeTextFileSync(file, "");
    fatal.runExitHooks();`);
  assertEquals([stdout, left], ["hook\n", true]);
});

Deno.test("FATAL_SIGNALS are those of fatal-signal.c", () => {
  assertEquals([...FATAL_SIGNALS].sort((a, b) => a - b), [1, 2, 14, 15]);
});

for (const signal of FATAL_SIGNALS) {
  Deno.test(`fatalSignalRun() removes the files and dies of signal ${signal}`, async () => {
    const { code, stdout, left } = await runWithFile(`
      fatal.addExitHook(() => console.log("hook"));
      fatal.addFileToUnlink(file);
      fatal.fatalSignalBlock();
      raise(${signal});
      console.log("held back");
      fatal.fatalSignalRun();
      console.log("not reached");`);
    assertEquals(
      [code, stdout, left],
      [128 + signal, "held back\nhook\n", false],
    );
  });

  Deno.test(`fatalSignalRun() goes on when the caller had signal ${signal} ignored`, async () => {
    const { code, stdout, left } = await runWithFile(
      `
      fatal.addFileToUnlink(file);
      fatal.fatalSignalBlock();
      raise(${signal});
      fatal.fatalSignalRun();
      console.log("goes on");`,
      ["env", `--ignore-signal=${signal}`],
    );
    assertEquals([code, stdout, left], [0, "goes on\n", true]);
  });
}

Deno.test("fatalSignalRun() does nothing when no signal is pending", async () => {
  const { code, stdout, left } = await runWithFile(`
    fatal.addFileToUnlink(file);
    fatal.fatalSignalBlock();
    fatal.fatalSignalRun();
    console.log("goes on");`);
  assertEquals([code, stdout, left], [0, "goes on\n", true]);
});

Deno.test("caughtSignals() leaves out what the caller had ignored", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `${IMPORTS}
    console.log(JSON.stringify(fatal.caughtSignals([15, 1, 2, 17])));`,
    { under: ["env", "--default-signal=TERM,INT", "--ignore-signal=HUP,CHLD"] },
  );
  assertEquals(JSON.parse(answer), [15, 2]);
});

Deno.test("dieOf() dies of a signal that is ignored and blocked", async () => {
  const { code, stdout } = await runWithFile(
    `
    fatal.dieOf(15);
    console.log("not reached");`,
    ["env", "--ignore-signal=TERM", "--block-signal=TERM"],
  );
  assertEquals([code, stdout], [143, ""]);
});

Deno.test({
  name: "dieOf() ends the first process of a PID namespace too",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    // As in a container. The kernel keeps signals without a handler from it,
    // SIGKILL among them when it comes from inside.
    const { code, stdout } = await runWithFile(
      `
      fatal.dieOf(15);
      console.log("not reached");`,
      ["unshare", "-Urpf"],
    );
    assertEquals([code, stdout], [143, ""]);
  },
});
