import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { LibcError } from "../../ffi/libc.ts";
import {
  execve,
  execvp,
  getpid,
  getppid,
  hasEnded,
  hasExeced,
  kill,
  namespacePids,
  procStat,
  readyToExec,
  threadCount,
  waitKilled,
  waitpid,
} from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { Child } from "../children.ts";
import { childrenOf, look } from "../proc.ts";
import { ask, CANNOT_UNSHARE, ROOT, runProgram } from "../program.ts";
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
    import { procStat, setsid } from "${ROOT}/ffi/process.ts";
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

Deno.test("leaveProcessGroup() makes a process the leader of its own", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { leaveProcessGroup, procStat } from "${ROOT}/ffi/process.ts";
    const isLeader = () => Number(procStat("self")[2]) === Deno.pid;
    const before = isLeader();
    leaveProcessGroup();
    console.log(before, isLeader());`,
  );
  assertEquals(answer, "false true");
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
    import { endedChild, waitpid } from "${ROOT}/ffi/process.ts";
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

Deno.test("execvp() looks the program up in PATH and hands its arguments over", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { execvp } from "${ROOT}/ffi/process.ts";
    const bytes = Uint8Array.of(0xff, 0x20);
    execvp("sh", ["name", "-c", 'printf %s, "$0" "$@" | od -An -tx1', "", bytes]);`,
  );
  assertEquals(answer.trim(), "2c ff 20 2c");
});

Deno.test("execvp() keeps the pid and closes Deno's descriptors", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { execvp } from "${ROOT}/ffi/process.ts";
    const file = Deno.openSync("/dev/zero");
    execvp("sh", ["sh", "-c", "echo $$ $1; ls -l /proc/self/fd | grep -c zero", "sh", String(Deno.pid)]);`,
    { under: ["sh", "-c", '"$@"; true', "sh"] },
  );
  const [pids, zeros] = answer.split("\n");
  const [now, before] = pids!.split(" ");
  assertEquals([now, zeros], [before, "0"]);
});

for (
  const [what, file, reason] of [
    ["ENOENT when it is not there", "/no/such/program", "No such file or"],
    ["EACCES when it may not be executed", "/etc/passwd", "Permission denied"],
  ] as const
) {
  Deno.test(`execvp() throws ${what}`, () => {
    assertThrows(
      () => execvp(file, [file]),
      LibcError,
      `exec failed (${reason}`,
    );
  });
}

Deno.test("execvp() throws ENOENT when PATH has no such program", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { execvp } from "${ROOT}/ffi/process.ts";
    Deno.env.set("PATH", "/bin:/usr/bin");
    try { execvp("no-such-program", ["no-such-program"]); }
    catch (error) { console.log(error.code); }`,
  );
  assertEquals(answer, "ENOENT");
});

Deno.test("readyToExec() becomes a program with the environment that it is given, a script without #! too", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("script"), 'echo "$A,$1"\n', { mode: 0o755 });
  const answer = await ask(
    box,
    `
    import { readyToExec } from "${ROOT}/ffi/process.ts";
    readyToExec("./script", ["name", "b"], ["A=1"])();`,
  );
  assertEquals(answer, "1,b");
});

Deno.test("readyToExec() refuses a NUL, and throws what execvp() does", () => {
  assertThrows(() => readyToExec("/a", ["a"], ["A=\0"]), TypeError, "NUL byte");
  const error = assertThrows(
    readyToExec("/no/such", ["a"], []),
    LibcError,
  );
  assertEquals(error.message, "exec failed (No such file or directory)");
});

Deno.test("execvp() refuses a NUL in the file and in each argument", () => {
  assertThrows(() => execvp("/bin/true\0", ["true"]), TypeError, "NUL byte");
  assertThrows(() => execvp("/bin/true", ["a", "b\0"]), TypeError, "NUL byte");
});

Deno.test("execve() hands arguments and environment over byte for byte, and nothing else", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { execve } from "${ROOT}/ffi/process.ts";
    const bytes = Uint8Array.of(0x41, 0x3d, 0xff);
    execve("/bin/sh", ["sh", "-c", 'od -An -v -tx1 /proc/$$/environ; echo $$ "$1"',
      "sh", String(Deno.pid)], [bytes, "none"]);`,
  );
  const [environ, pids] = answer.split("\n");
  assertEquals(environ!.trim(), "41 3d ff 00 6e 6f 6e 65 00");
  const [now, before] = pids!.split(" ");
  assertEquals(now, before);
});

Deno.test("execve() does not look a program up in PATH", () => {
  assertThrows(() => execve("sh", ["sh"], ["PATH=/bin"]), LibcError, "No such");
});

Deno.test("execve() refuses a NUL in the environment", () => {
  assertThrows(() => execve("/bin/true", ["true"], ["a\0b"]), TypeError, "NUL");
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

Deno.test("procStat() begins with the state after any name", async () => {
  await using box = await Sandbox.create();
  const program = box.path("a) R 1 (b");
  Deno.copyFileSync("/bin/sleep", program);
  using child = new Child(program, "600");
  const [state, parent] = procStat(child.pid)!;
  assertEquals(["R", "S", "D"].includes(state!), true, state);
  assertEquals(Number(parent), Deno.pid);
});

Deno.test("procStat() is undefined when the process is gone", () => {
  assertEquals(procStat(endedPid()), undefined);
});

Deno.test("namespacePids() is the pid alone in the first namespace", () => {
  assertEquals(namespacePids(Deno.pid)[0], Deno.pid);
});

Deno.test({
  name:
    "namespacePids() is the pid here and then that in the process's own namespace",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const { pid } = box.start(["unshare", "-Urpf", "sleep", "600"]);
    const inner = await box.until("sleep has begun", () => childrenOf(pid)[0]);
    assertEquals(namespacePids(inner), [inner, 1]);
  },
});

Deno.test("namespacePids() is empty when the process is gone", () => {
  assertEquals(namespacePids(endedPid()), []);
});

/** A pid that was just waited for: the kernel gives it to nobody so soon. */
function endedPid(): number {
  using child = new Child("true");
  child.wait();
  return child.pid;
}
