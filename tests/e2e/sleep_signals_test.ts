/**
 * Signals at any moment of a monitor that falls asleep and wakes up all the
 * time. Where in that a signal meets it is left to chance; what must come of it
 * is not.
 */
import { assertEquals } from "@std/assert/equals";
import {
  logOf,
  MONITORED,
  SLEEPY,
  startAsleep,
  successorOf,
  untilAsleep,
} from "../monitored.ts";
import { childrenOf, isAlive, parentOf } from "../proc.ts";
import { CANNOT_UNSHARE } from "../program.ts";
import { Random } from "../random.ts";
import { Sandbox, TEND } from "../sandbox.ts";

/** How often a test tries its luck. */
const ROUNDS = Number(Deno.env.get("TEND_TEST_ROUNDS") ?? 25);
/** Longer than a monitor needs to wake up and to fall asleep. */
const CYCLE_MS = 80;

const random = new Random(
  Number(Deno.env.get("TEND_TEST_SEED") ?? Date.now() >>> 0),
);

/** Lets the test go on anywhere in a monitor's cycle. */
function anyMoment(): void {
  const end = performance.now() + random.below(CYCLE_MS * 1000) / 1000;
  while (performance.now() < end) { /* A timer would be too coarse. */ }
}

/** Delays each start of a program, and the end of each start. */
function slowly(box: Sandbox, how: string): string[] {
  const trace = ["-f", "-qq", "-o", box.path("trace")];
  return [
    "strace",
    ...trace,
    ...["execve", "execveat"].map((call) => `--inject=${call}:${how}`),
  ];
}

/** Ways to have more of the time between the two polls. */
const WAYS = {
  "": () => [],
  ", slow to change": (box: Sandbox) => slowly(box, "delay_enter=60000"),
  ", slow to begin": (box: Sandbox) => slowly(box, "delay_exit=60000"),
} as const satisfies Record<string, (box: Sandbox) => string[]>;

/** A command that counts a signal by lines of a file. */
function counter(signal: string, file: string): string[] {
  // One `wait` a signal: the shell does nothing else.
  const script = `trap 'echo >>"$1"' ${signal}; : >"$1"; sleep 600 & p=$!; ` +
    "while kill -0 $p; do wait $p; done";
  return ["sh", "-c", script, "sh", file];
}

/** Starts tend in the foreground, which strace would not let go of otherwise. */
async function startCounting(
  box: Sandbox,
  before: readonly string[],
  signal: string,
): Promise<{ monitor: number; count: string }> {
  const count = box.path("count");
  box.start([
    ...[...before, TEND, "--monitor", "--pidfile=web.pid", "--sleep-after=0"],
    ...["--", ...counter(signal, count)],
  ]);
  await box.until("COMMAND counts", () => box.exists(count));
  return { monitor: parentOf(box.pidfile("web.pid")!), count };
}

for (const [way, before] of Object.entries(WAYS)) {
  Deno.test(`tend --monitor passes each SIGUSR1 on once, asleep or not${way}`, async () => {
    await using box = await Sandbox.create();
    const { monitor, count } = await startCounting(box, before(box), "USR1");
    for (let sent = 1; sent <= ROUNDS; sent++) {
      anyMoment();
      // Those of the same number are one while they wait, so each on its own.
      Deno.kill(monitor, "SIGUSR1");
      const seen = await box.until("it has come", () => {
        const { length } = box.read(count)!;
        return length >= sent && length;
      });
      assertEquals(seen, sent);
    }
    await untilAsleep(box, monitor);
    assertEquals(box.read(count)!.length, ROUNDS);
  });
}

Deno.test("tend --monitor passes different signals on that come at once", async () => {
  await using box = await Sandbox.create();
  const signals = ["HUP", "QUIT", "USR1", "USR2", "ALRM"] as const;
  const traps = signals.map((name) => `trap 'echo ${name} >>"$1"' ${name}`);
  const script = `${traps.join("; ")}; : >"$1"; sleep 600 & p=$!; ` +
    "while kill -0 $p; do wait $p; done";
  const file = box.path("seen");
  const argv = [TEND, ...MONITORED, "--sleep-after=0", "--"];
  const { monitor } = await startAsleep(
    box,
    [...argv, "sh", "-c", script, "sh", file],
  );
  await box.until("COMMAND is ready", () => box.exists(file));
  for (let round = 1; round <= ROUNDS; round++) {
    anyMoment();
    for (const name of signals) {
      anyMoment();
      Deno.kill(monitor, `SIG${name}`);
    }
    const lines = await box.until("all have come", () => {
      const seen = box.read(file)!.trimEnd().split("\n");
      return seen.length >= round * signals.length && seen;
    });
    assertEquals(
      lines.sort(),
      signals.flatMap((name) => Array<string>(round).fill(name)).sort(),
    );
  }
});

