import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import {
  LOGGED,
  logOf,
  MONITORED,
  shown,
  startAsleep,
  startBackingOff,
  untilShown,
} from "../monitored.ts";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { startInside, WITHOUT_NAMESPACES } from "../pid_namespace.ts";
import { freeze, isAlive, look, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { asOther, IS_ROOT, isThere, json, stubborn } from "../verb_calls.ts";

const SLEEP = ["--", "sleep", "600"];
const PLAIN = ["--detach", "--pidfile=web.pid"];
const DONE = { code: 0, stdout: "", stderr: "" };

/** Asserts that nothing is left of web: no process and no file. */
function assertNothingLeft(box: Sandbox): void {
  assertEquals([box.processes(), box.runFiles()], [[], []]);
}

for (
  const options of [
    [...MONITORED, "--sleep-after=never"],
    MONITORED,
    PLAIN,
    [...PLAIN, "--exec"],
  ]
) {
  Deno.test(`tend stop ends what tend ${options.slice(2).join(" ")} began`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...options, ...SLEEP);
    assertEquals(await box.tend("stop", "web"), DONE);
    assertNothingLeft(box);
  });
}

Deno.test("tend stop ends a daemon whose monitor sleeps", async () => {
  await using box = await Sandbox.create();
  await startAsleep(box);
  assertEquals(await box.tend("stop", "web"), DONE);
  assertNothingLeft(box);
});

Deno.test("tend stop ends a monitor that backs off", async () => {
  await using box = await Sandbox.create();
  await startBackingOff(box);
  await untilShown(box, "that", ({ phase }) => phase === "backingOff");
  assertEquals(await box.tend("stop", "web"), DONE);
  assertNothingLeft(box);
});

Deno.test("tend stop ends a daemon that dies of an error signal meanwhile", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, ...SLEEP);
  assertEquals(await box.tend("stop", "--signal=SEGV", "web"), DONE);
  assertNothingLeft(box);
});

Deno.test("tend stop kills after --timeout and says so", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...stubborn(box));
  await isThere(box);
  const pid = box.pidfile("web.pid");
  assertEquals(await box.tend("stop", "--timeout=100ms", "web"), {
    code: 0,
    stdout: "",
    stderr: `tend: web: pid ${pid} has not ended within 0.1 s of SIGTERM, ` +
      "killed (SIGKILL)\n",
  });
  assertEquals(box.runFiles(), []);
  assertEquals(isAlive(pid!), false);
});

Deno.test("tend stop --signal tells the daemon by that", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...stubborn(box));
  await isThere(box);
  assertEquals(await box.tend("stop", "--signal=USR1", "web"), DONE);
});

Deno.test("tend stop --timeout=0 kills the daemon, and lets its monitor end", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, ...stubborn(box));
  await isThere(box);
  const pid = box.pidfile("web.pid");
  const { code, stderr } = await box.tend("stop", "--timeout=0", "web");
  assertEquals([code, stderr], [
    0,
    `tend: web: pid ${pid} has not ended within 0 s of SIGTERM, ` +
    "killed (SIGKILL)\n",
  ]);
  assertMatch(logOf(box), /died, killed \(Killed\), exiting\n$/);
  assertEquals(box.runFiles(), []);
});

Deno.test("tend stop kills a monitor that does not answer before its daemon", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  const { monitor, pid } = shown(box)!;
  await freeze(box, monitor);
  assertEquals(await box.tend("stop", "--timeout=100ms", "web"), {
    code: 0,
    stdout: "",
    stderr: `tend: web: its monitor, pid ${monitor}, has not answered within ` +
      "1 s, killed (SIGKILL)\n" +
      `tend: web: pid ${pid} was not told to end, killed (SIGKILL)\n`,
  });
  assertNothingLeft(box);
});

Deno.test("tend stop ends a daemon whose monitor was killed", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startAsleep(box);
  Deno.kill(monitor, "SIGKILL");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assertEquals(await box.tend("stop", "web"), DONE);
  assertNothingLeft(box);
});

Deno.test("tend stop ends a monitor whose daemon was killed, or is late for that", async () => {
  await using box = await Sandbox.create();
  const { daemon } = await startAsleep(box);
  Deno.kill(daemon, "SIGKILL");
  const { code, stderr } = await box.tend("stop", "web");
  assertEquals([code, stderr], [0, ""]);
  assertNothingLeft(box);
});

