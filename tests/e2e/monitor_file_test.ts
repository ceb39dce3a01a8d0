/** The file in which a monitor says what it does, and its lock. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import {
  LOGGED,
  logged,
  logOf,
  monitorFile,
  request,
  shown,
  startAsleep,
  startBackingOff,
  successorOf,
  untilAsleep,
  untilItWaits,
  untilShown,
  wakeOnce,
} from "../monitored.ts";
import { fdsOf, freeze, isAlive, parentOf, signalsIn } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const FILE = "web.pid.monitor";
const PLAIN = ["--detach", "--pidfile=web.pid"];
const SLEEP = ["--", "sleep", "600"];

/** Whether a process has a descriptor of the monitor's file. */
function hasFile(box: Sandbox, pid: number): boolean {
  return [...fdsOf(pid).values()].includes(box.runPath(FILE));
}

for (
  const [options, policy] of [
    [LOGGED, "on-error-signal"],
    [[...PLAIN, "--name=web", "--log-file"], "no"],
  ] as const
) {
  const title = ["tend", ...options].join(" ");
  Deno.test(`${title} shows a daemon that runs, when it returns`, async () => {
    await using box = await Sandbox.create();
    const before = Date.now();
    await box.tend(...options, "--", "sleep", "600", "0");
    const pid = box.pidfile("web.pid")!;
    const record = shown(box)!;
    const { startedAt, ...rest } = record;
    assert(startedAt! >= before && startedAt! <= Date.now());
    assertEquals(rest, {
      monitor: parentOf(pid),
      name: "web",
      phase: "running",
      isFollowed: undefined,
      policy,
      pid,
      crashes: 0,
      restarts: 0,
      lastEnd: undefined,
      lastStart: { count: 1, pid, ready: true, status: 0, text: undefined },
      backingOffUntil: undefined,
      left: [],
      gaveUp: undefined,
      statusText: undefined,
      command: ["sleep", "600", "0"],
      killMode: "group",
      stopSignal: undefined,
      stopTimeout: undefined,
      logFile: box.path("log/web.log"),
      outputs: [],
    });
    assertEquals(Deno.statSync(box.runPath(FILE)).mode! & 0o777, 0o644);
  });
}

Deno.test("tend --exec and tend without a pidfile make no monitor's file", async () => {
  await using box = await Sandbox.create();
  await box.tend(...PLAIN, "--exec", ...SLEEP);
  await box.tend("--detach", "--monitor", ...SLEEP);
  assertEquals(box.runFiles(), ["web.pid"]);
});

