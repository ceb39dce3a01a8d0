/** What is asked of a monitor, asleep and awake. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { close } from "../../ffi/descriptor.ts";
import { O_CREAT, O_RDONLY, O_RDWR, open } from "../../ffi/file.ts";
import { fcntlSetlk } from "../../ffi/lock.ts";
import { readOpenMonitorFile } from "../../lib/monitor_file.ts";
import { opened } from "../descriptors.ts";
import { pidfdOpen, pidfdSendSignal } from "../../ffi/pidfd.ts";
import { Signal } from "../../ffi/signal.ts";
import {
  LOGGED,
  logged,
  logOf,
  request,
  shown,
  startBackingOff,
  untilAsleep,
  untilItWaits,
  untilShown,
} from "../monitored.ts";
import { childrenOf, fdsOf, isAlive, signalsIn } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const PLAIN = ["--detach", "--pidfile=web.pid", "--name=web", "--log-file"];
const SLEEP = ["--", "sleep", "600"];

/** A command that says when it is there, and does not end of SIGTERM. */
function stubborn(box: Sandbox): string[] {
  const script = 'trap "" TERM; echo >>"$1"; exec sleep 600';
  return ["--", "sh", "-c", script, "sh", box.path("there")];
}

for (const sleepAfter of ["0", "never"]) {
  const option = `--sleep-after=${sleepAfter}`;
  const settled = async (box: Sandbox, monitor: number) => {
    if (sleepAfter === "0") await untilAsleep(box, monitor);
    else await untilItWaits(box, monitor);
  };

  for (const options of [LOGGED, PLAIN]) {
    const title = [
      "tend",
      ...options.filter((word) => word === "--monitor"),
      option,
    ].join(" ");

    Deno.test(`${title} ends with its daemon when it is asked to stop`, async () => {
      await using box = await Sandbox.create();
      await box.tend(...options, option, ...SLEEP);
      const { monitor, pid } = shown(box)!;
      await settled(box, monitor);
      request(box, "stop");
      await box.until("it has ended", () => !isAlive(monitor));
      assertEquals([isAlive(pid), box.runFiles()], [false, []]);
    });

    Deno.test(`${title} starts its daemon anew when it is asked to restart`, async () => {
      await using box = await Sandbox.create();
      await box.tend(...options, option, ...SLEEP);
      const { monitor, pid } = shown(box)!;
      await settled(box, monitor);
      const count = fdsOf(monitor).size;
      let last = pid;
      // No throttle: it is not a crash.
      for (let restarts = 1; restarts <= 3; restarts++) {
        const old = last;
        request(box, "restart", Signal.SIGINT);
        const record = await untilShown(
          box,
          "another that runs",
          ({ phase, pid }) => phase === "running" && pid !== old,
        );
        last = record.pid;
        assertEquals(
          [record.monitor, record.crashes, record.restarts],
          [monitor, 0, restarts],
        );
        assertEquals(
          [record.lastEnd?.pid, record.lastEnd?.text],
          [old, "killed (Interrupt)"],
        );
        assertEquals(record.lastStart, {
          count: restarts + 1,
          pid: last,
          ready: true,
          status: 0,
          text: undefined,
        });
        assertEquals([box.pidfile("web.pid"), box.holder("web.pid")], [
          last,
          last,
        ]);
        assertEquals(isAlive(old), false);
        await settled(box, monitor);
      }
      await box.until(
        "it has no more descriptors than before",
        () => fdsOf(monitor).size <= count,
      );
      assertEquals(signalsIn(last, "SigBlk"), []);
      await logged(
        box,
        `INFO|told to restart, pid ${pid} died, killed (Interrupt), restarting`,
      );
    });
  }

  Deno.test(`tend --monitor ${option} starts at once when it backs off and is asked to restart`, async () => {
    await using box = await Sandbox.create();
    const { monitor, daemon } = await startBackingOff(box, option);
    await untilShown(box, "that", ({ phase }) => phase === "backingOff");
    await settled(box, monitor);
    request(box, "restart");
    const record = await untilShown(
      box,
      "another that runs",
      ({ phase }) => phase === "running",
    );
    assertEquals(
      [record.pid === daemon, record.crashes, record.restarts],
      [false, 2, 1],
    );
    assertEquals(record.backingOffUntil, undefined);
    assertEquals(record.pid, box.pidfile("web.pid"));
    await logged(
      box,
      `told to restart, 2 crashes: pid ${daemon} died, killed (Segmentation fault), restarting`,
    );
  });

  Deno.test(`tend --monitor ${option} ends when it backs off and is asked to stop`, async () => {
    await using box = await Sandbox.create();
    const { monitor } = await startBackingOff(box, option);
    await untilShown(box, "that", ({ phase }) => phase === "backingOff");
    await settled(box, monitor);
    request(box, "stop");
    await box.until("it has ended", () => !isAlive(monitor));
    assertMatch(logOf(box), /told not to restart, exiting\n$/);
    assertEquals(box.runFiles(), []);
  });

  Deno.test(`tend --monitor ${option} shows that it waits for its daemon's end, and takes a stronger signal`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, option, ...stubborn(box));
    await box.until("it is there", () => box.exists(box.path("there")));
    const { monitor, pid } = shown(box)!;
    await settled(box, monitor);
    request(box, "restart");
    await untilShown(box, "that", ({ phase }) => phase === "restarting");
    await settled(box, monitor);
    assertEquals(isAlive(pid), true);
    request(box, "restart", Signal.SIGKILL);
    const second = await untilShown(
      box,
      "another",
      ({ phase, lastStart }) => phase === "running" && lastStart?.count === 2,
    );
    await box.until(
      "that is there",
      () => box.read(box.path("there")) === "\n\n",
    );
    request(box, "stop");
    await untilShown(box, "that", ({ phase }) => phase === "stopping");
    // Whoever has told it to stop, nothing is started any more.
    request(box, "restart", Signal.SIGKILL);
    assertEquals(isAlive(second.pid), true);
    request(box, "stop", Signal.SIGKILL);
    await box.until("it has ended", () => !isAlive(monitor));
    assertEquals([isAlive(second.pid), box.runFiles()], [false, []]);
  });

  for (
    const [how, end] of [
      ["SIGTERM", (monitor: number) => Deno.kill(monitor, "SIGTERM")],
      ["a request", (_: number, box: Sandbox) => request(box, "stop", 15)],
    ] as const
  ) {
    Deno.test(`tend --monitor ${option} does not restart when ${how} stops it meanwhile`, async () => {
      await using box = await Sandbox.create();
      await box.tend(...LOGGED, option, ...stubborn(box));
      await box.until("it is there", () => box.exists(box.path("there")));
      const { monitor, pid } = shown(box)!;
      request(box, "restart");
      await untilShown(box, "that", ({ phase }) => phase === "restarting");
      await settled(box, monitor);
      end(monitor, box);
      await untilShown(box, "that", ({ phase }) => phase === "stopping");
      Deno.kill(pid, "SIGKILL");
      await box.until("it has ended", () => !isAlive(monitor));
      assertEquals([box.runFiles(), box.processes()], [[], []]);
      assertEquals(box.read(box.path("there")), "\n");
    });
  }

  Deno.test(`tend --monitor ${option} ignores the signals of requests that are none`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, option, ...SLEEP);
    const record = shown(box)!;
    await settled(box, record.monitor);
    const pidfd = pidfdOpen(record.monitor);
    for (const signal of [35, 36, 37]) {
      pidfdSendSignal(pidfd, signal);
      for (const value of [0, 65, 4096, 65_000, 2 ** 40]) {
        pidfdSendSignal(pidfd, signal, value);
      }
    }
    close(pidfd);
    await box.until(
      "all are read",
      () =>
        ["SigPnd", "ShdPnd"].every((mask) =>
          signalsIn(record.monitor, mask).length === 0
        ),
    );
    await settled(box, record.monitor);
    // One that counts, behind those that do not.
    request(box, "restart");
    const after = await untilShown(
      box,
      "another",
      ({ phase, pid }) => phase === "running" && pid !== record.pid,
    );
    assertEquals([after.monitor, after.restarts], [record.monitor, 1]);
  });
}

