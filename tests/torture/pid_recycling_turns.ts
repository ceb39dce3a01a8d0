/**
 * What `pid_recycling.ts` has run in a PID namespace.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { childrenOf, isAlive, isAsleep, look, parentOf } from "../proc.ts";
import { logged, MONITORED, request, shown, untilShown } from "../monitored.ts";
import { Random } from "../random.ts";
import { type Running, Sandbox, TEND } from "../sandbox.ts";
import type { Turn } from "./pid_recycling.ts";

/** It writes down every signal that comes; SIGKILL and SIGSTOP show otherwise. */
const BYSTANDER = `
for signal in $(seq 1 64); do
  case $signal in 9|17|19|32|33) continue;; esac
  trap "echo $signal >>'$1'" $signal
done
: >"$1.ready"
while :; do sleep 600 & wait $!; done`;

/** A process that has nothing to do with any of it. */
class Bystander {
  readonly pid: number;
  readonly #box: Sandbox;
  readonly #file: string;

  private constructor(box: Sandbox, { pid }: Running, file: string) {
    this.pid = pid;
    this.#box = box;
    this.#file = file;
  }

  /** Starts one as this very pid, which has to be free. */
  static async withPid(box: Sandbox, pid: number): Promise<Bystander> {
    await box.until(`pid ${pid} is free`, () => !isThere(`/proc/${pid}`));
    const file = box.path(`bystander${pid}`);
    // Threads take pids too, so the next one may be lost to one of those.
    const running = await box.until(`pid ${pid} is another's`, () => {
      Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", `${pid - 1}`);
      const running = box.start([
        // It leads a group: a signal to that of its number is one to it.
        ...["setsid", "bash", "-c", BYSTANDER, "bash", file],
      ]);
      if (running.pid === pid) return running;
      Deno.kill(running.pid, "SIGKILL");
      return false;
    });
    const bystander = new Bystander(box, running, file);
    await box.until("it is ready", () => box.exists(`${file}.ready`));
    return bystander;
  }

  /** Asserts that nobody has sent it anything. */
  assertUnharmed(): void {
    assertEquals(this.#box.read(this.#file), undefined, "it got signals");
    assertEquals(look(this.pid)?.state, "S", "it does not run any more");
  }

  /** Ends it. */
  async end(): Promise<void> {
    Deno.kill(this.pid, "SIGKILL");
    await this.#box.until("it has gone", () => !isThere(`/proc/${this.pid}`));
  }
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

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

/** The calls that send a signal: one that is held back gets no further. */
const SENDING: Readonly<Record<string, number>> = {
  pidfd_send_signal: 424,
  rt_sigqueueinfo: Deno.build.arch === "aarch64" ? 138 : 129,
  kill: Deno.build.arch === "aarch64" ? 129 : 62,
};
/**
 * Runs a verb, and has those end whom it is about to signal: when it does, their
 * pids are another's.
 */
async function recycledUnder(
  box: Sandbox,
  pids: readonly number[],
  ...verb: string[]
): Promise<void> {
  const calls = Object.keys(SENDING).join();
  const strace = box.start([
    ...["strace", "-qq", "-o", "/dev/null", "-e", `trace=${calls}`, "-e"],
    ...[`inject=${calls}:delay_enter=60s`, TEND, ...verb],
  ]);
  const sender = await box.until(
    "it is about to send",
    () =>
      childrenOf(strace.pid).find((pid) => {
        // First this: before strace's child is the verb, it stops itself by a
        // signal too.
        if (look(pid)?.status.get("Name") !== "tend") return false;
        const call = box.read(`/proc/${pid}/syscall`)?.split(" ")[0];
        return Object.values(SENDING).includes(Number(call));
      }),
  );
  pids.forEach((pid) => Deno.kill(pid, "SIGKILL"));
  const bystanders: Bystander[] = [];
  for (const pid of pids) bystanders.push(await Bystander.withPid(box, pid));
  assertEquals(isAlive(sender), true, "it has sent already");
  // Without its tracer it goes on.
  Deno.kill(strace.pid, "SIGKILL");
  await box.until("the verb has ended", () => !isAlive(sender));
  assertEquals(/^ +at /m.test(strace.stderr()), false, strace.stderr());
  bystanders.forEach((bystander) => bystander.assertUnharmed());
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
      await recycledUnder(box, [parentOf(daemon), daemon], ...verb);
    },
  ])),
  "tend stop of a daemon alone that ends just then": async (box) => {
    await box.tend("--detach", "--pidfile=web.pid", ...SLEEP);
    await recycledUnder(box, [box.pidfile("web.pid")!], "stop", "web");
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
    if (Date.now() > deadline) break;
  }
} while (Date.now() < deadline);
console.log(JSON.stringify(turns));