for (const sleepAfter of ["0", "never"]) {
  const option = `--sleep-after=${sleepAfter}`;
  const settled = async (box: Sandbox, monitor: number) => {
    if (sleepAfter === "0") await untilAsleep(box, monitor);
    else await untilItWaits(box, monitor);
  };

  Deno.test(`tend --monitor ${option} shows a crash, backing off, and a stop`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, option, ...SLEEP);
    const first = box.pidfile("web.pid")!;
    const { monitor } = shown(box)!;
    await settled(box, monitor);
    Deno.kill(first, "SIGSEGV");
    const once = await untilShown(
      box,
      "another daemon that runs",
      ({ phase, pid }) => phase === "running" && pid !== first,
    );
    const text = "killed (Segmentation fault)";
    assertEquals(
      [once.monitor, once.crashes, once.lastEnd?.pid, once.lastEnd?.text],
      [monitor, 1, first, text],
    );
    assertEquals([once.lastStart?.count, once.lastStart?.pid], [2, once.pid]);
    assertEquals(box.pidfile("web.pid"), once.pid);
    await settled(box, monitor);
    Deno.kill(once.pid, "SIGSEGV");
    const twice = await untilShown(
      box,
      "that it backs off",
      ({ phase }) => phase === "backingOff",
    );
    assertEquals([twice.crashes, twice.lastEnd?.pid], [2, once.pid]);
    const wait = twice.backingOffUntil! - Date.now();
    assert(wait > -1_000 && wait <= 10_000, `${wait} ms`);
    await settled(box, monitor);
    assertEquals(shown(box), twice);
    Deno.kill(monitor, "SIGTERM");
    await box.until("it has ended", () => !isAlive(monitor));
    assertEquals(box.runFiles(), []);
  });

  Deno.test(`tend --monitor ${option} holds one descriptor of its file, and its daemons none`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, option, ...SLEEP);
    const first = box.pidfile("web.pid")!;
    const { monitor } = shown(box)!;
    await settled(box, monitor);
    await box.until(
      "the pipe to the caller is closed",
      () => [...fdsOf(monitor).values()].every((f) => !f.startsWith("pipe:")),
    );
    const count = fdsOf(monitor).size;
    const of = (pid: number) =>
      [...fdsOf(pid)].filter(([fd]) => fd > 2).map(([fd, file]) => [fd, file]);
    const pidfileAlone = [[100, box.runPath("web.pid")]];
    assertEquals([hasFile(box, monitor), of(first)], [true, pidfileAlone]);
    Deno.kill(first, "SIGSEGV");
    const second = await successorOf(first, box);
    await untilShown(box, "it", ({ phase }) => phase === "running");
    await settled(box, monitor);
    assertEquals([hasFile(box, monitor), of(second)], [true, pidfileAlone]);
    assertEquals(fdsOf(monitor).size, count);
  });

  Deno.test(`tend --monitor ${option} leaves a stale file when it is killed, which the next start takes over`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, option, ...SLEEP);
    const { monitor, pid } = shown(box)!;
    await settled(box, monitor);
    Deno.kill(monitor, "SIGKILL");
    await box.until("it is gone", () => !isAlive(monitor));
    const stale = monitorFile(box);
    assert(stale.kind === "stale");
    assertEquals([stale.record?.monitor, stale.record?.pid], [monitor, pid]);
    // Its daemon runs, and the pidfile says so.
    const refused = await box.tend(...LOGGED, ...SLEEP);
    const path = box.runPath("web.pid");
    assertEquals(
      refused.stderr,
      `tend: ${path}: already running as pid ${pid}, aborting\n`,
    );
    assertEquals(monitorFile(box), stale);
    Deno.kill(pid, "SIGKILL");
    await box.until("that is gone", () => !isAlive(pid));
    assertEquals(monitorFile(box), stale);
    const { code, stderr } = await box.tend(...LOGGED, ...SLEEP);
    assertEquals([code, stderr], [0, ""]);
    const other = shown(box)!;
    assertEquals(
      [other.pid, other.crashes, other.lastEnd],
      [box.pidfile("web.pid"), 0, undefined],
    );
  });

  Deno.test(`tend --monitor ${option} removes its file when its daemon was killed`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, option, ...SLEEP);
    const { monitor, pid } = shown(box)!;
    await settled(box, monitor);
    Deno.kill(pid, "SIGKILL");
    await box.until("it has ended", () => !isAlive(monitor));
    assertEquals([box.runFiles(), monitorFile(box)], [[], { kind: "none" }]);
  });

  for (const start of [LOGGED, PLAIN, [...PLAIN, "--exec"]]) {
    const title = start.includes("--exec")
      ? "tend --exec"
      : start === PLAIN
      ? "tend --pidfile"
      : "tend --monitor";
    Deno.test(`${title} refuses beside a monitor with ${option} that backs off`, async () => {
      await using box = await Sandbox.create();
      const { monitor } = await startBackingOff(box, option);
      await untilShown(box, "that", ({ phase }) => phase === "backingOff");
      await settled(box, monitor);
      assertEquals(await box.tend(...start, ...SLEEP), {
        code: 1,
        stdout: "",
        stderr: `tend: ${box.runPath("web.pid")}: already monitored by pid ` +
          `${monitor} (backing off after 2 crashes), aborting\n`,
      });
      assertEquals(shown(box)?.monitor, monitor);
    });
  }
}

Deno.test("tend --monitor keeps its lock and writes nothing when it wakes up for nothing", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startAsleep(box);
  const record = shown(box);
  const look = () => Deno.statSync(box.runPath(FILE)).mtime;
  const before = look();
  for (let i = 0; i < 3; i++) {
    await wakeOnce(box, monitor);
    assertEquals([shown(box), look()], [record, before]);
  }
});

Deno.test("tend --monitor takes over a file of anything that nobody holds", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  Deno.writeFileSync(box.runPath(FILE), new Uint8Array(100_000).fill(0xff));
  const { code, stderr } = await box.tend(...LOGGED, ...SLEEP);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(shown(box)?.pid, box.pidfile("web.pid"));
  assertEquals(Deno.statSync(box.runPath(FILE)).size, 4096);
});

for (
  const [what, make, reason] of [
    [
      "has another name",
      ["ln"],
      "it has another name too; remove it",
    ],
    ["is a symbolic link", ["ln", "-s"], "Too many levels of symbolic links"],
  ] as const
) {
  Deno.test(`tend --monitor refuses a monitor's file that ${what}`, async () => {
    await using box = await Sandbox.create();
    Deno.mkdirSync(box.path("run"));
    Deno.writeTextFileSync(box.path("precious"), "precious\n");
    await box.run([...make, box.path("precious"), box.runPath(FILE)]);
    assertEquals(await box.tend(...LOGGED, ...SLEEP), {
      code: 1,
      stdout: "",
      stderr: `tend: ${box.runPath(FILE)}: create failed (${reason})\n`,
    });
    assertEquals(box.read(box.path("precious")), "precious\n");
    assertEquals([box.runFiles(), box.processes()], [[FILE], []]);
  });
}