/** A command that its test takes away. */
function copyOfSleep(box: Sandbox): string {
  const path = box.path("sleep");
  Deno.copyFileSync("/bin/sleep", path);
  return path;
}

Deno.test("tend --monitor treats a restart that fails as a failed start", async () => {
  await using box = await Sandbox.create();
  const command = copyOfSleep(box);
  await box.tend(...LOGGED, "--", command, "600");
  Deno.removeSync(command);
  request(box, "restart");
  const failed = await untilShown(
    box,
    "that it backs off",
    ({ phase }) => phase === "backingOff",
  );
  const { count, ready, status, text } = failed.lastStart!;
  assertEquals([ready, status, text], [false, 127, "exit status 127"]);
  assertEquals(count >= 2, true);
  assertEquals(childrenOf(failed.monitor), []);
  Deno.copyFileSync("/bin/sleep", command);
  request(box, "restart");
  const record = await untilShown(
    box,
    "that it runs",
    ({ phase }) => phase === "running",
  );
  assertEquals(
    [record.lastStart?.ready, record.restarts],
    [true, 2],
  );
});

Deno.test("tend --pidfile ends with the status of a restart that fails", async () => {
  await using box = await Sandbox.create();
  const command = copyOfSleep(box);
  const tend = box.start([TEND, "--pidfile=web.pid", "--", command, "600"]);
  await untilShown(box, "that it runs", ({ phase }) => phase === "running");
  Deno.removeSync(command);
  request(box, "restart");
  const { code, stderr } = await tend.finished();
  assertEquals([code, box.runFiles()], [127, []]);
  assertStringIncludes(stderr, "INFO|told to restart, pid ");
  assertStringIncludes(
    stderr,
    `\ntend: ${command}: exec failed (No such file or directory)\n`,
  );
});

