import { waitpid } from "../../ffi/child.ts";
import { close, closesOnExec, pipe2 } from "../../ffi/descriptor.ts";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { readFile } from "../../ffi/file.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import { setSignalMask, Signal } from "../../ffi/signal.ts";
import { posixSpawn } from "../../ffi/spawn.ts";
import { openFdCount } from "../descriptors.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** The number that a descriptor has in the program. */
const AS = 100;

const ENV = ["TEND_TEST_SPAWN=a value"];

/** Runs a script of sh to its end, and returns what it writes to AS. */
function said(script: string, ...args: (string | Uint8Array)[]): string {
  const argv = ["sh", "-c", script, "sh", ...args];
  return new TextDecoder().decode(written("/bin/sh", argv, AS));
}

/** Runs a program to its end, and returns what it writes to a descriptor. */
function written(
  path: string,
  argv: readonly (string | Uint8Array)[],
  as: number,
  unblockSignals = false,
): Uint8Array {
  const { readFd, writeFd } = pipe2();
  const options = { env: ENV, pass: { fd: writeFd, as }, unblockSignals };
  const pid = posixSpawn(path, argv, options);
  close(writeFd);
  const status = waitpid(pid);
  const bytes = readFile(`/proc/self/fd/${readFd}`);
  close(readFd);
  assertEquals(status, { kind: "exited", code: 0 });
  return bytes;
}

Deno.test("posixSpawn() starts a program with its arguments as they are", () => {
  const args = ["", "a b", Uint8Array.of(0xff, 0x0a), ""];
  assertEquals(
    written("/usr/bin/printf", ["printf", "%s|", ...args], 1),
    Uint8Array.of(0x7c, 0x61, 0x20, 0x62, 0x7c, 0xff, 0x0a, 0x7c, 0x7c),
  );
});

Deno.test("posixSpawn() hands over the environment that it was given, and no other", () => {
  assertEquals(
    written("/usr/bin/env", ["env"], 1),
    new TextEncoder().encode(`${ENV[0]}\n`),
  );
});

Deno.test("posixSpawn() hands over the descriptor under its number, and no other of ours", () => {
  const list = () =>
    [...Deno.readDirSync("/proc/self/fd")].map((entry) => Number(entry.name));
  // What the tests' own caller has left open, a terminal's for example.
  const callers = list().filter((fd) => closesOnExec(fd) === false);
  const script =
    `for fd in /proc/$$/fd/*; do echo "$fd"; done >/proc/self/fd/${AS}`;
  const fds = said(script).trim()
    .split("\n").map((path) => Number(path.split("/").at(-1)));
  assertEquals(fds.includes(AS), true);
  // sh's own are below 20.
  const strangers = fds.filter((fd) => fd !== AS && !callers.includes(fd));
  assertEquals(strangers.filter((fd) => fd >= 20), []);
});

const HELD = [Signal.SIGTERM, Signal.SIGUSR1];

for (
  const [unblockSignals, mask] of [
    [true, "0000000000000000"],
    [false, "0000000000004200"],
  ] as const
) {
  Deno.test(`posixSpawn() begins with mask ${mask} when unblockSignals is ${unblockSignals}`, () => {
    setSignalMask(HELD);
    try {
      // Not by sh, which has a mask of its own.
      const argv = ["grep", "SigBlk", "/proc/self/status"];
      const line = written("/bin/grep", argv, 1, unblockSignals);
      assertEquals(new TextDecoder().decode(line), `SigBlk:\t${mask}\n`);
    } finally {
      setSignalMask([]);
    }
  });
}

for (
  const [what, path, errno] of [
    ["there is no such program", "/no/such", "ENOENT"],
    ["it may not be executed", "/etc/passwd", "EACCES"],
    ["it is below a file", "/etc/passwd/a", "ENOTDIR"],
  ] as const
) {
  Deno.test(`posixSpawn() throws ${errno} when ${what}, and leaves nothing`, () => {
    const { readFd, writeFd } = pipe2();
    const before = openFdCount();
    const options = {
      env: ENV,
      pass: { fd: writeFd, as: AS },
      unblockSignals: true,
    };
    const error = assertThrows(
      () => posixSpawn(path, [path], options),
      LibcError,
    );
    assertEquals([error.call, error.errno], ["posix_spawn", Errno[errno]]);
    assertEquals(openFdCount(), before);
    // No child, not even one that has ended.
    assertEquals(childCount(), 0);
    close(readFd);
    close(writeFd);
  });
}

Deno.test("posixSpawn() throws EBADF for a descriptor that is not open", () => {
  const options = {
    env: ENV,
    pass: { fd: 99_999, as: AS },
    unblockSignals: true,
  };
  const error = assertThrows(
    () => posixSpawn("/bin/true", ["true"], options),
    LibcError,
  );
  assertEquals(error.errno, Errno.EBADF);
});

Deno.test("posixSpawn() refuses a NUL in an argument", () => {
  const options = { env: ENV, pass: { fd: 0, as: AS }, unblockSignals: true };
  assertThrows(
    () => posixSpawn("/bin/true", ["true", "a\0b"], options),
    TypeError,
  );
});

Deno.test("posixSpawn() starts what a script names as a path that is not UTF-8", async () => {
  await using box = await Sandbox.create();
  const script = 'cp /bin/true "$(printf "t\\377")"';
  await box.run(["sh", "-c", script]);
  const path = Uint8Array.of(
    ...new TextEncoder().encode(box.path("t")),
    0xff,
  );
  const { readFd, writeFd } = pipe2();
  const options = {
    env: ENV,
    pass: { fd: writeFd, as: AS },
    unblockSignals: true,
  };
  assertEquals(waitpid(posixSpawn(path, [path], options)), {
    kind: "exited",
    code: 0,
  });
  close(readFd);
  close(writeFd);
});

function childCount(): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    const children = Deno.readTextFileSync(
      `/proc/self/task/${name}/children`,
    );
    count += children.split(" ").filter((pid) => pid.trim() !== "").length;
  }
  return count;
}