Deno.test("tend --overwrite-pidfile takes the monitor's file too, which the old monitor leaves alone", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, ...SLEEP);
  const old = shown(box)!;
  await box.tend(...LOGGED, "--overwrite-pidfile", ...SLEEP);
  const record = shown(box)!;
  assertEquals(record.pid, box.pidfile("web.pid"));
  assertEquals([record.monitor, record.pid].includes(old.monitor), false);
  Deno.kill(old.monitor, "SIGTERM");
  await box.until("the old one has ended", () => !isAlive(old.monitor));
  assertEquals(shown(box), record);
  assertEquals(box.runFiles(), ["web.pid", FILE]);
});

Deno.test("tend --pidfile waits for a monitor that is about to end", async () => {
  await using box = await Sandbox.create();
  // It does not end before it is told, and then holds its monitor up.
  const script = 'trap "" TERM; : >"$1"; exec sleep 600';
  await box.tend(...PLAIN, "--", "sh", "-c", script, "sh", box.path("there"));
  await box.until("it is there", () => box.exists(box.path("there")));
  const { monitor, pid } = shown(box)!;
  await freeze(box, monitor);
  Deno.kill(pid, "SIGKILL");
  await box.until("it is gone", () => box.holder("web.pid") === undefined);
  const second = box.start([TEND, ...PLAIN, ...SLEEP]);
  await box.until(
    "the second waits",
    () =>
      box.processes().some((other) =>
        other !== monitor &&
        [...fdsOf(other).values()].includes("anon_inode:inotify")
      ),
  );
  Deno.kill(monitor, "SIGCONT");
  const { code, stderr } = await second.finished();
  assertEquals([code, stderr], [0, ""]);
  assertEquals(shown(box)?.pid, box.pidfile("web.pid"));
});

Deno.test("tend --monitor goes on, and says so once, when its file cannot be written", async () => {
  await using box = await Sandbox.create();
  // sleep adds them up.
  const zeros = Array(400).fill("0");
  await box.tend(...LOGGED, "--sleep-after=never", ...SLEEP, ...zeros);
  const { monitor, pid } = shown(box)!;
  // Room for its log and for pidfiles, but not for all of this.
  await box.run(["prlimit", `--pid=${monitor}`, "--fsize=1000:unlimited"]);
  Deno.kill(pid, "SIGSEGV");
  const second = await successorOf(pid, box);
  await logged(box, "its state is not shown");
  assertEquals(monitorFile(box), { kind: "held", monitor, record: undefined });
  await box.run(["prlimit", `--pid=${second}`, "--fsize=unlimited"]);
  Deno.kill(second, "SIGSEGV");
  await logged(box, "waiting until 10 seconds");
  assertEquals(logOf(box).match(/its state is not shown/g)?.length, 1);
  await box.run(["prlimit", `--pid=${monitor}`, "--fsize=unlimited"]);
  request(box, "restart");
  const third = await untilShown(box, "it", ({ phase }) => phase === "running");
  assertEquals(third.crashes, 2);
});

Deno.test("tend --pidfile is not ended by a limit of file sizes", async () => {
  await using box = await Sandbox.create();
  const script = 'trap "" TERM; : >"$1"; exec sleep 600';
  const command = ["sh", "-c", script, "sh", box.path("there")];
  const tend = box.start(
    [TEND, "--pidfile=web.pid", "-v=console:off", "--", ...command],
  );
  await box.until("it is there", () => box.exists(box.path("there")));
  const { monitor, pid } = await untilShown(
    box,
    "it",
    ({ phase }) => phase === "running",
  );
  await box.run(["prlimit", `--pid=${monitor}`, "--fsize=0:unlimited"]);
  // It has something to write, and SIGXFSZ is what that meets.
  request(box, "stop");
  await box.until("it has read that", () => signalsPending(monitor) === 0);
  request(box, "stop", 9);
  assertEquals((await tend.finished()).code, 137);
  assertEquals([isAlive(pid), box.runFiles()], [false, []]);
});

function signalsPending(pid: number): number {
  return ["SigPnd", "ShdPnd"].flatMap((mask) => signalsIn(pid, mask)).length;
}

Deno.test("tend --monitor removes its file when the first start fails", async () => {
  await using box = await Sandbox.create();
  const command = box.path("sleep");
  Deno.copyFileSync("/bin/sleep", command);
  // What is open for writing cannot be executed.
  using _writer = Deno.openSync(command, { write: true });
  const { code, stderr } = await box.tend(...LOGGED, "--", command, "600");
  assertEquals(
    [code, stderr],
    [126, `tend: ${command}: exec failed (Text file busy)\n`],
  );
  assertEquals(box.runFiles(), []);
});
