import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertNotEquals } from "@std/assert/not-equals";
import {
  LOGGED,
  logged,
  logOf,
  type Monitored,
  shown,
  SLEEPY,
  startAsleep,
  successorOf,
  untilAsleep,
  untilShown,
} from "../monitored.ts";
import { intervalIn, sayFor, variablesOf } from "../notify.ts";
import { freeze, isAlive, isAsleep, parentOf, titleOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const AWAKE = [...LOGGED, "--sleep-after=never"];
/** Nobody waits for so long here. */
const LONG = "--watchdog=1000s";
const LONG_MS = 1_000_000;
const SLEEP = ["--", "sleep", "600"];

/** Starts a daemon that has to say that it works. */
async function start(
  box: Sandbox,
  ...options: readonly string[]
): Promise<Monitored> {
  const { code, stderr } = await box.tend(...options, ...SLEEP);
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  if (options.includes("--sleep-after=0")) await untilAsleep(box, monitor);
  return { daemon, monitor };
}

/** Which program a process executes: each sleep has a file of its own. */
function imageOf(pid: number): number | null {
  return Deno.statSync(`/proc/${pid}/exe`).ino;
}

/** Has a daemon hang so that SIGABRT does not end it. */
async function hang(box: Sandbox, daemon: number): Promise<void> {
  await freeze(box, daemon);
  sayFor(daemon, "WATCHDOG=trigger");
  await untilShown(box, "that it hangs", ({ phase }) => phase === "hung");
}

Deno.test("tend --watchdog tells a command how often to say that it works", async () => {
  await using box = await Sandbox.create();
  const env = {
    NOTIFY_SOCKET: "/run/systemd/notify",
    WATCHDOG_USEC: "1",
    WATCHDOG_PID: "1",
  };
  const ours = (pid: number) => {
    const variables = variablesOf(pid);
    return Object.keys(env).map((name) => variables.get(name));
  };
  await box.run([TEND, ...LOGGED, "--watchdog=2500ms", ...SLEEP], { env });
  const first = box.pidfile("web.pid")!;
  const [socket, ...rest] = ours(first);
  assertMatch(socket!, /^@tend\/notify\//);
  assertEquals(rest, ["2500000", `${first}`]);
  // Each has its own.
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  const [other, ...others] = ours(second);
  assertNotEquals(other, socket);
  assertEquals(others, ["2500000", `${second}`]);
  assertEquals((await box.tend("stop", "web")).code, 0);

  const given = ["--clear-env", "--env=WATCHDOG_PID=7", "--env=A=B"];
  await box.run([TEND, ...LOGGED, LONG, ...given, ...SLEEP], { env });
  const third = box.pidfile("web.pid")!;
  assertEquals([...variablesOf(third).keys()].sort(), [
    "A",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
  ]);
  assertEquals(ours(third).slice(1), ["1000000000", `${third}`]);
  assertEquals((await box.tend("stop", "web")).code, 0);

  // Without it, what a service manager above us wants is not for the command.
  const ready = "systemd-notify --ready; exec sleep 600";
  const command = [TEND, ...LOGGED, "--ready=notify", "--", "sh", "-c", ready];
  await box.run(command, { env });
  const fourth = ours(box.pidfile("web.pid")!);
  assertEquals(fourth.slice(1), [undefined, undefined]);
});

for (const [state, options] of Object.entries({ AWAKE, SLEEPY })) {
  Deno.test(`tend --watchdog begins an interval when the daemon says that it works, ${state}`, async () => {
    await using box = await Sandbox.create();
    const { daemon, monitor } = await start(box, ...options, LONG);
    const image = imageOf(monitor);
    for (let i = 0; i < 3; i++) {
      const before = await box.until("some time has passed", () => {
        const { left } = intervalIn(box, monitor);
        return left < LONG_MS - 50 && left;
      });
      sayFor(daemon, "WATCHDOG=1");
      await box.until(
        "another interval has begun",
        () => intervalIn(box, monitor).left > before,
      );
    }
    assertEquals([box.pidfile("web.pid"), shown(box)?.crashes], [daemon, 0]);
    // It was not woken up for it.
    assertEquals(imageOf(monitor), image);
    assertEquals(isAsleep(monitor), state === "SLEEPY");
  });

  Deno.test(`tend --watchdog kills and restarts a daemon that says nothing, ${state}`, async () => {
    await using box = await Sandbox.create();
    const script = 'echo "$TEND_END" >>ends';
    await box.tend(
      ...[
        ...options,
        "--watchdog=300ms",
        `--on-crash=cd ${box.dir}; ${script}`,
      ],
      ...SLEEP,
    );
    const { pid, crashes, lastEnd, restarts } = await untilShown(
      box,
      "that the second has crashed, too",
      ({ phase, crashes }) => phase === "backingOff" && crashes === 2,
    );
    const how = "hung (no WATCHDOG=1 within 0.3 s), killed (Aborted)";
    assertEquals([crashes, lastEnd?.text, restarts], [2, how, 0]);
    const log = logOf(box);
    assertMatch(log, /WARN\|pid \d+ hung \(.*\), ending it by SIGABRT\n/);
    const [, first] =
      /ERR\|1 crashes: pid (\d+) hung \(no WATCHDOG=1 within 0\.3 s\), killed \(Aborted\), restarting\n/
        .exec(log)!;
    assertNotEquals(Number(first), pid);
    await logged(
      box,
      `2 crashes: pid ${pid} ${how}, waiting until 10 seconds since last`,
    );
    await box.until(
      "the script has run twice",
      () => box.read(box.path("ends")) === `${how}\n${how}\n`,
    );
  });

  Deno.test(`tend --watchdog kills a daemon that says itself that it hangs, ${state}`, async () => {
    await using box = await Sandbox.create();
    const { daemon, monitor } = await start(box, ...options, LONG);
    sayFor(daemon, "WATCHDOG=trigger");
    await successorOf(daemon, box);
    const why = "hung (WATCHDOG=trigger), killed (Aborted)";
    await logged(box, `1 crashes: pid ${daemon} ${why}, restarting`);
    assertEquals([isAlive(monitor), shown(box)?.crashes], [true, 1]);
  });

  Deno.test(`tend --watchdog has a daemon change how often it says that it works, ${state}`, async () => {
    await using box = await Sandbox.create();
    const { daemon, monitor } = await start(box, ...options, LONG);
    const all = (ms: number) =>
      box.until(
        `the interval is ${ms} ms`,
        () => intervalIn(box, monitor).all === ms,
      );
    await all(LONG_MS);
    sayFor(daemon, "WATCHDOG_USEC=7000000000");
    await all(7_000_000);
    sayFor(daemon, "WATCHDOG_USEC=0");
    await all(0);
    // Then it is for this one alone.
    Deno.kill(daemon, "SIGSEGV");
    await successorOf(daemon, box);
    await all(LONG_MS);
  });
}

Deno.test("tend --watchdog hears what a daemon says beside that it works, asleep", async () => {
  await using box = await Sandbox.create();
  const { daemon } = await start(box, ...SLEEPY, LONG);
  sayFor(daemon, "WATCHDOG=1");
  sayFor(daemon, "WATCHDOG=1\nSTATUS=at work");
  await untilShown(box, "its status", (r) => r.statusText === "at work");
});

Deno.test("tend --watchdog falls asleep while a daemon says that it works", async () => {
  await using box = await Sandbox.create();
  const options = [...LOGGED, "--sleep-after=300ms", LONG];
  const { daemon, monitor } = await start(box, ...options);
  await box.until("the monitor sleeps", () => {
    sayFor(daemon, "WATCHDOG=1");
    return isAsleep(monitor);
  });
});

Deno.test("tend --watchdog does not count the time before a daemon is ready", async () => {
  await using box = await Sandbox.create();
  const wait = 'until test -e "$1"; do sleep 0.01; done; echo >&3; sleep 600';
  const running = box.start([
    TEND,
    ...AWAKE,
    LONG,
    "--ready=fd=3",
    ...["--", "sh", "-c", wait, "sh", box.path("go")],
  ]);
  const { pid, monitor } = await untilShown(
    box,
    "that it is not ready",
    ({ phase }) => phase === "notReady",
  );
  sayFor(pid, "WATCHDOG=1");
  // It is heard after what came before it.
  sayFor(pid, "STATUS=soon");
  await untilShown(box, "its status", (r) => r.statusText === "soon");
  assertEquals(intervalIn(box, monitor), { all: 0, left: 0 });
  await Deno.writeTextFile(box.path("go"), "");
  assertEquals((await running.finished()).code, 0);
  assertEquals(intervalIn(box, monitor).all, LONG_MS);
});

Deno.test("tend --watchdog ends a first start that says that it hangs", async () => {
  await using box = await Sandbox.create();
  const running = box.start([
    TEND,
    ...LOGGED,
    LONG,
    "--ready=notify",
    ...SLEEP,
  ]);
  const { pid } = await untilShown(
    box,
    "that it is not ready",
    ({ phase }) => phase === "notReady",
  );
  sayFor(pid, "WATCHDOG=trigger");
  const { code, stderr } = await running.finished();
  const why = "hung (WATCHDOG=trigger)";
  assertEquals(code, 1);
  assertEquals(
    stderr.split("\n").at(-2),
    `tend: web: ${why}, killed (Aborted)`,
  );
  assertEquals([isAlive(pid), box.runFiles()], [false, []]);
});

Deno.test("tend --watchdog without a monitor ends as one that has failed", async () => {
  await using box = await Sandbox.create();
  const hung = /pid \d+ hung \(no WATCHDOG=1 within 0\.2 s\), /;
  const killed = await box.tend("--watchdog=200ms", ...SLEEP);
  assertEquals(killed.code, 128 + 6);
  assertMatch(
    killed.stderr,
    new RegExp(`${hung.source}killed \\(Aborted\\)\n$`),
  );
  // Whoever ends well then has not done its work.
  const script = 'trap "exit 0" ABRT; while :; do sleep 0.05; done';
  const ended = await box.tend("--watchdog=200ms", "--", "sh", "-c", script);
  assertEquals(ended.code, 1);
  assertMatch(ended.stderr, new RegExp(`${hung.source}exit status 0\n$`));
  assertEquals(box.processes(), []);
});

Deno.test("tend --watchdog kills a daemon that SIGABRT does not end", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await start(box, ...LOGGED, LONG);
  await hang(box, daemon);
  assertEquals(
    titleOf(monitor),
    `tend: monitoring pid ${daemon} (hung (WATCHDOG=trigger))`,
  );
  const { stdout, code } = await box.tend("status", "web");
  assertMatch(stdout, /\nweb +hung +\d+ /);
  assertEquals(code, 0);
  await successorOf(daemon, box);
  await logged(box, `pid ${daemon} does not end by SIGABRT, killing it`);
  await logged(box, `pid ${daemon} hung (WATCHDOG=trigger), killed (Killed)`);
});

for (const verb of ["stop", "restart"]) {
  Deno.test(`tend ${verb} wins over the restart of a daemon that hangs`, async () => {
    await using box = await Sandbox.create();
    const { daemon } = await start(box, ...LOGGED, LONG);
    await hang(box, daemon);
    const { code, stderr } = await box.tend(verb, "--timeout=100ms", "web");
    assertEquals([code, isAlive(daemon)], [0, false], stderr);
    const record = shown(box);
    if (verb === "stop") {
      assertEquals([record, box.runFiles()], [undefined, []]);
    } else {
      assertEquals([record?.restarts, record?.crashes], [1, 0]);
    }
  });
}

Deno.test({
  name: "tend --watchdog does not believe another user",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using box = await Sandbox.create();
    const { daemon, monitor } = await startAsleep(
      box,
      [TEND, ...SLEEPY, LONG, ...SLEEP],
    );
    const say = async (user: number, message: string) => {
      const { code, stderr } = await box.run(
        ["setpriv", `--reuid=${user}`, "--clear-groups", "systemd-notify"]
          .concat("--no-block", message),
        { env: { NOTIFY_SOCKET: variablesOf(daemon).get("NOTIFY_SOCKET")! } },
      );
      assertEquals([code, stderr], [0, ""]);
    };
    const { left } = intervalIn(box, monitor);
    await say(65534, "WATCHDOG=trigger");
    await say(65534, "WATCHDOG=1");
    await logged(box, "ignored a notification of user 65534");
    // It is heard after those.
    sayFor(daemon, "STATUS=fine");
    await untilShown(box, "its status", (r) => r.statusText === "fine");
    assertEquals(intervalIn(box, monitor).left < left, true);
    assertEquals(box.pidfile("web.pid"), daemon);
  },
});

