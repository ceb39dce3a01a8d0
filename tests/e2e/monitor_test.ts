import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { lacks } from "../binutils.ts";
import {
  LOGGED,
  logged,
  logOf,
  MONITORED,
  startBackingOff,
  successorOf,
  untilItWaits,
} from "../monitored.ts";
import { fdsOf, isAlive, look, parentOf, titleOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

Deno.test("tend --monitor logs in the monitor's name", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--", "sleep", "600");
  const daemon = box.pidfile("web.pid")!;
  Deno.kill(daemon, "SIGABRT");
  await successorOf(daemon, box);
  await logged(
    box,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\|00001\|daemon_unix\(monitor\)\|ERR\|1 crashes/,
  );
});

Deno.test("tend --monitor is called after a healthy daemon", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  const daemon = box.pidfile("web.pid")!;
  assertEquals(
    titleOf(parentOf(daemon)),
    `tend: monitoring pid ${daemon} (healthy)`,
  );
});

Deno.test("tend --monitor is called after the last crash", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  const first = box.pidfile("web.pid")!;
  const monitor = parentOf(first);
  Deno.kill(first, "SIGPIPE");
  const second = await successorOf(first, box);
  await box.until("the title tells of the crash", () =>
    titleOf(monitor) ===
      `tend: monitoring pid ${second} ` +
        `(1 crashes: pid ${first} died, killed (Broken pipe))`);
});

Deno.test("tend --monitor gives a restarted daemon its own title", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  const first = box.pidfile("web.pid")!;
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  await box.until(
    "it has become COMMAND",
    () => titleOf(second) === "sleep 600",
  );
});

Deno.test("tend --monitor leaves its environment as it was, beside its title", async () => {
  await using box = await Sandbox.create();
  await box.run([TEND, ...MONITORED, "--", "sleep", "600"], {
    env: { TEND_TEST_LONG: "x".repeat(500), TEND_TEST_EMPTY: "" },
  });
  const daemon = box.pidfile("web.pid")!;
  assertEquals(
    box.read(`/proc/${parentOf(daemon)}/environ`),
    box.read(`/proc/${daemon}/environ`),
  );
});

Deno.test("tend --monitor has as many descriptors after a restart as before", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  const first = box.pidfile("web.pid")!;
  const monitor = parentOf(first);
  await untilItWaits(box, monitor);
  const before = [...fdsOf(monitor).keys()].sort();
  Deno.kill(first, "SIGSEGV");
  await successorOf(first, box);
  await box.until("the monitor has the same descriptors", () => {
    const after = [...fdsOf(monitor).keys()].sort();
    return after.join() === before.join();
  });
});

Deno.test("tend --monitor backs off after a second crash", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startBackingOff(box);
  const status = `pid ${daemon} died, killed \\(Segmentation fault\\)`;
  assertMatch(
    logOf(box),
    new RegExp(
      `WARN\\|2 crashes: ${status}(, core dumped)?, ` +
        "waiting until 10 seconds since last restart\n",
    ),
  );
  await box.until(
    "the title tells of the crash",
    () => new RegExp(`\\(2 crashes: ${status}`).test(titleOf(monitor)),
  );
});

Deno.test("tend --monitor needs no more descriptors to back off than before", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--sleep-after=never", "--", "sleep", "600");
  const first = box.pidfile("web.pid")!;
  const monitor = parentOf(first);
  await untilItWaits(box, monitor);
  const before = [...fdsOf(monitor).values()];
  Deno.kill(first, "SIGSEGV");
  Deno.kill(await successorOf(first, box), "SIGSEGV");
  await logged(box, "waiting until 10 seconds since last restart");
  // When it backs off there may be none to be had.
  assertEquals([...fdsOf(monitor).values()].sort(), before.sort());
});

Deno.test("tend --monitor restarts again when 10 seconds have passed", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--", "sleep", "600");
  const first = box.pidfile("web.pid")!;
  // The restart comes after this, so the next one 10 s after this or later.
  const start = performance.now();
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  Deno.kill(second, "SIGSEGV");
  const third = await successorOf(second, box);
  assert(performance.now() - start >= 10_000);
  assert(isAlive(third));
});

