import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  LOGGED,
  logged,
  logOf,
  MONITORED,
  startBackingOff,
  successorOf,
} from "../monitored.ts";
import { fdsOf, freeze, isAlive, look, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

/** Starts a monitored daemon with a log, COMMAND being a file of the box. */
async function startOwn(box: Sandbox): Promise<
  { command: string; daemon: number; monitor: number }
> {
  const command = box.path("web");
  Deno.copyFileSync("/bin/sleep", command);
  await box.tend(...LOGGED, "--", command, "600");
  const daemon = box.pidfile("web.pid")!;
  return { command, daemon, monitor: parentOf(daemon) };
}

/** What stands in `/proc/PID/fdinfo` of a process's timer, when it is set. */
function timerOf(pid: number): string | undefined {
  const [fd] = [...fdsOf(pid)]
    .find(([, file]) => file === "anon_inode:[timerfd]") ?? [];
  if (fd === undefined) return undefined;
  const info = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${fd}`);
  return /^it_value: \(0, 0\)$/m.test(info) ? undefined : info;
}

Deno.test("tend --monitor throttles when a restart finds COMMAND gone", async () => {
  await using box = await Sandbox.create();
  const { command, daemon, monitor } = await startOwn(box);
  Deno.removeSync(command);
  Deno.kill(daemon, "SIGSEGV");
  await box.until("the monitor backs off", () => timerOf(monitor));
  assertMatch(
    logOf(box),
    /ERR\|fork child died before signaling startup \(exit status 127\)\n.*WARN\|2 crashes: pid \d+ died, exit status 127, waiting until 10 seconds since last restart\n/,
  );
});

Deno.test("tend --monitor throttles when a restart may not execute COMMAND", async () => {
  await using box = await Sandbox.create();
  const { command, daemon, monitor } = await startOwn(box);
  Deno.chmodSync(command, 0o644);
  Deno.kill(daemon, "SIGSEGV");
  await box.until("the monitor backs off", () => timerOf(monitor));
  assertStringIncludes(
    logOf(box),
    `EMER|${command}: exec failed (Permission denied)\n`,
  );
  assertStringIncludes(logOf(box), "died, exit status 126, waiting until");
});

Deno.test("tend --monitor leaves no pidfile when a restart failed", async () => {
  await using box = await Sandbox.create();
  const { command, daemon, monitor } = await startOwn(box);
  Deno.removeSync(command);
  Deno.kill(daemon, "SIGSEGV");
  await box.until("the monitor backs off", () => timerOf(monitor));
  assertEquals(box.runFiles(), ["web.pid.monitor"]);
});

Deno.test("tend --monitor tries again after 10 seconds when a restart failed", async () => {
  await using box = await Sandbox.create();
  const { command, daemon, monitor } = await startOwn(box);
  Deno.renameSync(command, `${command}.away`);
  const start = performance.now();
  Deno.kill(daemon, "SIGSEGV");
  await box.until("the monitor backs off", () => timerOf(monitor));
  Deno.renameSync(`${command}.away`, command);
  const second = await successorOf(daemon, box);
  assert(performance.now() - start >= 10_000);
  assertEquals(parentOf(second), monitor);
});

Deno.test("tend --monitor fails for good when the first start fails", async () => {
  await using box = await Sandbox.create();
  const command = box.path("web");
  Deno.writeTextFileSync(command, "#!/no/such/interpreter\n", { mode: 0o755 });
  const { code } = await box.tend(...MONITORED, "--", command);
  assertEquals(code, 127);
  assertEquals([...box.runFiles(), ...box.processes()], []);
});

Deno.test("tend --monitor removes the pidfile of a daemon that SIGKILL ended", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--", "sleep", "600");
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  Deno.kill(daemon, "SIGKILL");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assertEquals(box.runFiles(), []);
  assertStringIncludes(
    logOf(box),
    `WARN|${
      box.runPath("web.pid")
    }: removed, pid ${daemon} had left it behind\n`,
  );
});

Deno.test("tend --monitor ends when SIGTERM comes while it backs off", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startBackingOff(box);
  Deno.kill(monitor, "SIGTERM");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assertMatch(
    logOf(box),
    /INFO\|2 crashes: .*, told not to restart, exiting\n$/,
  );
  assertEquals([...box.runFiles(), ...box.processes()], []);
});

Deno.test("tend --monitor goes on backing off when SIGHUP comes", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startBackingOff(box);
  const before = logOf(box);
  Deno.kill(monitor, "SIGHUP");
  await box.until(
    "it has taken the signal",
    () => look(monitor)?.status.get("ShdPnd") === "0000000000000000",
  );
  assert(timerOf(monitor));
  assertEquals(logOf(box), before);
});

for (
  const [order, steps] of [
    ["right before", ["stop", "crash"]],
    ["right after", ["crash", "stop"]],
  ] as const
) {
  Deno.test(`tend --monitor does not restart when SIGTERM comes ${order} a crash`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, "--", "sleep", "600");
    const daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);
    // Asleep, it finds both at once.
    await freeze(box, monitor);
    for (const step of steps) {
      if (step === "stop") Deno.kill(monitor, "SIGTERM");
      else Deno.kill(daemon, "SIGSEGV");
      await box.until(
        "that has happened",
        () => step === "stop" || !isAlive(daemon),
      );
    }
    Deno.kill(monitor, "SIGCONT");
    await box.until("all have ended", () => box.processes().length === 0);
    assertEquals(logOf(box).includes("restarting"), false);
    assertEquals(box.runFiles(), []);
  });
}

Deno.test("tend --monitor does not restart a daemon that crashes of SIGTERM", async () => {
  await using box = await Sandbox.create();
  const ready = box.path("ready");
  const script = 'trap "kill -SEGV $$" TERM; : >"$1"; ' +
    "while :; do sleep 0.01; done";
  await box.tend(...LOGGED, "--", "sh", "-c", script, "sh", ready);
  await box.until("the trap is set", () => box.read(ready) !== undefined);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  Deno.kill(monitor, "SIGTERM");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assertMatch(
    logOf(box),
    /^[^\n]*INFO\|pid \d+ died, killed \(Segmentation fault\)[^\n]*, exiting\n$/,
  );
});

Deno.test("tend --monitor throttles by a clock that nobody sets", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startBackingOff(box);
  const CLOCK_BOOTTIME = 7;
  assertMatch(
    timerOf(monitor) ?? "",
    new RegExp(`^clockid: ${CLOCK_BOOTTIME}$`, "m"),
  );
});

Deno.test("tend --log-file goes on in a new file when the log was rotated", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--", "sleep", "600");
  const log = box.path("log/web.log");
  Deno.renameSync(log, `${log}.1`);
  const daemon = box.pidfile("web.pid")!;
  Deno.kill(daemon, "SIGSEGV");
  await successorOf(daemon, box);
  await logged(box, `pid ${daemon} died`);
  assertEquals(box.read(`${log}.1`), "");
});

Deno.test("tend --monitor without --detach keeps the standard descriptors", async () => {
  await using box = await Sandbox.create();
  const argv = ["--monitor", "--pidfile=web.pid", "--", "sleep", "600"];
  const { pid } = box.start([TEND, ...argv]);
  const first = await successorOf(undefined, box);
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  assertEquals(parentOf(second), pid);
  const given = ["/dev/null", box.path("0.out"), box.path("0.err")];
  assertEquals(standardFdsOf(pid), given);
  assertEquals(standardFdsOf(second), given);
});

function standardFdsOf(pid: number): (string | undefined)[] {
  const fds = fdsOf(pid);
  return [0, 1, 2].map((fd) => fds.get(fd));
}

for (const option of ["--monitor", "--pidfile=web.pid", "--exec"]) {
  Deno.test(`tend --detach ${option} does not make COMMAND a session leader`, async () => {
    await using box = await Sandbox.create();
    const options = ["--detach", "--pidfile=web.pid", option];
    await box.tend(...options, "--", "sleep", "600");
    const daemon = box.pidfile("web.pid")!;
    assertNotEquals(look(daemon)?.session, daemon);
  });
}

for (
  const [call, errno, reason] of [
    ["setsid", "EPERM", "Operation not permitted"],
    ["chdir", "EACCES", "Permission denied"],
  ] as const
) {
  Deno.test(`tend --detach --monitor says once that ${call} failed`, async () => {
    await using box = await Sandbox.create();
    const trace = `--inject=${call}:error=${errno}`;
    const strace = ["strace", "-f", "-qq", "-o", box.path("trace"), trace];
    const { code, stderr } = await box.run(
      [...strace, TEND, ...MONITORED, "--", "sleep", "600"],
    );
    assertEquals([code, stderr], [
      1,
      `tend: could not detach from foreground session: ${call} failed (${reason})\n`,
    ]);
    assertEquals([...box.runFiles(), ...box.processes()], []);
  });
}
