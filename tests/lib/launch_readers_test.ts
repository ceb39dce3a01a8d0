import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertStringIncludes } from "@std/assert/string-includes";
import { Launcher } from "../../lib/launch.ts";
import { readPidfile } from "../../lib/pidfile_state.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { LaunchedChild, leavePidfile, SLEEP } from "../launched.ts";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { isAlive } from "../proc.ts";
import { ROOT, startUntilLine } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

// What others see of a pidfile while it is taken over.

setLevels("console:off");

/** Looks at a pidfile again and again, and says what was wrong. */
const OBSERVE = `
  import { isThere } from "${ROOT}/ffi/access.ts";
  import { close, read } from "${ROOT}/ffi/descriptor.ts";
  import { O_RDONLY, open } from "${ROOT}/ffi/file.ts";
  import { statFile } from "${ROOT}/ffi/file_stat.ts";
  import { fcntlGetlk } from "${ROOT}/ffi/lock.ts";
  const [path, end] = Deno.args;
  const wrong = [];
  const pids = new Set();
  const bytes = new Uint8Array(99);
  const { ino } = Deno.statSync(path);
  const look = () => {
    const fd = open(path, O_RDONLY); // throws when there is none
    try {
      const before = fcntlGetlk(fd);
      const text = new TextDecoder().decode(bytes.subarray(0, read(fd, bytes)));
      const after = fcntlGetlk(fd);
      const [line] = text.split("\\n");
      // One number, whoever reads all of it. NULs: it is being cut.
      if (!/^[1-9][0-9]*\\n[\\n\\0]*$/.test(text)) wrong.push({ text });
      // Who has it and has written it is in it for as long as he has it.
      if (pids.has(before) && before === after && Number(line) !== before) {
        wrong.push({ before, text, after });
      }
      if (before !== undefined && Number(line) === before) pids.add(before);
    } finally {
      close(fd);
    }
  };
  look();
  console.log("looking");
  for (let i = 0; i % 100 !== 0 || !isThere(end); i++) {
    look();
    if (i % 10 === 0 && Deno.statSync(path).ino !== ino) wrong.push({ ino });
  }
  console.log(JSON.stringify({ wrong, several: pids.size > 10 }));`;

for (const [what, length] of [["", 0], [" after longer ones", 12]] as const) {
  Deno.test(`launch() keeps a whole number in the pidfile, whoever looks${what}`, async () => {
    await using box = await Sandbox.create();
    const [path, end] = [leavePidfile(box.path("pid")), box.path("end")];
    const launcher = new Launcher(SLEEP, path);
    let child = new LaunchedChild(launcher);
    const observer = await startUntilLine(box, OBSERVE, { args: [path, end] });
    for (let i = 0; i < 200; i++) {
      child[Symbol.dispose]();
      overwrite(path, "9".repeat(length));
      child = new LaunchedChild(launcher);
      assertEquals(readPidfile(path), child.pid);
      assertEquals(box.read(path), `${child.pid}\n`);
    }
    child[Symbol.dispose]();
    Deno.writeTextFileSync(end, "");
    const { code, stdout, stderr } = await observer.finished();
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.split("\n")[1], `{"wrong":[],"several":true}`);
  });
}

/**
 * Puts a longer number there. Byte by byte: each leaves a whole number, while of
 * a longer write others may see a part.
 */
function overwrite(path: string, number: string): void {
  const { size } = Deno.statSync(path);
  using file = Deno.openSync(path, { write: true });
  for (let at = size; at <= number.length; at++) writeAt(file, at, "\n");
  for (let at = 0; at < number.length; at++) writeAt(file, at, number[at]!);
}

function writeAt(file: Deno.FsFile, at: number, character: string): void {
  file.seekSync(at, Deno.SeekMode.Start);
  file.writeSync(new TextEncoder().encode(character));
}

/**
 * Looks as `checkAlreadyRunning()` does, but for its end, again and
 * again. Says how often it has found what, and how long that took at most.
 */
