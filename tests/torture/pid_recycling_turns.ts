/**
 * What `pid_recycling.ts` has run in a PID namespace.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { childrenOf, isAlive, isAsleep, parentOf } from "../proc.ts";
import { logged, MONITORED, request, shown, untilShown } from "../monitored.ts";
import { Random } from "../random.ts";
import { Sandbox } from "../sandbox.ts";
import { Bystander, isThere, recycledUnder } from "./bystander.ts";
import type { Turn } from "./pid_recycling.ts";
import { LATE_TURNS } from "./pid_recycling_late.ts";

const SLEEP = ["--", "sleep", "600"];
const START = [...MONITORED, "--name=web", "--log-file"];

/** Starts a daemon whose monitor backs off: its last pid is nobody's. */
async function backingOff(box: Sandbox, sleep: string) {
  const options = [`--sleep-after=${sleep}`, "--restart-delay=1h"];
  const { stderr } = await box.tend(...START, ...options, ...SLEEP);
  assertEquals(stderr, "");
  const first = box.pidfile("web.pid")!;
  const monitor = parentOf(first);
  Deno.kill(first, "SIGSEGV");
  const { pid } = await untilShown(
    box,
    "another daemon",
    ({ pid, phase }) => pid !== first && phase === "running",
  );
  Deno.kill(pid, "SIGSEGV");
  await untilShown(box, "backingOff", ({ phase }) => phase === "backingOff");
  if (sleep === "0") await box.until("it sleeps", () => isAsleep(monitor));
  return { monitor, daemon: pid };
}

/** Verbs that signal a daemon, or its monitor where there is one. */
const SENDERS: readonly (readonly string[])[] = [
  ["stop", "web"],
  ["kill", "--signal=USR1", "web"],
  ["restart", "web"],
];

/** Each leads to signals where a pid is another's. */
const TURNS: Record<string, (box: Sandbox, sleep: string) => Promise<void>> = {
  "signals to a monitor that backs off": async (box, sleep) => {
    const { monitor, daemon } = await backingOff(box, sleep);
    const bystander = await Bystander.withPid(box, daemon);
    for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const) {
      Deno.kill(monitor, signal);
    }
    Deno.kill(monitor, "SIGTERM");
    await box.until("the monitor has ended", () => !isAlive(monitor));
    bystander.assertUnharmed();
  },
  "a restart that is wanted of a monitor that backs off": async (
    box,
    sleep,
  ) => {
    const { monitor, daemon } = await backingOff(box, sleep);
    const bystander = await Bystander.withPid(box, daemon);
    request(box, "restart");
    const { pid } = await untilShown(
      box,
      "a daemon",
      ({ phase }) => phase === "running",
    );
    assertEquals(childrenOf(monitor), [pid]);
    request(box, "stop");
    await box.until("the monitor has ended", () => !isAlive(monitor));
    bystander.assertUnharmed();
  },
  "a stop that is wanted of a monitor that backs off": async (box, sleep) => {
    const { monitor, daemon } = await backingOff(box, sleep);
    const bystander = await Bystander.withPid(box, daemon);
    request(box, "stop");
    await box.until("the monitor has ended", () => !isAlive(monitor));
    bystander.assertUnharmed();
  },
  "a start where all were killed, and both pids are another's": async (
    box,
    sleep,
  ) => {
    await box.tend(...START, `--sleep-after=${sleep}`, ...SLEEP);
    const daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);
    Deno.kill(monitor, "SIGKILL");
    Deno.kill(daemon, "SIGKILL");
    const bystanders = [
      await Bystander.withPid(box, monitor),
      await Bystander.withPid(box, daemon),
    ];
    assertEquals(shown(box), undefined);
    const { code, stderr } = await box.tend(...START, ...SLEEP);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(
      bystanders.some(({ pid }) => pid === box.pidfile("web.pid")),
      false,
    );
    const now = shown(box)!.monitor;
    request(box, "stop");
    await box.until("it has ended", () => !isAlive(now));
    bystanders.forEach((bystander) => bystander.assertUnharmed());
  },
  ...Object.fromEntries(SENDERS.map((verb) => [
    `tend ${verb[0]} of a daemon and its monitor that end just then`,
    async (box: Sandbox, sleep: string) => {
      await box.tend(...START, `--sleep-after=${sleep}`, ...SLEEP);
      const daemon = box.pidfile("web.pid")!;
      // The monitor first: it would start another daemon.
      await recycledUnder(box, [parentOf(daemon), daemon], verb);
    },
  ])),
  "tend stop of a daemon alone that ends just then": async (box) => {
    await box.tend("--detach", "--exec", "--pidfile=web.pid", ...SLEEP);
    await recycledUnder(box, [box.pidfile("web.pid")!], ["stop", "web"]);
  },
  "a daemon that gets the pid of the one before": async (box, sleep) => {
    const options = ["--restart-delay=100ms", `--sleep-after=${sleep}`];
    await box.tend(...START, ...options, ...SLEEP);
    const daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);
    Deno.kill(daemon, "SIGSEGV");
    await logged(box, "1 crashes");
    const { pid } = await untilShown(
      box,
      "the next",
      ({ phase, crashes }) => phase === "running" && crashes === 1,
    );
    Deno.kill(pid, "SIGSEGV");
    // It is the same number for each that comes next, if it is free.
    await box.until("there is another", () => {
      if (!isThere(`/proc/${pid}`)) {
        Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", `${pid - 1}`);
      }
      const record = shown(box);
      return record?.crashes === 2 && record.phase === "running";
    });
    const last = box.pidfile("web.pid")!;
    assertEquals([box.holder("web.pid"), parentOf(last)], [last, monitor]);
    request(box, "stop");
    await box.until("it has ended", () => !isAlive(monitor));
    assertEquals([isAlive(last), box.runFiles()], [false, []]);
  },
  ...LATE_TURNS,
};

const [seconds = "1", seed = "1"] = Deno.args;
const deadline = Date.now() + Number(seconds) * 1000;
const random = new Random(Number(seed));
const turns: Turn[] = [];
do {
  for (const [what, turn] of random.shuffled(Object.entries(TURNS))) {
    const sleep = random.pick(["0", "never"]);
    let failure: string | undefined;
    try {
      await using box = await Sandbox.create();
      await turn(box, sleep);
    } catch (error) {
      failure = error instanceof Error ? error.message : `${error}`;
    }
    turns.push({ what: `${what}, --sleep-after=${sleep}`, failure });
  }
} while (Date.now() < deadline);
console.log(JSON.stringify(turns));
