/**
 * Commands that crash at the worst moment: at once, while they start, while
 * they are restarted; or that are not there any more by then.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { logged, logOf, MONITORED, shown, successorOf } from "../monitored.ts";
import { childrenOf, isAlive, isAsleep, parentOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

const SLEEPS = ["0", "never"];

/** What happens to the command of a daemon that runs, and how that is undone. */
const ABSENCES: Record<string, {
  readonly strike: (box: Sandbox) => void;
  readonly status: number;
}> = {
  "its interpreter is gone": {
    strike: (box) => Deno.renameSync(box.path("sh"), box.path("away")),
    status: 127,
  },
  "its interpreter may not be executed": {
    strike: (box) => Deno.chmodSync(box.path("sh"), 0o644),
    status: 126,
  },
  "it is gone": {
    strike: (box) => Deno.renameSync(box.path("say"), box.path("away")),
    status: 127,
  },
  "it may not be executed": {
    strike: (box) => Deno.chmodSync(box.path("say"), 0o644),
    status: 126,
  },
  "it is a directory": {
    strike: (box) => {
      Deno.removeSync(box.path("say"));
      Deno.mkdirSync(box.path("say"));
    },
    status: 126,
  },
};

/** Tries moments. */
export async function stormMoments({ seconds }: Budget): Promise<Row[]> {
  const early = new Tally("crashes at once, and after 1 ms");
  const absent = new Tally("restarts of a command that is not there");
  const killed = new Tally("daemons killed while they are started");
  const never = new Tally(
    "commands that end before they are ready: the status",
  );
  const due = new Tally("restarts that come due while the monitor sleeps");
  for (const code of [1, 2, 77, 126, 127, 255]) {
    await never.attempt(`exit ${code}`, () => tryNeverReady(code));
  }
  await due.attempt("--sleep-after=0", tryDue);
  for (const sleep of SLEEPS) {
    for (const wait of ["", "sleep 0.001;"]) {
      await early.attempt(
        `${wait} --sleep-after=${sleep}`,
        () => tryEarly(wait, sleep),
      );
    }
    for (const [what, { strike, status }] of Object.entries(ABSENCES)) {
      await absent.attempt(
        `${what}, --sleep-after=${sleep}`,
        () => tryAbsent(strike, status, sleep),
      );
    }
    await killed.attempt(
      `--sleep-after=${sleep}`,
      () => tryKilled(sleep, seconds * 300),
    );
  }
  return [early, absent, killed, never, due];
}

async function tryEarly(wait: string, sleep: string): Promise<void> {
  await using box = await Sandbox.create();
  const count = 25;
  const { code, stderr } = await box.tend(
    ...["--monitor", "--restart-delay=0", `--restart-limit=${count}/1h`],
    ...[`--sleep-after=${sleep}`, "--pidfile=web.pid", "-v=console:err"],
    ...["--", "sh", "-c", `ulimit -c 0; ${wait} kill -SEGV $$`],
  );
  const said = stderr.trimEnd().split("\n").map((line) =>
    /ERR\|(\d+) crashes: pid \d+ died, killed \(Segmentation fault\), (.*)$/
      .exec(line)?.slice(1)
  );
  assertEquals(said, [
    ...Array.from({ length: count - 1 }, (_, i) => [`${i + 1}`, "restarting"]),
    [`${count}`, `${count} ends within 3600 seconds, giving up`],
  ], stderr);
  assertEquals(code, 139);
  // What is known of it stays, for whoever asks why.
  assertEquals([box.processes(), box.runFiles()], [[], ["web.pid.monitor"]]);
}

/** The caller of a start has the status of a command that has failed. */
async function tryNeverReady(status: number): Promise<void> {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.tend(
    ...[...MONITORED, "--ready=fd=3", "--", "sh", "-c", `exit ${status}`],
  );
  assertEquals(code, status, stderr);
  assertEquals([box.processes(), box.runFiles()], [[], []]);
}

