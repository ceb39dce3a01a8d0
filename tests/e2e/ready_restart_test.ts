import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { lacks } from "../binutils.ts";
import {
  LOGGED,
  logged,
  logOf,
  request,
  shown,
  SLEEPY,
  successorOf,
  untilAsleep,
  untilShown,
} from "../monitored.ts";
import { fdsOf, isAlive, isAsleep, look, parentOf } from "../proc.ts";
import { READY_WAY_NAMES, readyWays } from "../ready.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const AWAKE = [...LOGGED, "--sleep-after=never"];

/** Starts a command that is ready at once, and again when `go` is there. */
async function startReady(
  box: Sandbox,
  options: readonly string[],
  name: typeof READY_WAY_NAMES[number],
): Promise<{ daemon: number; monitor: number }> {
  const { ready, command } = readyWays(box)[name]!;
  await Deno.writeTextFile(box.path("go"), "");
  const { code, stderr } = await box.tend(
    ...[...options, `--ready=${ready}`, "--", ...command],
  );
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  if (options === SLEEPY) await untilAsleep(box, monitor);
  await Deno.remove(box.path("go"));
  return { daemon, monitor };
}

/** How many descriptors a monitor has when nobody waits for a start. */
async function fdCount(box: Sandbox, monitor: number): Promise<number> {
  const fds = await box.until("the pipe to a caller is closed", () => {
    const files = [...fdsOf(monitor).values()];
    return files.every((file) => !file.startsWith("pipe:")) && files;
  });
  return fds.length;
}

/** Waits until a successor is there that is not ready. */
async function untilNotReady(box: Sandbox, daemon: number): Promise<number> {
  const { pid } = await untilShown(
    box,
    "a successor that is not ready",
    ({ phase, pid }) => phase === "notReady" && pid !== daemon,
  );
  return pid;
}

for (const [state, options] of Object.entries({ AWAKE, SLEEPY })) {
  for (const name of READY_WAY_NAMES) {
    Deno.test(`tend --ready waits anew for a daemon that was restarted, ${name}, ${state}`, async () => {
      await using box = await Sandbox.create();
      const { daemon, monitor } = await startReady(box, options, name);
      const before = state === "AWAKE" ? await fdCount(box, monitor) : 0;
      Deno.kill(daemon, "SIGABRT");
      const pid = await untilNotReady(box, daemon);
      assertEquals(shown(box)?.lastStart?.count, 1);
      await Deno.writeTextFile(box.path("go"), "");
      const { lastStart } = await untilShown(
        box,
        "that the successor runs",
        ({ phase }) => phase === "running",
      );
      const { count, ready } = lastStart!;
      assertEquals([count, lastStart!.pid, ready], [2, pid, true]);
      assertEquals(isAlive(monitor), true);
      if (state === "AWAKE") {
        assertEquals(await fdCount(box, monitor), before);
      } else await untilAsleep(box, monitor);
    });
  }
}

Deno.test("tend --ready counts a restart that is not ready in time as a crash", async () => {
  await using box = await Sandbox.create();
  const options = [...LOGGED, "--ready-timeout=300ms"];
  const { daemon, monitor } = await startReady(box, options, "fd");
  Deno.kill(daemon, "SIGABRT");
  const pid = await untilNotReady(box, daemon);
  const { crashes, lastStart } = await untilShown(
    box,
    "that the monitor backs off",
    ({ phase }) => phase === "backingOff",
  );
  const why = "not ready within 0.3 s (waiting for a newline on descriptor 3)";
  assertEquals([crashes, isAlive(pid)], [2, false]);
  assertEquals(lastStart, {
    count: 2,
    pid,
    ready: false,
    status: 1,
    text: `${why}, stopped`,
  });
  await logged(box, `ERR|pid ${pid} ${why}, stopped`);
  await logged(box, "waiting until 10 seconds since last restart");
  Deno.kill(monitor, "SIGTERM");
  await box.until("all have ended", () => box.processes().length === 0);
  assertEquals(box.runFiles(), []);
});

Deno.test("tend --ready counts a restart that dies before it is ready as a crash", async () => {
  await using box = await Sandbox.create();
  const { daemon } = await startReady(box, LOGGED, "tcp");
  Deno.kill(daemon, "SIGABRT");
  const pid = await untilNotReady(box, daemon);
  Deno.kill(pid, "SIGKILL");
  await logged(box, `pid ${pid} died before it was ready, killed (Killed)`);
  const { lastStart } = await untilShown(
    box,
    "that the monitor backs off",
    ({ phase }) => phase === "backingOff",
  );
  assertEquals([lastStart?.count, lastStart?.ready], [2, false]);
});

