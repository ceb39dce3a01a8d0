import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { hasEnded } from "../../ffi/child.ts";
import { LibcError } from "../../ffi/libc.ts";
import { getpid, getppid, kill, threadCount } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { Child, endedPid } from "../children.ts";
import { ask, ROOT, runProgram } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("getpid() and getppid() are Deno's in a process that has not forked", () => {
  assertEquals([getpid(), getppid()], [Deno.pid, Deno.ppid]);
});

Deno.test("setsid() begins a session whose leader this process is", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { procStat } from "${ROOT}/ffi/proc.ts";
    import { setsid } from "${ROOT}/ffi/process.ts";
    const id = setsid();
    const [, , group, session] = procStat("self").map(Number);
    console.log(id === Deno.pid && group === id && session === id);`,
  );
  assertEquals(answer, "true");
});

Deno.test("setsid() throws EPERM for the leader of a process group", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { setsid } from "${ROOT}/ffi/process.ts";
    setsid();
    try { setsid(); } catch (error) { console.log(error.message); }`,
  );
  assertEquals(answer, "setsid failed (Operation not permitted)");
});

Deno.test("kill() sends a signal", () => {
  using child = new Child("sleep", "600");
  kill(child.pid, Signal.SIGUSR1);
  const signal = Signal.SIGUSR1;
  assertEquals(child.wait(), { kind: "signaled", signal, coreDumped: false });
});

Deno.test("kill() with 0 sends nothing to a process that is there", () => {
  using child = new Child("sleep", "600");
  kill(child.pid, 0);
  assertEquals(hasEnded(child.pid), false);
});

Deno.test("kill() throws ESRCH when the process is gone", () => {
  const pid = endedPid();
  const error = assertThrows(() => kill(pid, 0), LibcError);
  assertEquals(error.message, "kill failed (No such process)");
  assertEquals(error.code, "ESRCH");
});

Deno.test("kill() throws EINVAL for a signal that there is not", () => {
  const error = assertThrows(() => kill(getpid(), 65), LibcError);
  assertEquals(error.code, "EINVAL");
});

Deno.test({
  name: "kill() throws EPERM when the process is another user's",
  ignore: Deno.uid() === 0,
  fn: () => {
    assertEquals(assertThrows(() => kill(1, 0), LibcError).code, "EPERM");
  },
});

Deno.test("exitNow() ends the process before any of its listeners", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await runProgram(
    box,
    `
    import { exitNow } from "${ROOT}/ffi/process.ts";
    addEventListener("unload", () => console.log("unload"));
    setTimeout(() => console.log("timer"));
    exitNow(7);`,
  );
  assertEquals([code, stdout], [7, ""]);
});

Deno.test("threadCount() is the number of entries in /proc/self/task", () => {
  const entries = () => [...Deno.readDirSync("/proc/self/task")].length;
  for (;;) {
    // Deno may start one meanwhile, or end one.
    const [before, count, after] = [entries(), threadCount(), entries()];
    if (before !== after) continue;
    assertEquals(count, before);
    break;
  }
});
