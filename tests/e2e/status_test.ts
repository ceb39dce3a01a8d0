import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import {
  MONITORED,
  startAsleep,
  startBackingOff,
  untilShown,
} from "../monitored.ts";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { startInside, WITHOUT_NAMESPACES } from "../pid_namespace.ts";
import { isAlive } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { asOther, IS_ROOT, json, statusOf } from "../verb_calls.ts";

const SLEEP = ["--", "sleep", "600"];

/** Ends a process at once, and waits for that. */
async function killHard(box: Sandbox, pid: number): Promise<void> {
  Deno.kill(pid, "SIGKILL");
  await box.until(`pid ${pid} has ended`, () => !isAlive(pid));
}

Deno.test("tend status shows a daemon that runs, and exits 0", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  const { code, stdout } = await box.tend("status", "web");
  assertEquals(code, 0);
  const [title, line, end] = stdout.split("\n");
  assertMatch(
    title!,
    /^NAME {2}STATE +PID {2}UPTIME {2}RESTARTS {2}LAST END {2}MEMORY +CPU {2}COMMAND$/,
  );
  const pid = box.pidfile("web.pid");
  assertMatch(
    line!,
    RegExp(
      `^web {3}running +${pid} +\\d+s +0 {2}- +[\\d.]+[KM] +[\\d.]+% {2}sleep 600$`,
    ),
  );
  assertEquals(end, "");
});

Deno.test("tend status shows all that is known as JSON", async () => {
  await using box = await Sandbox.create();
  const { monitor, daemon } = await startAsleep(box);
  const { uptime, memory, cpu, ...others } = await json(box, "status", "web");
  assertEquals(others, {
    name: "web",
    pidfile: box.runPath("web.pid"),
    state: "running",
    pid: daemon,
    monitor,
    remark: null,
    crashes: 0,
    restarts: 0,
    lastEnd: null,
    lastStart: { count: 1, pid: daemon, ready: true, status: 0, text: null },
    backingOffUntil: null,
    processes: 1,
    command: ["sleep", "600"],
    logFile: box.path("log/web.log"),
    outputs: [],
  });
  for (const value of [uptime, memory, cpu]) assert(Number(value) >= 0);
  assert(Number(memory) > 100_000);
});

Deno.test("tend status counts the processes below a daemon", async () => {
  await using box = await Sandbox.create();
  const script = "sleep 600 & (sleep 600 & wait) & wait";
  await box.tend(...MONITORED, "--", "sh", "-c", script);
  // The shell, one below it, and two commands.
  const counts: unknown[] = [];
  await box.until("all are started", () => box.processes().length === 5);
  counts.push(...await statusOf(box, "processes"));
  assertEquals(counts, [4]);
});

Deno.test("tend status shows one that backs off, until when, and exits 1", async () => {
  await using box = await Sandbox.create();
  await startBackingOff(box);
  await untilShown(box, "that", ({ phase }) => phase === "backingOff");
  const { code, stdout } = await box.tend("status", "web");
  assertEquals(code, 1);
  assertMatch(
    stdout,
    /\nweb +backing off until \d\d:\d\d:\d\d +- +- +1 +killed \(Segmentation fault\)(, core dumped)? \d+s ago +- +- +sleep 600\n$/,
  );
});

Deno.test("tend status shows one that backs off when its pidfile is gone", async () => {
  await using box = await Sandbox.create();
  await startBackingOff(box);
  await untilShown(box, "that", ({ phase }) => phase === "backingOff");
  Deno.removeSync(box.runPath("web.pid"));
  const { stdout } = await box.tend("status", "--all");
  assertMatch(stdout, /\nweb +backing off until/);
});

Deno.test("tend status shows a daemon whose monitor was killed", async () => {
  await using box = await Sandbox.create();
  const { monitor, daemon } = await startAsleep(box);
  await killHard(box, monitor);
  const { code, stdout } = await box.tend("status", "web");
  assertEquals(code, 0);
  assertMatch(stdout, RegExp(`\nweb +running, monitor killed +${daemon} `));
  assertEquals(await statusOf(box, "monitor", "command"), [
    null,
    ["sleep", "600"],
  ]);
});

Deno.test("tend status shows that a daemon and its monitor were killed, and exits 1", async () => {
  await using box = await Sandbox.create();
  const { monitor, daemon } = await startAsleep(box);
  await killHard(box, monitor);
  await killHard(box, daemon);
  const { code, stdout } = await box.tend("status", "web");
  assertEquals(code, 1);
  assertMatch(stdout, /\nweb +stale +- +- +- +- +- +- +-\n/);
  assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
});

Deno.test("tend status shows one without a monitor", async () => {
  await using box = await Sandbox.create();
  await box.tend("--detach", "--exec", "--pidfile=web.pid", ...SLEEP);
  const { code, stdout } = await box.tend("status", "web");
  assertEquals(code, 0);
  assertMatch(stdout, /\nweb +running, unmonitored .* sleep 600\n/);
});

Deno.test("tend status exits 3 when there is nothing", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await box.tend("status", "web");
  assertEquals(code, 3);
  assertMatch(stdout, /\nweb +stopped /);
});

Deno.test("tend status exits 4 when it cannot tell", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.runPath("web.pid"), { recursive: true });
  const { code, stdout } = await box.tend("status", "web");
  assertEquals(code, 4);
  assertMatch(stdout, /\nweb +unknown, .*web\.pid: Is a directory/);
});

