import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { hasEnded, hasExeced, waitKilled, waitpid } from "../../ffi/child.ts";
import { LibcError } from "../../ffi/libc.ts";
import { Child, endedPid } from "../children.ts";
import { look } from "../proc.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("waitpid() waits until the child ends", () => {
  using child = new Child("sh", "-c", "sleep 0.05; exit 42");
  assertEquals(child.wait(), { kind: "exited", code: 42 });
});

Deno.test("waitpid() throws ECHILD when it was waited for before", () => {
  const pid = endedPid();
  const error = assertThrows(() => waitpid(pid), LibcError);
  assertEquals(error.message, "waitpid failed (No child processes)");
  assertEquals(error.code, "ECHILD");
});

for (
  const [how, script, killed] of [
    ["exited", "exit 7", false],
    ["was killed", "kill -KILL $$", true],
  ] as const
) {
  Deno.test(`waitKilled() is ${killed} of a child that ${how}, and leaves it to be waited for`, () => {
    const { pid } = new Child("sh", "-c", script);
    assertEquals(waitKilled(pid), killed);
    assertEquals(hasEnded(pid), true);
    waitpid(pid);
  });
}

Deno.test("waitpid() throws ECHILD for a process that is no child", () => {
  assertEquals(assertThrows(() => waitpid(1), LibcError).code, "ECHILD");
});

Deno.test("hasEnded() is false while the child runs, and of one that was waited for", () => {
  using child = new Child("sleep", "600");
  assertEquals([hasEnded(child.pid), hasEnded(endedPid())], [false, false]);
});

Deno.test("endedChild() is the child that has ended, until it is waited for", async () => {
  await using box = await Sandbox.create();
  // In a process of its own: here it could be one of Deno's.
  const answer = await ask(
    box,
    `
    import { endedChild, waitpid } from "${ROOT}/ffi/child.ts";
    import { Child } from "${ROOT}/tests/children.ts";
    const before = endedChild();
    using other = new Child("sleep", "600");
    const meanwhile = endedChild();
    const { pid } = new Child("sh", "-c", "exit 7");
    while (endedChild() === "running");
    const seen = endedChild() === pid;
    const { code } = waitpid(pid);
    const after = endedChild();
    console.log(JSON.stringify([before, meanwhile, seen, code, after]));`,
  );
  assertEquals(JSON.parse(answer), ["none", "running", true, 7, "running"]);
});

Deno.test("hasExeced() is true of a child that became another program", () => {
  using child = new Child("sleep", "600");
  assertEquals(hasExeced(child.pid), true);
});

Deno.test("hasExeced() is true of such a child when it has ended", async () => {
  await using box = await Sandbox.create();
  using child = new Child("true");
  await box.until("it is a zombie", () => look(child.pid) === undefined);
  assertEquals(hasExeced(child.pid), true);
});
