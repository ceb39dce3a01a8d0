import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import {
  MONITORED,
  shown,
  startAsleep,
  startBackingOff,
  untilShown,
} from "../monitored.ts";
import { freeze, isAlive } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { asOther, IS_ROOT, isThere, json, stubborn } from "../verb_calls.ts";

const SLEEP = ["--", "sleep", "600"];
const PLAIN = ["--detach", "--pidfile=web.pid"];
const DONE = { code: 0, stdout: "", stderr: "" };

for (const options of [MONITORED, [...MONITORED, "--sleep-after=0"], PLAIN]) {
  Deno.test(`tend restart starts what tend ${options.slice(2).join(" ")} began anew`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...options, ...SLEEP);
    const { monitor, pid } = shown(box)!;
    for (let restarts = 1; restarts <= 3; restarts++) {
      assertEquals(await box.tend("restart", "web"), DONE);
      // No waiting: it has to be right when the verb returns.
      const record = shown(box)!;
      assertEquals(
        [record.monitor, record.restarts, record.crashes, record.phase],
        [monitor, restarts, 0, "running"],
      );
      assertEquals(
        [box.pidfile("web.pid"), box.holder("web.pid")],
        [record.pid, record.pid],
      );
    }
    assertEquals(isAlive(pid), false);
  });
}

Deno.test("tend restart starts one that backs off at once", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startBackingOff(box);
  await untilShown(box, "that", ({ phase }) => phase === "backingOff");
  const { done, state, pid, ...others } = await json(box, "restart", "web");
  assertEquals([done, state, others.monitor], [
    "restarted",
    "running",
    monitor,
  ]);
  assertEquals([pid === daemon, pid], [false, box.pidfile("web.pid")]);
});

Deno.test("tend restart kills the old daemon after --timeout and says so", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...stubborn(box));
  await isThere(box);
  const pid = box.pidfile("web.pid")!;
  assertEquals(await box.tend("restart", "--timeout=100ms", "web"), {
    code: 0,
    stdout: "",
    stderr: `tend: web: pid ${pid} has not ended within 0.1 s of SIGTERM, ` +
      "killed (SIGKILL)\n",
  });
  assertEquals(isAlive(pid), false);
  assertEquals(shown(box)?.phase, "running");
});

for (const options of [MONITORED, PLAIN]) {
  Deno.test(`tend restart of tend ${options.slice(2).join(" ")} fails as the new start does`, async () => {
    await using box = await Sandbox.create();
    const program = box.path("program");
    Deno.copyFileSync("/bin/sleep", program);
    await box.tend(...options, "--", program, "600");
    Deno.removeSync(program);
    const { code, stderr } = await box.tend("restart", "web");
    assertEquals(code, 127);
    assertMatch(
      stderr,
      /^tend: web: the new daemon failed before it was ready \(exit status 127\)/,
    );
  });
}

Deno.test("tend restart does not take a monitor that it cannot tell for none", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  const file = box.runPath("web.pid.monitor");
  Deno.renameSync(file, box.path("monitor"));
  Deno.mkdirSync(file);
  assertEquals(await box.tend("restart", "web"), {
    code: 4,
    stdout: "",
    stderr: "tend: web: monitor unknown: not a regular file, not restarted\n",
  });
});

Deno.test("tend restart says what to do without a monitor", async () => {
  await using box = await Sandbox.create();
  await box.tend(...PLAIN, "--exec", ...SLEEP);
  const pid = box.pidfile("web.pid")!;
  assertEquals(await box.tend("restart", "web"), {
    code: 1,
    stdout: "",
    stderr: `tend: web: no tend looks after pid ${pid}, not restarted: stop ` +
      "it with tend stop, and start it as it was started\n",
  });
  assertEquals(isAlive(pid), true);
});

Deno.test("tend restart says what to do when the daemon does not run", async () => {
  await using box = await Sandbox.create();
  const said = {
    code: 1,
    stdout: "",
    stderr: "tend: web: not running, start it with tend run --detach " +
      "--monitor --pidfile=FILE -- COMMAND\n",
  };
  assertEquals(await box.tend("restart", "web"), said);
  const { monitor, daemon } = await startAsleep(box);
  for (const pid of [monitor, daemon]) Deno.kill(pid, "SIGKILL");
  await box.until("both have ended", () => ![monitor, daemon].some(isAlive));
  assertEquals(await box.tend("restart", "web"), said);
});

Deno.test("tend restart says that a monitor does not answer", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  const { monitor, pid } = shown(box)!;
  await freeze(box, monitor);
  assertEquals(await box.tend("restart", "--timeout=100ms", "web"), {
    code: 1,
    stdout: "",
    stderr: `tend: web: its monitor, pid ${monitor}, does not answer, not ` +
      "restarted: tend stop ends it\n",
  });
  assertEquals(isAlive(pid), true);
});

Deno.test("tend restart --timeout=0 gives a monitor that sleeps the time to hear of it", async () => {
  await using box = await Sandbox.create();
  const { monitor, daemon } = await startAsleep(box);
  const { code, stderr } = await box.tend("restart", "--timeout=0", "web");
  assertEquals(code, 0, stderr);
  assertEquals(shown(box)?.monitor, monitor);
  assertEquals(isAlive(daemon), false);
});

Deno.test("tend restart fails when the monitor is killed meanwhile", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...stubborn(box));
  await isThere(box);
  const { monitor } = shown(box)!;
  const restart = box.start([TEND, "restart", "--timeout=1h", "web"]);
  await untilShown(box, "that", ({ phase }) => phase === "restarting");
  Deno.kill(monitor, "SIGKILL");
  const { code, stderr } = await restart.finished();
  assertEquals([code, stderr], [
    1,
    "tend: web: its monitor has ended, not restarted\n",
  ]);
});

Deno.test("tend restart fails when the daemon is stopped meanwhile", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...stubborn(box));
  await isThere(box);
  const restart = box.start([TEND, "restart", "--timeout=1h", "web"]);
  await untilShown(box, "that", ({ phase }) => phase === "restarting");
  assertEquals((await box.tend("stop", "--timeout=0", "web")).code, 0);
  const { code, stderr } = await restart.finished();
  assertEquals(code, 1);
  assertMatch(stderr, /^tend: web: its monitor has ended .*not restarted\n$/);
});

Deno.test("tend restart restarts several, and fails with the status of one", async () => {
  await using box = await Sandbox.create();
  for (const name of ["a", "b"]) {
    await box.tend("--detach", "--monitor", `--pidfile=${name}.pid`, ...SLEEP);
  }
  const before = ["a", "b"].map((name) => box.pidfile(`${name}.pid`));
  const { code, stderr } = await box.tend("restart", "a", "none", "b");
  assertEquals(code, 1);
  assertMatch(stderr, /^tend: none: not running/);
  const after = ["a", "b"].map((name) => box.pidfile(`${name}.pid`));
  assertEquals(after.some((pid, i) => pid === before[i]), false);
});

Deno.test({
  name: "tend restart refuses another user's daemon by a sentence",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    await box.tend(...MONITORED, ...SLEEP);
    const { monitor } = shown(box)!;
    const { code, stderr } = await asOther(box, "restart", "web");
    assertEquals([code, stderr], [
      1,
      `tend: web: pid ${monitor} belongs to user 0, not restarted ` +
      "(Operation not permitted)\n",
    ]);
  },
});