Deno.test("tend status of several exits with the highest status", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  Deno.writeTextFileSync(box.runPath("old.pid"), "1\n");
  const codes = [];
  for (
    const names of [["web"], ["web", "old"], ["old", "none", "web"], ["--all"]]
  ) {
    codes.push((await box.tend("status", ...names)).code);
  }
  assertEquals(codes, [0, 1, 3, 1]);
});

Deno.test("tend status --all shows all of the run directory by name", async () => {
  await using box = await Sandbox.create();
  for (const name of ["b", "a", "c"]) {
    await box.tend("--detach", `--pidfile=${name}.pid`, ...SLEEP);
  }
  const { stdout } = await box.tend("status", "--all");
  const names = stdout.trimEnd().split("\n").map((line) => line.split(" ")[0]);
  assertEquals(names, ["NAME", "a", "b", "c"]);
});

Deno.test("tend status does not take a live process for a daemon without the lock", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  Deno.writeTextFileSync(box.runPath("web.pid"), `${Deno.pid}\n`);
  assertEquals(await statusOf(box, "state", "pid"), ["stale", null]);
});

Deno.test("tend status shows a daemon that has given up its pidfile's lock", async () => {
  await using box = await Sandbox.create();
  const script = 'exec 100>&-; : >"$1"; exec sleep 600';
  const said = box.path("said");
  // dash has no descriptor 100.
  await box.tend(...MONITORED, "--", "bash", "-c", script, "bash", said);
  await box.until("it is closed", () => box.exists(said));
  const pid = box.pidfile("web.pid");
  assertEquals(await statusOf(box, "state", "pid", "remark"), [
    "running",
    pid,
    "not holding its pidfile",
  ]);
});

Deno.test("tend status says why it cannot read the pidfile of a daemon", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  const pidfile = box.runPath("web.pid");
  const pid = box.pidfile("web.pid");
  Deno.renameSync(pidfile, box.path("web.pid"));
  Deno.mkdirSync(pidfile);
  assertEquals(await statusOf(box, "state", "pid", "remark"), [
    "running",
    pid,
    `${pidfile}: Is a directory`,
  ]);
});

Deno.test({
  name: "tend status shows another user's daemon",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    await box.tend(...MONITORED, ...SLEEP);
    const { code, stdout } = await asOther(box, "status", "web");
    assertEquals(code, 0);
    assertMatch(
      stdout,
      RegExp(`\nweb +running +${box.pidfile("web.pid")} .* sleep 600\n`),
    );
  },
});

Deno.test({
  name: "tend status shows a daemon of another PID namespace",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    await startInside(box);
    const { code, stdout } = await box.tend("status", "web");
    assertEquals(code, 0);
    assertMatch(stdout, /\nweb +running, in another PID namespace /);
  },
});

for (const options of [[], ["--monitor"]]) {
  Deno.test({
    name: `tend status shows a real ovsdb-server ${options}`.trimEnd(),
    ignore: WITHOUT_OVSDB,
    fn: async () => {
      await using box = await Sandbox.create();
      const ovsdb = await Ovsdb.create(box);
      await ovsdb.start(box.runPath("web.pid"), ...options);
      assertEquals(await statusOf(box, "state", "pid", "remark"), [
        "running",
        box.pidfile("web.pid"),
        options.length === 0 ? "unmonitored" : null,
      ]);
    },
  });
}

/** Runs `tend status` on a terminal so wide, and returns what comes there. */
async function onTerminal(
  box: Sandbox,
  columns: number,
  env: Record<string, string> = {},
): Promise<string> {
  const command = `stty cols ${columns}; '${TEND}' status web`;
  const { stdout } = await box.run(
    ["script", "-qec", command, "/dev/null"],
    { env: { TERM: "xterm", NO_COLOR: "", ...env } },
  );
  return stdout.replaceAll("\r", "");
}

Deno.test("tend status fits the width of a terminal", async () => {
  await using box = await Sandbox.create();
  const long = Array.from({ length: 50 }, (_, i) => `word${i}`);
  await box.tend(...MONITORED, "--", "sh", "-c", "sleep 600; :", ...long);
  for (const columns of [40, 60, 80, 120]) {
    const text = await onTerminal(box, columns, { NO_COLOR: "1" });
    const lines = text.trimEnd().split("\n");
    assertEquals(lines.length, 2);
    assert(lines.every((line) => line.length <= columns), text);
    assertMatch(lines[1]!, /^web +running +\d+/);
  }
  const { stdout } = await box.tend("status", "web");
  assertMatch(stdout, /word49\n$/);
});

Deno.test("tend status has colour on a terminal, and not with NO_COLOR", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  const green = "\x1b[32mrunning\x1b[m";
  const has = (text: string) => text.includes(green);
  assertEquals(has(await onTerminal(box, 80)), true);
  assertEquals(has(await onTerminal(box, 80, { NO_COLOR: "1" })), false);
  assertEquals(has(await onTerminal(box, 80, { TERM: "dumb" })), false);
  assertEquals(has((await box.tend("status", "web")).stdout), false);
});

Deno.test("tend status exits 4 when it cannot tell which daemons there are", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "");
  const run = ["env", `TEND_RUNDIR=${box.path("file")}`, TEND];
  assertEquals(await box.run([...run, "status", "--all"]), {
    code: 4,
    stdout: "",
    stderr: `tend: ${box.path("file")}: opendir failed (Not a directory)\n`,
  });
});