/** Starts a daemon that is looked after by a monitor in some state. */
async function startAnyhow(
  box: Sandbox,
): Promise<{ daemon: number; monitor: number }> {
  await box.tend(...SLEEPY, "--", "sleep", "600");
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  anyMoment();
  // Half of them on the way up and down again.
  if (random.below(2) === 1) {
    Deno.kill(monitor, "SIGCHLD");
    anyMoment();
  }
  return { daemon, monitor };
}

/** The monitor has waited for all that was its own. */
async function untilNothingIsLeft(
  box: Sandbox,
  monitor: number,
): Promise<void> {
  await box.until(
    "nothing is left",
    () => !isAlive(monitor) && box.processes().length === 0,
  );
  assertEquals(box.runFiles(), []);
}

Deno.test("tend --monitor ends when SIGTERM comes, asleep or not", async () => {
  await using box = await Sandbox.create();
  for (let i = 0; i < ROUNDS; i++) {
    const { monitor } = await startAnyhow(box);
    Deno.kill(monitor, "SIGTERM");
    await untilNothingIsLeft(box, monitor);
  }
  assertEquals(logOf(box).includes("restarting"), false);
});

Deno.test("tend --monitor never restarts what crashes after SIGTERM, asleep or not", async () => {
  await using box = await Sandbox.create();
  for (let i = 0; i < ROUNDS; i++) {
    const { daemon, monitor } = await startAnyhow(box);
    Deno.kill(monitor, "SIGTERM");
    killIfThere(daemon);
    await untilNothingIsLeft(box, monitor);
  }
  assertEquals(logOf(box).includes("restarting"), false);
});

Deno.test("tend --monitor ends when SIGTERM comes after a crash, asleep or not", async () => {
  await using box = await Sandbox.create();
  for (let i = 0; i < ROUNDS; i++) {
    const { daemon, monitor } = await startAnyhow(box);
    killIfThere(daemon);
    // Restarted or not yet: it ends, and what it has restarted.
    if (i % 2 === 0) anyMoment();
    Deno.kill(monitor, "SIGTERM");
    await untilNothingIsLeft(box, monitor);
  }
});

Deno.test("tend --monitor restarts once when a crash comes at any moment", async () => {
  await using box = await Sandbox.create();
  for (let i = 0; i < ROUNDS; i++) {
    const { daemon, monitor } = await startAnyhow(box);
    Deno.kill(daemon, "SIGSEGV");
    const second = await successorOf(daemon, box);
    assertEquals([parentOf(second), box.holder("web.pid")], [monitor, second]);
    await untilAsleep(box, monitor);
    Deno.kill(monitor, "SIGTERM");
    await untilNothingIsLeft(box, monitor);
  }
  assertEquals(logOf(box).match(/restarting/g)?.length, ROUNDS);
});

for (const [way, before] of Object.entries(WAYS).slice(1)) {
  Deno.test(`tend --monitor ends when SIGTERM and a crash come together${way}`, async () => {
    await using box = await Sandbox.create();
    for (let i = 0; i < Math.ceil(ROUNDS / 5); i++) {
      const { monitor } = await startCounting(box, before(box), "USR1");
      const daemon = box.pidfile("web.pid")!;
      anyMoment();
      Deno.kill(monitor, "SIGTERM");
      killIfThere(daemon);
      // What the shell of the command has started is nobody's.
      await box.until(
        "both have ended",
        () => !isAlive(monitor) && !isAlive(daemon),
      );
      assertEquals(box.runFiles(), []);
      Deno.removeSync(box.path("count"));
    }
  });
}

Deno.test({
  name: "tend --monitor waits for orphans in its sleep when it is PID 1",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const done = box.path("done");
    const script = `trap '(sh -c "sleep 0.1; : >$1" &)' USR1; ` +
      "sleep 600 & p=$!; while kill -0 $p; do wait $p; done";
    const user = Deno.uid() === 0 ? [] : ["--user", "--map-root-user"];
    const unshare = ["unshare", ...user, "--pid", "--fork", "--mount-proc"];
    box.start([
      ...[...unshare, "--kill-child", TEND, "--monitor", "--pidfile=web.pid"],
      ...["--sleep-after=0", "--", "sh", "-c", script, "sh", done],
    ]);
    const daemon = await box.until("it runs", () => box.holder("web.pid"));
    const monitor = parentOf(daemon);
    await untilAsleep(box, monitor);
    await box.until("its child runs", () => childrenOf(daemon).length === 1);
    Deno.kill(monitor, "SIGUSR1");
    await box.until("the orphan has ended", () => box.exists(done));
    await box.until("no zombie is left", () => {
      const file = `/proc/${monitor}/task/${monitor}/children`;
      return Deno.readTextFileSync(file).trim() === String(daemon);
    });
    await untilAsleep(box, monitor);
    assertEquals(isAlive(daemon), true);
  },
});

function killIfThere(pid: number): void {
  try {
    Deno.kill(pid, "SIGSEGV");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
