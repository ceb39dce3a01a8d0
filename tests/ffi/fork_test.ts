import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { fork } from "../../ffi/fork.ts";
import { CANNOT_COMPILE, compileSingleThreaded } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const PROGRAM = new URL("fork_program.ts", import.meta.url).pathname;
const SIGSEGV = 11;

Deno.test("fork() is refused, with the reason, in a process of several threads", () => {
  const { message } = assertThrows(fork, Error);
  assertMatch(
    message,
    /^fork refused: the process has \d+ threads and its child would have one \(compile with --v8-flags=--single-threaded\)$/,
  );
});

Deno.test({
  name: "fork() in a process of one thread",
  ignore: CANNOT_COMPILE,
  fn: async (t) => {
    await using box = await Sandbox.create();
    const program = await compileSingleThreaded(box, PROGRAM);
    /** Runs it with one of its names, and returns what it says. */
    const ask = async (name: string) => {
      const { code, stdout, stderr } = await box.run([program, name]);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      return JSON.parse(stdout);
    };

    await t.step("a plain fork() kills the child in JavaScript", async () => {
      // Why there is more to it. If this fails, ffi/fork.ts has no cause.
      assertEquals((await ask("plainly")).signal, SIGSEGV);
    });
    await t.step("the child has one thread", async () => {
      assertEquals(await ask("threads"), 1);
    });
    await t.step(
      "hasExeced() is false of it, and of what is left of it",
      async () => {
        assertEquals(await ask("hasExeced"), [false, false, false]);
      },
    );
    await t.step("the child runs new JavaScript", async () => {
      assertEquals(await ask("javascript"), 42);
    });
    await t.step("the child runs code until V8 optimizes it", async () => {
      assertEquals(await ask("compiledCode"), 5e6);
    });
    await t.step("the child has a pid that Deno.pid is not", async () => {
      assertEquals(await ask("pids"), [true, true, true]);
    });
    await t.step(
      "the child allocates and collects, and has all that there was",
      async () => {
        assertEquals(await ask("memory"), [51e6, 1e4, true]);
      },
    );
    await t.step("timers ring in the child", async () => {
      assertEquals(await ask("timers"), "rang");
    });
    await t.step(
      "the child reads and writes files without waiting",
      async () => {
        assertEquals(await ask("file"), "text");
      },
    );
    await t.step("the child serves and fetches", async () => {
      assertEquals(await ask("server"), "served");
    });
    await t.step("the child runs commands", async () => {
      assertEquals(await ask("command"), [3, "run\n"]);
    });
    await t.step("the child listens for signals", async () => {
      assertEquals(await ask("signal"), "heard");
    });
    await t.step("the child has workers", async () => {
      assertEquals(await ask("worker"), 42);
    });
    await t.step("the child forks", async () => {
      assertEquals(await ask("fork"), { kind: "exited", code: 5 });
    });
    await t.step("1000 children in a row live", async () => {
      assertEquals(await ask("often"), 1000);
    });
  },
});
