import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { execve, execvp, readyToExec } from "../../ffi/exec.ts";
import { LibcError } from "../../ffi/libc.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("execvp() looks the program up in PATH and hands its arguments over", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { execvp } from "${ROOT}/ffi/exec.ts";
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
    import { execvp } from "${ROOT}/ffi/exec.ts";
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
    import { execvp } from "${ROOT}/ffi/exec.ts";
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
    import { readyToExec } from "${ROOT}/ffi/exec.ts";
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
    import { execve } from "${ROOT}/ffi/exec.ts";
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