Deno.test("tend --watchdog does not blame a daemon for what it was held up itself", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await start(box, ...AWAKE, "--watchdog=3s");
  Deno.kill(monitor, "SIGSTOP");
  const since = Date.now();
  await box.until("the time is long over", () => Date.now() > since + 4500);
  Deno.kill(monitor, "SIGCONT");
  await box.until("another interval has begun", () => {
    const { left } = intervalIn(box, monitor);
    return left > 2000;
  });
  sayFor(daemon, "WATCHDOG=1");
  sayFor(daemon, "STATUS=fine");
  await untilShown(box, "its status", (r) => r.statusText === "fine");
  assertEquals([box.pidfile("web.pid"), shown(box)?.crashes], [daemon, 0]);
});

const WRONG: readonly [options: string[], message: string][] = [
  [["--watchdog=0"], "option --watchdog=0: no time at all"],
  [["--watchdog=soon"], "option --watchdog=soon: not a duration"],
  [["--watchdog="], "option --watchdog has an empty value"],
  [["--watchdog=1s", "--exec", "--pidfile"], "--exec and --watchdog exclude"],
];

for (const [options, message] of WRONG) {
  Deno.test(`tend ${options.join(" ")} is wrong usage`, async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.tend(...options, "--", "touch", "made");
    assertEquals(code, 2);
    assertEquals(stderr.includes(message), true, stderr);
    assertEquals([box.exists(box.path("made")), box.runFiles()], [false, []]);
  });
}