for (const name of ["notify", "tcp", "file"] as const) {
  Deno.test(`tend --ready can be stopped while a restart is not ready, ${name}`, async () => {
    await using box = await Sandbox.create();
    const { daemon } = await startReady(box, SLEEPY, name);
    Deno.kill(daemon, "SIGABRT");
    await untilNotReady(box, daemon);
    request(box, "stop");
    await box.until("all have ended", () => box.processes().length === 0);
    assertEquals(box.runFiles(), []);
    assertMatch(logOf(box), /INFO\|pid \d+ died, killed \(Terminated\), exit/);
  });

  Deno.test(`tend --ready can be restarted while a restart is not ready, ${name}`, async () => {
    await using box = await Sandbox.create();
    const { daemon } = await startReady(box, SLEEPY, name);
    request(box, "restart");
    const second = await untilNotReady(box, daemon);
    request(box, "restart");
    const third = await untilNotReady(box, second);
    await Deno.writeTextFile(box.path("go"), "");
    const { crashes, pid, lastStart } = await untilShown(
      box,
      "that the successor runs",
      ({ phase, pid }) => phase === "running" && pid === third,
    );
    assertEquals([crashes, pid, lastStart?.pid], [0, third, third]);
  });
}

Deno.test("tend --ready tells a caller of the start that follows one it was told to give up", async () => {
  await using box = await Sandbox.create();
  const { ready, command } = readyWays(box).fd!;
  const [shell, option, script, ...rest] = command;
  const running = box.start([
    ...[TEND, ...LOGGED, `--ready=${ready}`, "--", shell!, option!],
    ...[`echo start >&2; ${script}`, ...rest],
  ]);
  const first = await untilNotReady(box, 0);
  request(box, "restart");
  const second = await untilNotReady(box, first);
  assertEquals(isAlive(running.pid), true);
  await Deno.writeTextFile(box.path("go"), "");
  const { code, stderr } = await running.finished();
  assertEquals(code, 0);
  assertMatch(stderr, /^start\n[^\n]*told to restart[^\n]*\nstart\n$/);
  assertEquals(box.pidfile("web.pid"), second);
});

Deno.test("tend --ready warns when somebody listens already where a restart is to", async () => {
  await using box = await Sandbox.create();
  const { daemon } = await startReady(box, LOGGED, "unix");
  // As a process does that the daemon has left.
  const path = box.path("web.sock");
  await Deno.remove(path);
  using _ = Deno.listen({ transport: "unix", path });
  Deno.kill(daemon, "SIGABRT");
  await logged(box, `WARN|unix ${path} is in use already, cannot tell when`);
  await successorOf(daemon, box);
});

Deno.test("tend --ready=notify shows what a daemon says while its monitor sleeps", async () => {
  await using box = await Sandbox.create();
  const script = 'systemd-notify --ready --status="1 client"; ' +
    'until test -e "$1"; do sleep 0.01; done; ' +
    'systemd-notify --status="2 clients"; exec sleep 600';
  const command = ["sh", "-c", script, "sh", box.path("go")];
  await box.tend(...SLEEPY, "--ready=notify", "--", ...command);
  const monitor = parentOf(box.pidfile("web.pid")!);
  await untilAsleep(box, monitor);
  assertEquals(shown(box)?.statusText, "1 client");
  await Deno.writeTextFile(box.path("go"), "");
  await untilShown(
    box,
    "what the daemon says",
    ({ statusText }) => statusText === "2 clients",
  );
  // It may say more: for that nobody is to wake up each time.
  assertEquals(isAsleep(monitor), false);
});

Deno.test({
  name: "tend --ready=notify hears later what it cannot tell the sender of now",
  // Root, and our own user, are believed anyway.
  ignore: Deno.uid() !== 0 || await lacks(["strace"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const script = "trap 'systemd-notify --status=\"2 clients\"' USR1; " +
      "systemd-notify --ready; while :; do sleep 0.01; done";
    await box.tend(
      ...[...AWAKE, "--ready=notify", "--user=nobody", "--", "sh", "-c"],
      script,
    );
    const daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);
    const strace = box.start([
      ...["strace", "-qq", "-o", "trace", "-P", `/proc/${daemon}/status`],
      ...["-e", "inject=open,openat:error=EMFILE:when=1", "-p", `${monitor}`],
    ]);
    await box.until(
      "it is traced",
      () => look(monitor)?.status.get("TracerPid") === `${strace.pid}`,
    );
    Deno.kill(daemon, "SIGUSR1");
    await untilShown(
      box,
      "what the daemon says",
      ({ statusText }) => statusText === "2 clients",
    );
    assertMatch(
      logOf(box),
      /cannot be told: \S+: open failed \(Too many open files\), going on/,
    );
  },
});