Deno.test("tend stop removes what a killed daemon and monitor have left", async () => {
  await using box = await Sandbox.create();
  const { monitor, daemon } = await startAsleep(box);
  for (const pid of [monitor, daemon]) Deno.kill(pid, "SIGKILL");
  await box.until("both have ended", () => box.processes().length === 0);
  assertEquals(await box.tend("stop", "web"), {
    code: 0,
    stdout: "web: not running, its stale files are removed\n",
    stderr: "",
  });
  assertEquals(box.runFiles(), []);
  const { code } = await box.tend(...MONITORED, ...SLEEP);
  assertEquals(code, 0);
});

Deno.test("tend stop exits 0 with a note when there is nothing", async () => {
  await using box = await Sandbox.create();
  assertEquals(await box.tend("stop", "web"), {
    code: 0,
    stdout: "web: not running\n",
    stderr: "",
  });
});

for (const text of ["", "precious\n", "4242", "4242 and more\n", "\x7fELF"]) {
  Deno.test(`tend stop leaves a file alone that holds ${JSON.stringify(text)}`, async () => {
    await using box = await Sandbox.create();
    const file = box.path("app.conf");
    Deno.writeTextFileSync(file, text);
    assertEquals(await box.tend("stop", file), {
      code: 1,
      stdout: "",
      stderr: `tend: ${file}: is no pidfile, left alone\n`,
    });
    assertEquals(box.read(file), text);
  });
}

Deno.test("tend stop does not signal a live process that a stale pidfile names", async () => {
  await using box = await Sandbox.create();
  const bystander = box.start(["sleep", "600"]);
  Deno.mkdirSync(box.path("run"));
  Deno.writeTextFileSync(box.runPath("web.pid"), `${bystander.pid}\n`);
  await box.until("it runs", () => look(bystander.pid) !== undefined);
  const { code, stdout } = await box.tend("stop", "--timeout=0", "web");
  assertEquals(
    [code, stdout],
    [0, "web: not running, its stale files are removed\n"],
  );
  assertEquals(isAlive(bystander.pid), true);
});

Deno.test("tend stop does not signal a live process that a killed monitor's file names", async () => {
  await using box = await Sandbox.create();
  const { monitor, daemon } = await startAsleep(box);
  const bystander = box.start(["sleep", "600"]);
  for (const pid of [monitor, daemon]) Deno.kill(pid, "SIGKILL");
  await box.until("both have ended", () => ![monitor, daemon].some(isAlive));
  // As if the number had come to another: nobody checks what it is worth.
  const path = box.runPath("web.pid.monitor");
  const text = box.read(path)!;
  Deno.writeTextFileSync(
    path,
    text.replaceAll(`${monitor}`, `${bystander.pid}`),
  );
  const { code } = await box.tend("stop", "--timeout=0", "web");
  assertEquals(code, 0);
  assertEquals([isAlive(bystander.pid), box.runFiles()], [true, []]);
});

Deno.test("tend stop --json says what was done", async () => {
  await using box = await Sandbox.create();
  const { monitor, daemon } = await startAsleep(box);
  const object = {
    name: "web",
    pidfile: box.runPath("web.pid"),
    done: "stopped",
    state: "stopped",
    pid: daemon,
    monitor,
    error: null,
    messages: [],
  };
  assertEquals(await json(box, "stop", "web"), object);
  assertEquals(await json(box, "stop", "web"), {
    ...object,
    done: "none",
    pid: null,
    monitor: null,
    messages: ["not running"],
  });
});

Deno.test("tend stop tells several before it waits for one", async () => {
  await using box = await Sandbox.create();
  const told = box.path("told");
  const script = 'trap "echo >>$1" TERM; echo >>"$2"; ' +
    "while :; do sleep 600 & wait; done";
  const there = box.path("there");
  const command = ["--", "sh", "-c", script, "sh", told, there];
  const names = ["a", "b", "c"];
  for (const name of names) {
    await box.tend("--detach", `--pidfile=${name}.pid`, ...command);
  }
  await isThere(box, 3);
  const stop = box.start([TEND, "stop", "--timeout=1h", "--all"]);
  await box.until("all are told", () => box.read(told) === "\n\n\n");
  for (const name of names) Deno.kill(box.pidfile(`${name}.pid`)!, "SIGKILL");
  const { code, stderr } = await stop.finished();
  assertEquals([code, stderr, box.runFiles()], [0, "", []]);
});

Deno.test("tend stop goes on with the others when one cannot be stopped", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  Deno.mkdirSync(box.runPath("dir.pid"));
  const { code, stderr } = await box.tend("stop", "dir", "web");
  assertEquals(code, 4);
  assertMatch(stderr, /^tend: dir: .*: Is a directory, not stopped\n$/);
  assertEquals(box.runFiles(), ["dir.pid"]);
});

