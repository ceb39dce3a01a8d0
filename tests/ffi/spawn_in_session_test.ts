import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { waitpid } from "../../ffi/child.ts";
import { close, pipe2 } from "../../ffi/descriptor.ts";
import { readFile } from "../../ffi/file.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import { setSignalMask, Signal } from "../../ffi/signal.ts";
import { spawnInNewSession } from "../../ffi/spawn_in_session.ts";
import { openFdCount } from "../descriptors.ts";
import "../open_libc.ts";

/** The number that a descriptor has in the program. */
const AS = 100;
const ENV = ["TEND_TEST_SPAWN=a value"];

/** Runs a program to its end, and returns what it writes to stdout. */
function said(argv: readonly [string, ...string[]]): string {
  const { readFd, writeFd } = pipe2();
  const pid = spawnInNewSession(argv[0], argv, ENV, { fd: writeFd, as: 1 });
  close(writeFd);
  const status = waitpid(pid);
  const text = new TextDecoder().decode(readFile(`/proc/self/fd/${readFd}`));
  close(readFd);
  assertEquals(status, { kind: "exited", code: 0 });
  return text;
}

Deno.test("spawnInNewSession() starts our child, in a session that it does not lead", () => {
  const stat = said(["/bin/cat", "/proc/self/stat"]).split(") ")[1]!.split(" ");
  const [, ppid, pgrp, session, tty] = stat.map(Number);
  assertEquals([ppid, pgrp === session, tty], [Deno.pid, true, 0]);
  const ours = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]!
    .split(" ").map(Number)[3];
  assertEquals(session === ours, false);
  // Its leader is no more.
  assertThrows(() => Deno.statSync(`/proc/${session}`), Deno.errors.NotFound);
});

Deno.test("spawnInNewSession() leaves no child but the program", () => {
  said(["/bin/true"]);
  assertThrows(() => waitpid(-1), LibcError, "No child processes");
});

Deno.test("spawnInNewSession() hands over the environment that it was given, and no other", () => {
  assertEquals(said(["/usr/bin/env"]), `${ENV[0]}\n`);
});

Deno.test("spawnInNewSession() hands over the descriptor under its number", () => {
  const { readFd, writeFd } = pipe2();
  const argv = ["sh", "-c", `echo here >/proc/self/fd/${AS}`];
  const pid = spawnInNewSession("/bin/sh", argv, ENV, { fd: writeFd, as: AS });
  close(writeFd);
  assertEquals(waitpid(pid), { kind: "exited", code: 0 });
  const bytes = readFile(`/proc/self/fd/${readFd}`);
  assertEquals(new TextDecoder().decode(bytes), "here\n");
  close(readFd);
});

Deno.test("spawnInNewSession() begins with no signal blocked and no handler of ours, and leaves our mask", () => {
  const listener = () => {};
  Deno.addSignalListener("SIGUSR2", listener);
  setSignalMask([Signal.SIGTERM, Signal.SIGUSR1]);
  const masks = /Sig(?:Blk|Cgt):\t\w+/g;
  try {
    assertEquals(said(["/bin/cat", "/proc/self/status"]).match(masks), [
      "SigBlk:\t0000000000000000",
      "SigCgt:\t0000000000000000",
    ]);
    const ours = Deno.readTextFileSync("/proc/thread-self/status");
    assertEquals(ours.match(masks)?.[0], "SigBlk:\t0000000000004200");
  } finally {
    setSignalMask([]);
    Deno.removeSignalListener("SIGUSR2", listener);
  }
});

Deno.test("spawnInNewSession() has an ignored signal ignored", () => {
  // As Deno has SIGPIPE.
  const status = said(["/bin/cat", "/proc/self/status"]);
  const ignored = BigInt(`0x${/SigIgn:\t(\w+)/.exec(status)![1]}`);
  assertEquals((ignored >> BigInt(Signal.SIGPIPE - 1)) & 1n, 1n);
});

for (
  const [what, path, errno] of [
    ["there is no such program", "/no/such", "ENOENT"],
    ["it may not be executed", "/etc/passwd", "EACCES"],
    ["it is below a file", "/etc/passwd/a", "ENOTDIR"],
  ] as const
) {
  Deno.test(`spawnInNewSession() throws ${errno} when ${what}, and leaves nothing`, () => {
    const { readFd, writeFd } = pipe2();
    const before = openFdCount();
    const error = assertThrows(
      () => spawnInNewSession(path, [path], ENV, { fd: writeFd, as: AS }),
      LibcError,
    );
    assertEquals([error.call, error.errno], ["exec", Errno[errno]]);
    assertEquals(openFdCount(), before);
    assertThrows(() => waitpid(-1), LibcError, "No child processes");
    close(readFd);
    close(writeFd);
  });
}

Deno.test("spawnInNewSession() throws EBADF for a descriptor that is not open", () => {
  const error = assertThrows(
    () => spawnInNewSession("/bin/true", ["true"], ENV, { fd: 99_999, as: AS }),
    LibcError,
  );
  assertEquals(error.errno, Errno.EBADF);
});