for (const options of [LOGGED, PLAIN]) {
  const title = options.includes("--monitor")
    ? "tend --monitor"
    : "tend --pidfile";
  Deno.test(`${title} says how its daemon ended to whoever has its file open`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...options, ...SLEEP);
    using file = opened(box.runPath("web.pid.monitor"), O_RDONLY);
    const { monitor, pid } = shown(box)!;
    request(box, "stop", Signal.SIGUSR1);
    await box.until("it has ended", () => !isAlive(monitor));
    const last = readOpenMonitorFile(file.number);
    assert(last.kind === "stale");
    assertEquals(
      [last.record?.phase, last.record?.lastEnd?.pid],
      ["stopping", pid],
    );
    assertEquals(last.record?.lastEnd?.text, "killed (User defined signal 1)");
  });
}

Deno.test("tend --pidfile says how a restart failed to whoever has its file open", async () => {
  await using box = await Sandbox.create();
  const command = copyOfSleep(box);
  await box.tend(...PLAIN, "--", command, "600");
  using file = opened(box.runPath("web.pid.monitor"), O_RDONLY);
  const { monitor, pid } = shown(box)!;
  Deno.removeSync(command);
  request(box, "restart");
  await box.until("it has ended", () => !isAlive(monitor));
  const last = readOpenMonitorFile(file.number);
  assert(last.kind === "stale");
  const { lastStart, lastEnd } = last.record!;
  assertEquals(lastStart?.pid === pid, false);
  assertEquals({ ...lastStart, pid: 0 }, {
    count: 2,
    pid: 0,
    ready: false,
    status: 127,
    text: "exit status 127",
  });
  assertEquals(lastEnd?.pid, lastStart?.pid);
});

Deno.test("tend --pidfile in the foreground restarts with its caller's terminal and directory", async () => {
  await using box = await Sandbox.create();
  const script = "pwd; exec sleep 600";
  const tend = box.start(
    [TEND, "--pidfile=web.pid", "--sleep-after=0", "--", "sh", "-c", script],
  );
  const first = await untilShown(box, "it", ({ phase }) => phase === "running");
  await box.until("it has said where", () => tend.stdout() !== "");
  request(box, "restart");
  await untilShown(
    box,
    "another",
    ({ phase, pid }) => phase === "running" && pid !== first.pid,
  );
  await box.until(
    "both have said where",
    () => tend.stdout() === `${box.dir}\n${box.dir}\n`,
  );
  request(box, "stop");
  assertEquals((await tend.finished()).code, 143);
});

for (const options of [LOGGED, PLAIN]) {
  const title = options.includes("--monitor")
    ? "tend --monitor"
    : "tend --pidfile";
  Deno.test(`${title} restarts a daemon that is not ready yet, and its caller waits for the next`, async () => {
    await using box = await Sandbox.create();
    Deno.mkdirSync(box.path("run"));
    // As a tend in the middle of its start has it: the daemon waits for it.
    const tmpfile = box.runPath("web.pid.tmp");
    const holder = open(tmpfile, O_RDWR | O_CREAT, 0o644);
    fcntlSetlk(holder);
    const tend = box.start([TEND, ...options, ...SLEEP]);
    const first = await untilShown(
      box,
      "a start",
      ({ phase }) => phase === "starting",
    );
    await box.until("the daemon waits", () => waits(first.pid));
    request(box, "restart");
    const second = await untilShown(
      box,
      "another start",
      ({ phase, pid }) => phase === "starting" && pid !== first.pid,
    );
    assertEquals(isAlive(first.pid), false);
    assertEquals([second.lastStart, second.restarts], [undefined, 1]);
    Deno.removeSync(tmpfile);
    close(holder);
    const { code, stderr } = await tend.finished();
    assertEquals(code, 0);
    assertMatch(
      stderr,
      /^\S+\|INFO\|told to restart, pid \d+ died, killed \(Terminated\), restarting\n$/,
    );
    assertEquals(box.pidfile("web.pid"), second.pid);
    assertEquals(shown(box)?.phase, "running");
    // Detached, as its monitor is.
    assertEquals(fdsOf(second.pid).get(1), "/dev/null");
  });
}

function waits(pid: number): boolean {
  return isAlive(pid) && [...fdsOf(pid).values()]
    .includes("anon_inode:inotify");
}
