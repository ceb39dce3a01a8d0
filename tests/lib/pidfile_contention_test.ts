import { assertEquals } from "@std/assert/equals";
import { readPidfile } from "../../lib/pidfile_state.ts";
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

/** Whether a process waits for another to let go of a pidfile. */
function waits(pid: number): boolean {
  return isAlive(pid) && [...fdsOf(pid).values()]
    .some((file) => file.includes("inotify"));
}