const CONTEND = `
  import { isThere } from "${ROOT}/ffi/access.ts";
  import { bootTime } from "${ROOT}/ffi/wait.ts";
  import { awaitOther } from "${ROOT}/lib/pidfile_contention.ts";
  import { pidfileState } from "${ROOT}/lib/pidfile_state.ts";
  import { setLevels } from "${ROOT}/lib/vlog_levels.ts";
  setLevels("console:off");
  const [path, end] = Deno.args;
  const kinds = {};
  let longest = 0;
  const isSettled = () => pidfileState(path, false).kind !== "busy";
  const check = () => {
    const start = bootTime();
    for (;;) {
      const hadIt = isThere(path);
      const state = pidfileState(path, true);
      if (state.kind === "busy" && awaitOther(path, start + 1000, isSettled)) {
        kinds.waited = (kinds.waited ?? 0) + 1;
        continue;
      }
      const kind = state.kind === "none" && !hadIt ? "missing" : state.kind;
      kinds[kind] = (kinds[kind] ?? 0) + 1;
      longest = Math.max(longest, bootTime() - start);
      return;
    }
  };
  check();
  console.log("looking");
  for (let i = 0; i % 100 !== 0 || !isThere(end); i++) check();
  console.log(JSON.stringify({ kinds, longest }));`;

Deno.test("launch() and one who removes stale pidfiles never both have it", async () => {
  await using box = await Sandbox.create();
  const [path, end] = [leavePidfile(box.path("pid")), box.path("end")];
  let launcher = new Launcher(SLEEP, path);
  let child: LaunchedChild | undefined = new LaunchedChild(launcher);
  const other = await startUntilLine(box, CONTEND, { args: [path, end] });
  const counts = { ready: 0, declined: 0 };
  for (let i = 0; i < 500; i++) {
    child?.[Symbol.dispose]();
    child = undefined;
    const { ino } = lstat(path) ?? {};
    const launched = launcher.launch(false);
    assert(launched.kind !== "ended");
    counts[launched.kind]++;
    if (launched.kind === "ready") {
      child = new LaunchedChild({ launch: () => launched });
      assertEquals(lstat(path)?.ino, ino);
      assertEquals(readPidfile(path), child.pid);
    } else {
      // It has the lock, and is about to remove the file.
      await box.until("it is gone", () => lstat(path) === undefined);
      leavePidfile(path);
      launcher = new Launcher(SLEEP, path);
    }
  }
  child?.[Symbol.dispose]();
  Deno.writeTextFileSync(end, "");
  const { code, stdout, stderr } = await other.finished();
  assertEquals([code, stderr], [0, ""]);
  const { kinds, longest } = JSON.parse(stdout.split("\n")[1]!);
  assertEquals([kinds.error, kinds.busy], [undefined, undefined]);
  assertGreater(kinds.running, 0);
  assertGreater(counts.ready, 0);
  // Less than what it waits for somebody who is never done.
  assertLess(longest, 900);
});

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

Deno.test({
  name:
    "launch() has ovsdb-servers refuse, however often the command is launched",
  ignore: WITHOUT_OVSDB,
  fn: async () => {
    await using box = await Sandbox.create();
    const ovsdb = await Ovsdb.create(box);
    const path = leavePidfile(box.runPath("x.pid"));
    const launcher = new Launcher(SLEEP, path);
    const { ino } = Deno.statSync(path);
    for (let i = 0; i < 20; i++) {
      using child = new LaunchedChild(launcher);
      const { code, stderr } = await ovsdb.start(path);
      const why = `already running as pid ${child.pid}, aborting\n`;
      assertStringIncludes(stderr, `ovsdb-server: ${path}: ${why}`);
      assertEquals([code, Deno.statSync(path).ino], [1, ino]);
      assertEquals(box.holder("x.pid"), child.pid);
    }
  },
});

Deno.test({
  name:
    "launch() declines while ovsdb-server runs, and takes its pidfile over when it was killed",
  ignore: WITHOUT_OVSDB,
  fn: async () => {
    await using box = await Sandbox.create();
    const ovsdb = await Ovsdb.create(box);
    const path = box.runPath("x.pid");
    assertEquals((await ovsdb.start(path)).code, 0);
    const pid = box.pidfile("x.pid")!;
    const launcher = new Launcher(SLEEP, path);
    assertEquals(launcher.launch(false), { kind: "declined" });
    assertEquals([box.holder("x.pid"), box.pidfile("x.pid")], [pid, pid]);
    Deno.kill(pid, "SIGKILL");
    await box.until("ovsdb-server has ended", () => !isAlive(pid));
    using child = new LaunchedChild(launcher);
    assertEquals(box.holder("x.pid"), child.pid);
  },
});
