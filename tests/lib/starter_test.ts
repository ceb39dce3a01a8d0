import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { toBytes } from "../../ffi/c_string.ts";
import { waitpid } from "../../ffi/child.ts";
import { close } from "../../ffi/descriptor.ts";
import { kill } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import type { MonitorState } from "../../lib/monitor_state.ts";
import { readPidfile } from "../../lib/pidfile_state.ts";
import { type Start, Starter } from "../../lib/starter.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { openFdCount } from "../descriptors.ts";
import { leavePidfile, SLEEP } from "../launched.ts";
import { CANNOT_COMPILE, compileSingleThreaded } from "../program.ts";
import { Random } from "../random.ts";
import { Sandbox } from "../sandbox.ts";
import { anyState } from "./any_state.ts";
import "../open_libc.ts";

setLevels("console:off");

/** The state of a monitor whose daemon has run. */
function stateWith(pidfile: string | undefined): MonitorState {
  return {
    ...anyState(new Random(0)),
    policy: "on-crash",
    command: SLEEP,
    pidfile,
    overwritePidfile: false,
    everReady: true,
    coreDumped: false,
    ready: undefined,
    watchdog: undefined,
    loggers: [],
  };
}

/** Ends what was started, if it was. */
function end(start: Start): void {
  assert(start.kind === "started" || start.kind === "ready");
  if (start.kind === "started") close(start.startupFd);
  kill(start.pid, Signal.SIGKILL);
  waitpid(start.pid);
}

for (const isPrepared of [true, false]) {
  Deno.test(`start() restarts a command in one go, ${isPrepared ? "" : "not "}prepared`, async () => {
    await using box = await Sandbox.create();
    const path = leavePidfile(box.path("pid"));
    const state = stateWith(path);
    const starter = new Starter(state, undefined);
    if (isPrepared) starter.prepare(state);
    assertEquals(starter.isPrepared, isPrepared);
    for (let i = 0; i < 3; i++) {
      const start = starter.start(state);
      assertEquals([start.kind, starter.isPrepared], ["ready", true]);
      assert("pid" in start && readPidfile(path) === start.pid);
      end(start);
    }
  });
}

Deno.test("start() starts a program again, and prepares nothing for that", () => {
  const state = stateWith(undefined);
  const image = { path: "/bin/sleep", argv: ["sleep", "600"].map(toBytes) };
  const before = openFdCount();
  const starter = new Starter(state, image);
  starter.prepare(state);
  assertEquals([starter.forks, starter.isPrepared], [false, true]);
  const start = starter.start(state);
  assertEquals([start.kind, starter.isPrepared], ["started", false]);
  end(start);
  assertEquals(openFdCount(), before);
});

const FORKED = ["started", "ready", true];

Deno.test({
  name: "start() in a process of one thread",
  ignore: CANNOT_COMPILE,
  fn: async (t) => {
    await using box = await Sandbox.create();
    const program = await compileSingleThreaded(
      box,
      new URL("starter_program.ts", import.meta.url).pathname,
    );
    const ask = async (how: string) => {
      const { code, stdout, stderr } = await box.run(
        [program, box.path(`${how}.pid`), how],
      );
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      return JSON.parse(stdout);
    };
    await t.step(
      "forks first, and again when the pidfile is gone",
      async () => {
        const launched = ["ready", "ready", true, true, true];
        assertEquals(await ask("restarts"), [
          [...FORKED, false, false],
          launched,
          launched,
          [...FORKED, false, false],
          launched,
        ]);
      },
    );
    for (const how of ["overwrites", "does not restart"]) {
      await t.step(`always forks for a monitor that ${how}`, async () => {
        const starts: unknown[][] = await ask(how);
        assertEquals(starts.length, 5);
        for (const start of starts) assertEquals(start.slice(0, 3), FORKED);
      });
    }
  },
});