/** Asleep, the deadline alone wakes it. */
async function tryDue(): Promise<void> {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.tend(
    ...[...MONITORED, "--sleep-after=0", "--restart-delay=2s"],
    ...["--", "sleep", "600"],
  );
  assertEquals([code, stderr], [0, ""]);
  const first = box.pidfile("web.pid")!;
  Deno.kill(first, "SIGSEGV");
  // The first restart is at once.
  const second = await successorOf(first, box);
  Deno.kill(second, "SIGSEGV");
  const { monitor } = await box.until("it sleeps and backs off", () => {
    const record = shown(box);
    return record?.phase === "backingOff" && isAsleep(record.monitor) && record;
  });
  const third = await successorOf(second, box);
  assertEquals(parentOf(third), monitor);
}

/** A script with an interpreter of its own, started in the background. */
async function startScript(
  box: Sandbox,
  ...options: string[]
): Promise<number> {
  Deno.copyFileSync("/bin/sh", box.path("sh"));
  writeScript(box);
  const { code, stderr } = await box.tend(
    ...[...MONITORED, "--name=web", "--log-file", "--restart=always"],
    ...[...options, "--", box.path("say")],
  );
  assertEquals([code, stderr], [0, ""]);
  return box.pidfile("web.pid")!;
}

function writeScript(box: Sandbox): void {
  const script = `#!${box.path("sh")}\nexec sleep 600\n`;
  Deno.writeTextFileSync(box.path("new"), script, { mode: 0o755 });
  Deno.renameSync(box.path("new"), box.path("say"));
}

async function tryAbsent(
  strike: (box: Sandbox) => void,
  status: number,
  sleep: string,
): Promise<void> {
  await using box = await Sandbox.create();
  const first = await startScript(
    box,
    "--restart-delay=20ms",
    `--sleep-after=${sleep}`,
  );
  const monitor = parentOf(first);
  await successorOf(undefined, box);
  strike(box);
  Deno.kill(first, "SIGKILL");
  await logged(box, /\|3 crashes/);
  for (const path of ["away", "say", "sh"].map((name) => box.path(name))) {
    await Deno.remove(path).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
  Deno.copyFileSync("/bin/sh", box.path("sh"));
  writeScript(box);
  const second = await box.until("it is back", () => {
    const pid = box.pidfile("web.pid");
    return pid !== first && pid !== undefined &&
      box.holder("web.pid") === pid &&
      isAlive(pid) && box.read(`/proc/${pid}/cmdline`) === "sleep\x00600\x00" &&
      pid;
  });
  assertEquals([parentOf(second), childrenOf(monitor)], [monitor, [second]]);
  const failed: string[] = logOf(box).match(
    /fork child died before signaling startup \(exit status \d+\)/g,
  ) ?? [];
  assert(failed.length >= 2, logOf(box));
  const died = (status: number) =>
    `fork child died before signaling startup (exit status ${status})`;
  assert(failed.includes(died(status)), logOf(box));
  // While one thing is put in another's place there is none for a moment.
  const others = failed.filter((text) =>
    ![status, 127].map(died).includes(text)
  );
  assertEquals(others, []);
}

/** Somebody kills every child of the monitor as soon as there is one. */
async function tryKilled(sleep: string, ms: number): Promise<void> {
  await using box = await Sandbox.create();
  const first = await startScript(
    box,
    "--restart-delay=0",
    `--sleep-after=${sleep}`,
  );
  const monitor = parentOf(first);
  const children = `/proc/${monitor}/task/${monitor}/children`;
  const deadline = Date.now() + ms;
  let kills = 0;
  while (Date.now() < deadline) {
    for (const word of Deno.readTextFileSync(children).split(" ")) {
      if (word === "") continue;
      try {
        // A child of the monitor's that it has not waited for is no other's.
        Deno.kill(Number(word), "SIGKILL");
        kills++;
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert(kills > 0);
  // One that was killed may be seen until it has heard of that.
  await box.until("it has come through", () => {
    const pid = box.pidfile("web.pid");
    return pid !== undefined && box.holder("web.pid") === pid &&
      box.read(`/proc/${pid}/cmdline`) === "sleep\x00600\x00" &&
      `${childrenOf(monitor)}` === `${pid}`;
  });
  assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
  const numbers = [
    ...logOf(box).matchAll(
      /\|(\d+) crashes: pid \d+ died, killed \(Killed\), restarting/g,
    ),
  ]
    .map(([, number]) => Number(number));
  assertEquals(
    numbers,
    numbers.map((_, i) => i + 1),
    "a crash was not counted",
  );
  assert(numbers.length > 0);
}
