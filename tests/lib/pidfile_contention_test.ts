import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { bootTime } from "../../ffi/wait.ts";
import { awaitOther } from "../../lib/pidfile_contention.ts";
import { readPidfile } from "../../lib/pidfile_state.ts";
import { openFdCount } from "../descriptors.ts";
import { fdsOf, isAlive } from "../proc.ts";
import {
  CANNOT_UNSHARE,
  holdLock,
  ROOT,
  runProgram,
  startProgram,
  STAY,
} from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

// Several processes at once on one pidfile.

/** Makes the pidfile that it is given, and says on which descriptor. */
const MAKE = `
  import { makePidfile } from "${ROOT}/lib/pidfile.ts";
  import { setLevels } from "${ROOT}/lib/vlog_levels.ts";
  if (!Deno.args.includes("log")) setLevels("console:off");
  const [pidfile, overwrite] = Deno.args;
  console.log(makePidfile(pidfile, overwrite === "overwrite"));`;

Deno.test("makePidfile() waits while another starts, and is told when that one runs", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const other = await holdLock(box, `${path}.tmp`, (pid) => `${pid}\n`);
  const { pid, finished } = startProgram(box, MAKE, { args: [path] });
  await box.until("it waits", () => waits(pid));
  Deno.renameSync(`${path}.tmp`, path);
  const { code, stderr } = await finished();
  assertEquals(
    [code, stderr],
    [1, `tend: ${path}: already running as pid ${other}, aborting\n`],
  );
});

Deno.test("makePidfile() goes on when another dies in the middle of its start", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const other = await holdLock(box, `${path}.tmp`, (pid) => `${pid}\n`);
  const running = startProgram(box, MAKE + STAY, { args: [path] });
  await box.until("it waits", () => waits(running.pid));
  Deno.kill(other, "SIGKILL");
  await box.until("it has the pidfile", () => running.stdout() !== "");
  assertEquals(readPidfile(path), running.pid);
});

Deno.test("makePidfile() goes on when another has removed a stale pidfile", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  // The other has locked it and is about to remove it.
  const other = await holdLock(box, path, () => "1\n");
  const running = startProgram(box, MAKE + STAY, { args: [path] });
  await box.until("it waits", () => waits(running.pid));
  Deno.removeSync(path);
  Deno.kill(other, "SIGKILL");
  await box.until("it has the pidfile", () => running.stdout() !== "");
  assertEquals(readPidfile(path), running.pid);
});

Deno.test("makePidfile() is told when another takes a stale pidfile over", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  // The other has locked it and is about to write its number.
  const other = await holdLock(box, path, () => "1\n");
  const { pid, finished } = startProgram(box, MAKE, { args: [path] });
  await box.until("it waits", () => waits(pid));
  write(path, `${other}\n`);
  const { code, stderr } = await finished();
  const expected = `tend: ${path}: already running as pid ${other}, aborting\n`;
  assertEquals([code, stderr.slice(-expected.length)], [1, expected]);
  assertEquals(readPidfile(path), other);
  assertEquals(box.exists(`${path}.tmp`), false);
});

Deno.test({
  name: "makePidfile() names the pidfile when it waits in vain, or cannot wait",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    await holdLock(box, `${path}.tmp`);
    // A user may have no more than 128 of what it waits with by default, and
    // each of many at once takes one.
    const limit = "echo 0 >/proc/sys/user/max_inotify_instances";
    const { code, stderr } = await runProgram(box, MAKE, {
      args: [path],
      under: ["unshare", "-Ur", "sh", "-ec", `${limit}; exec "$@"`, "sh"],
    });
    const expected = `tend: ${path}`;
    assertEquals([code, stderr.slice(0, expected.length)], [1, expected]);
  },
});

/** Longer than any test. */
const PATIENCE_MS = 60_000;

/** Waits here for another, and says for how long that was. */
function awaitHere(
  path: string,
  patience: number,
  isOver: () => boolean,
): { again: boolean; duration: number } {
  const [start, fds] = [bootTime(), openFdCount()];
  const again = awaitOther(path, start + patience, isOver);
  assertEquals(openFdCount(), fds);
  return { again, duration: bootTime() - start };
}

Deno.test("awaitOther() returns at once when there is nothing to wait for", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const once = () => awaitHere(path, PATIENCE_MS, () => false).again;
  assertEquals(once(), true);
  Deno.writeTextFileSync(path, "1\n");
  assertEquals(once(), true);
  const other = await holdLock(box, path, () => "1\n");
  assertEquals(awaitHere(path, PATIENCE_MS, () => true).again, true);
  Deno.kill(other, "SIGKILL");
  await box.until("its lock is gone", once);
});

/** Writes to a file in one step: it is never empty. */
function write(path: string, text: string): void {
  using file = Deno.openSync(path, { write: true });
  file.writeSync(new TextEncoder().encode(text));
}

/** What another may do to a pidfile after we have looked. */
const CHANGES: Record<string, (path: string) => void> = {
  "is written": (path) => write(path, "2\n"),
  "is cut": (path) => Deno.truncateSync(path, 1),
  "is removed": (path) => Deno.removeSync(path),
  "is renamed": (path) => Deno.renameSync(path, `${path}.other`),
  "is replaced": (path) => {
    Deno.writeTextFileSync(`${path}.other`, "2\n");
    Deno.renameSync(`${path}.other`, path);
  },
};

for (const [what, change] of Object.entries(CHANGES)) {
  Deno.test(`awaitOther() wakes when the file ${what} right after its look`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    await holdLock(box, path, () => "1\n");
    const { again, duration } = awaitHere(path, PATIENCE_MS, () => {
      change(path);
      return false;
    });
    assertEquals(again, true);
    assertLess(duration, PATIENCE_MS / 2);
  });
}

Deno.test("makePidfile() is not woken by the log that it writes beside the pidfile", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const log = box.path("log");
  await holdLock(box, path, () => "1\n");
  const under = ["sh", "-c", 'log=$1; shift; exec "$@" 2>"$log"', "sh", log];
  const { code } = await runProgram(box, MAKE, {
    args: [path, "", "log"],
    under,
  });
  assertEquals(code, 1);
  assertLess(box.read(log)!.split("\n").length, 10);
});

Deno.test("awaitOther() wakes when the holder ends", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const other = await holdLock(box, path, () => "1\n");
  const { again } = awaitHere(path, PATIENCE_MS, () => {
    Deno.kill(other, "SIGKILL");
    return false;
  });
  assertEquals(again, true);
});

Deno.test("awaitOther() gives up when nothing happens", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  await holdLock(box, path, () => "1\n");
  const { again, duration } = awaitHere(path, 50, () => false);
  assertEquals(again, false);
  assertGreaterOrEqual(duration, 50);
});

/** Whether a process waits for another to let go of a pidfile. */
function waits(pid: number): boolean {
  return isAlive(pid) && [...fdsOf(pid).values()]
    .some((file) => file.includes("inotify"));
}