Deno.test("tend --monitor ends with its foreground daemon's exit status", async () => {
  await using box = await Sandbox.create();
  const argv = ["--monitor", "--pidfile=web.pid", "--", "sleep", "600"];
  const tend = box.start([TEND, ...argv]);
  const daemon = await box.until("it runs", () => box.pidfile("web.pid"));
  await box.until("it is COMMAND", () => titleOf(daemon) === "sleep 600");
  Deno.kill(daemon, "SIGKILL");
  assertEquals((await tend.finished()).code, 128 + 9);
});

Deno.test("tend --monitor passes SIGTERM on, and all ends", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);

  Deno.kill(monitor, "SIGTERM");
  await box.until(
    "daemon and monitor have ended",
    () => !isAlive(daemon) && !isAlive(monitor),
  );
  assertEquals(box.runFiles(), []);
});

Deno.test("tend --monitor disables core dumps in those that follow one", async (t) => {
  await using box = await Sandbox.create();
  const pattern = box.read("/proc/sys/kernel/core_pattern");
  // With a program to take it, or a directory of its own, it is not ours.
  if (pattern?.trim() !== "core") {
    return void await t.step({
      ignore: true,
      name: `core_pattern is ${pattern}`,
      fn() {},
    });
  }
  const script = 'ulimit -Sc "$(ulimit -Hc)"; exec "$@"';
  const options = [...LOGGED, "--no-chdir"];
  await box.run([
    "sh",
    "-c",
    script,
    "sh",
    TEND,
    ...options,
    "--",
    "sleep",
    "600",
  ]);
  const first = box.pidfile("web.pid")!;
  const hard = limitsOf(first).hard;
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  await logged(box, "killed (Segmentation fault), core dumped, ");
  assertEquals(limitsOf(second), { soft: "0", hard });
});

/** A process's limits of core dumps. */
function limitsOf(pid: number): { soft: string; hard: string } {
  const text = Deno.readTextFileSync(`/proc/${pid}/limits`);
  const [, soft, hard] = /^Max core file size\s+(\S+)\s+(\S+)/m.exec(text)!;
  return { soft: soft!, hard: hard! };
}

for (
  const [call, said] of [
    ["timerfd_settime", "Invalid argument), going on in a second"],
    ["rt_sigqueueinfo", "Invalid argument), what was written last may not be"],
  ] as const
) {
  Deno.test({
    name: `tend --monitor restarts although ${call}() fails at a crash`,
    ignore: await lacks(["strace"]),
    fn: async () => {
      await using box = await Sandbox.create();
      await box.tend(
        ...[...LOGGED, "--sleep-after=never", "--restart-delay=50ms"],
        ...["--log-timestamps", "--output=out", "--", "sleep", "600"],
      );
      const first = box.pidfile("web.pid")!;
      const monitor = parentOf(first);
      const inject = `inject=${call}:error=EINVAL:when=1`;
      const strace = box.start([
        ...["strace", "-qq", "-o", "trace", "-e", `trace=${call}`],
        ...["-e", inject, "-p", `${monitor}`],
      ]);
      await box.until(
        "it is traced",
        () => look(monitor)?.status.get("TracerPid") === `${strace.pid}`,
      );
      Deno.kill(first, "SIGSEGV");
      const second = await successorOf(first, box);
      Deno.kill(second, "SIGSEGV");
      const third = await successorOf(second, box);
      assertStringIncludes(logOf(box), `failed (${said}`);
      assertEquals(parentOf(third), monitor);
    },
  });
}

Deno.test("tend --monitor goes on after an error that it has no answer to", async () => {
  await using box = await Sandbox.create();
  const deaf = "trap '' USR1; exec sleep 600";
  await box.tend(...LOGGED, "--sleep-after=never", "--", "sh", "-c", deaf);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon)!;
  const limit = async (soft: string) => {
    const pid = ["--pid", `${monitor}`];
    const { code } = await box.run(["prlimit", ...pid, `--nofile=${soft}:`]);
    assertEquals(code, 0);
  };
  await untilItWaits(box, monitor);
  // From now on `poll()` refuses to wait for anything, and no log can be opened.
  await limit("0");
  Deno.kill(monitor, "SIGUSR1");
  await box.until("it waits before it tries again", () => {
    const [call = "", , count] = box.read(`/proc/${monitor}/syscall`)!
      .split(" ");
    return call !== "running" && Number(count) === 0;
  });
  await limit("1024");
  Deno.kill(monitor, "SIGTERM");
  await box.until("both have ended", () => !isAlive(monitor));
  assertEquals(isAlive(daemon), false);
});