Deno.test("tend stop --kill-group ends what the daemon has left running", async () => {
  await using box = await Sandbox.create();
  const script = 'sleep 600 & echo >>"$1"; wait';
  const there = box.path("there");
  const options = [...MONITORED, "--kill-mode=process"];
  await box.tend(...options, "--", "sh", "-c", script, "sh", there);
  await isThere(box);
  assertEquals(await box.tend("stop", "--kill-group", "web"), DONE);
  assertNothingLeft(box);
});

Deno.test("tend stop --kill-group kills all of the group after --timeout", async () => {
  await using box = await Sandbox.create();
  const script = 'trap "" TERM; sleep 600 & echo >>"$1"; wait';
  const there = box.path("there");
  const options = [...MONITORED, "--kill-mode=process"];
  await box.tend(...options, "--", "sh", "-c", script, "sh", there);
  await isThere(box);
  const { code, stderr } = await box.tend(
    ...["stop", "--timeout=100ms", "--kill-group", "web"],
  );
  assertEquals(code, 0);
  assertEquals(stderr.match(/killed \(SIGKILL\)/g)?.length, 2);
  assertNothingLeft(box);
});

Deno.test("tend stop --kill-group refuses the group of who started the daemon", async () => {
  await using box = await Sandbox.create();
  // A group of its own, as a shell gives each of its jobs.
  const script = '"$1" --pidfile=web.pid -- sleep 600; :';
  box.start(["setsid", "sh", "-c", script, "sh", TEND]);
  await box.until("the daemon runs", () => box.holder("web.pid"));
  const pid = box.pidfile("web.pid")!;
  const group = look(pid)!.pgrp;
  const { code, stderr } = await box.tend("stop", "--kill-group", "web");
  assertEquals(code, 1);
  assertMatch(
    stderr,
    RegExp(`^tend: web: its process group is that of pid ${group} \\(sh -c `),
  );
  assertEquals(isAlive(pid), true);
  assertEquals(await box.tend("stop", "web"), DONE);
});

Deno.test("tend stop --kill-group refuses a group that it is in itself", async () => {
  await using box = await Sandbox.create();
  const script = '"$1" --pidfile=web.pid -- sleep 600 & ' +
    'until "$1" wait --ready web 2>/dev/null; do :; done; ' +
    '"$1" stop --kill-group web';
  const { code, stderr } = await box.run(["sh", "-c", script, "sh", TEND]);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tend: web: pid \d+ is in the process group of this very command, not stopped: /,
  );
});

Deno.test("tend stop stops all though nobody reads its notes", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  const script = '"$1" stop none web >/dev/full';
  const { code, stderr } = await box.run(["sh", "-c", script, "sh", TEND]);
  assertEquals(code, 1);
  assertMatch(stderr, /^tend: standard output: write failed/);
  assertNothingLeft(box);
});

Deno.test({
  name: "tend stop refuses another user's daemon by a sentence",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    for (const options of [MONITORED, [...PLAIN, "--exec"]]) {
      await box.tend(...options, ...SLEEP);
      const pid = options === MONITORED
        ? parentOf(box.pidfile("web.pid")!)
        : box.pidfile("web.pid");
      assertEquals(await asOther(box, "stop", "web"), {
        code: 1,
        stdout: "",
        stderr: `tend: web: pid ${pid} belongs to user 0, not stopped ` +
          "(Operation not permitted)\n",
      });
      assertEquals((await box.tend("stop", "web")).code, 0);
    }
  },
});

Deno.test({
  name: "tend stop refuses a daemon of another PID namespace",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    await startInside(box);
    const { code, stderr } = await box.tend("stop", "web");
    assertEquals([code, stderr], [
      1,
      "tend: web: runs in another PID namespace, not stopped: " +
      "stop it from within that\n",
    ]);
    assertEquals(isAlive(box.holder("web.pid")!), true);
  },
});

for (const options of [[], ["--monitor"]]) {
  Deno.test({
    name: `tend stop ends a real ovsdb-server ${options}`.trimEnd(),
    ignore: WITHOUT_OVSDB,
    fn: async () => {
      await using box = await Sandbox.create();
      const ovsdb = await Ovsdb.create(box);
      await ovsdb.start(box.runPath("web.pid"), ...options);
      assertEquals(await box.tend("stop", "web"), DONE);
      assertNothingLeft(box);
    },
  });
}
