import { assertEquals } from "@std/assert/equals";
import { close } from "../../ffi/descriptor.ts";
import { pidfdOpen, pidfdSendSignal } from "../../ffi/pidfd.ts";
import { Signal } from "../../ffi/signal.ts";
import { childrenOf, isAlive, look, signalsIn } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { Sleeper, type SleeperOptions } from "../sleepers.ts";
import "../open_libc.ts";

/** Says whether it gets so far, by the file `ok`; else how it was started. */
const PROGRAM = `
  if [ "$HOW" = trial ]; then test -e ok && exit 123; exit 1; fi
  echo "awake as $$, $HOW"`;

/** The daemons' answer to SIGTERM and SIGUSR1. */
const DAEMON = `
  trap "exit 7" TERM
  trap "echo >>passed" USR1
  echo >started
  while :; do sleep 0.05; done`;

const RECORD = `
  const recordFd = open("record", 2 | O_CREAT, 0o600);
  setCloseOnExec(recordFd, false);`;

const GUARDED: SleeperOptions = {
  before: `const daemon = new Deno.Command("sh", {
    args: ["-c", ${JSON.stringify(DAEMON)}],
    stdout: "null",
  }).spawn();
  ${RECORD}`,
  watched: [
    "signalfd([Signal.SIGTERM, Signal.SIGUSR1, Signal.SIGCHLD, 35, 36])",
  ],
  guard: `{
    pid: daemon.pid,
    signalFd: watched[0],
    stopSignals: [Signal.SIGTERM],
    mode: "",
    requests: { stop: 35, restart: 36 },
    told: {
      stop: { env: ["HOW=stopped"], record: new Uint8Array(9).fill(0x73) },
      restart: { env: ["HOW=restarted"], record: new Uint8Array(9).fill(0x72) },
    },
    recordFd,
    recordPath: "record",
    trialEnv: ["HOW=trial"],
    trialStatus: 123,
    trouble: ["trouble"],
    ownEnv: ["OWN=1"],
  }`,
  argv: ["sh", "-c", PROGRAM],
  env: ["HOW=running"],
  under: ["env", "--block-signal=TERM,USR1,CHLD,35,36"],
};

/** Starts a sleeper that guards a daemon, and waits until both are there. */
async function startGuarding(
  box: Sandbox,
  options: SleeperOptions = {},
): Promise<{ sleeper: Sleeper; daemon: number }> {
  const sleeper = await Sleeper.start(box, { ...GUARDED, ...options });
  await box.until("the daemon runs", () => box.read(box.path("started")));
  const [daemon] = childrenOf(sleeper.pid);
  return { sleeper, daemon: daemon! };
}

/** Lets the program get as far as it is to get. */
function repair(box: Sandbox): void {
  Deno.writeTextFileSync(box.path("ok"), "");
}

/** Ends a daemon as a crash does. */
async function crash(box: Sandbox, daemon: number): Promise<void> {
  Deno.kill(daemon, "SIGKILL");
  await box.until("it has ended", () => !isAlive(daemon));
}

Deno.test("sleeperImage() passes signals on to its daemon without waking up", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box);
  for (let i = 1; i <= 3; i++) {
    Deno.kill(sleeper.pid, "SIGUSR1");
    await box.until(
      "the daemon has heard of it",
      () => box.read(box.path("passed"))?.length === i,
    );
  }
  await sleeper.asleep();
  await crash(box, daemon);
  await sleeper.isHelpless("rt_sigtimedwait");
});

Deno.test("sleeperImage() sleeps on when its daemon has not ended", async () => {
  await using box = await Sandbox.create();
  const { sleeper } = await startGuarding(box);
  for (let i = 0; i < 3; i++) {
    Deno.kill(sleeper.pid, "SIGCHLD");
    await box.until(
      "it has looked",
      () => signalsIn(sleeper.pid, "ShdPnd").length === 0,
    );
    await sleeper.asleep();
  }
});

Deno.test("sleeperImage() wakes up when its daemon has ended", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box);
  repair(box);
  Deno.kill(daemon, "SIGKILL");
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, running\n`);
});

Deno.test("sleeperImage() leaves its daemon to be waited for", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box);
  await crash(box, daemon);
  await sleeper.isHelpless("rt_sigtimedwait");
  assertEquals(box.read(`/proc/${daemon}/stat`)?.split(" ")[2], "Z");
});

Deno.test("sleeperImage() wakes up as another after a signal that asks for the end", async () => {
  await using box = await Sandbox.create();
  const { sleeper } = await startGuarding(box);
  repair(box);
  Deno.kill(sleeper.pid, "SIGTERM");
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, stopped\n`);
});

Deno.test("sleeperImage() knows of a signal that has come together with its daemon's end", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box);
  repair(box);
  Deno.kill(sleeper.pid, "SIGSTOP");
  await box.until("it is stopped", () => look(sleeper.pid)?.state === "T");
  await crash(box, daemon);
  Deno.kill(sleeper.pid, "SIGTERM");
  Deno.kill(sleeper.pid, "SIGCONT");
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, stopped\n`);
});

/** Queues a signal with a value, as `sigqueue()` does. */
function queue(pid: number, signal: number, value: number): void {
  const pidfd = pidfdOpen(pid);
  try {
    pidfdSendSignal(pidfd, signal, value);
  } finally {
    close(pidfd);
  }
}

for (
  const [signal, how, record] of [
    [35, "stopped", "sssssssss"],
    [36, "restarted", "rrrrrrrrr"],
  ] as const
) {
  Deno.test(`sleeperImage() passes on the value of queued signal ${signal}, and wakes up as ${how}`, async () => {
    await using box = await Sandbox.create();
    const { sleeper, daemon } = await startGuarding(box);
    repair(box);
    queue(sleeper.pid, signal, Signal.SIGUSR1);
    await box.until("it has heard", () => box.read(box.path("passed")));
    await box.until(
      "it says so",
      () => box.read(box.path("record")) === record,
    );
    await sleeper.asleep();
    Deno.kill(daemon, "SIGKILL");
    const { stdout } = await sleeper.finished();
    assertEquals(stdout, `awake as ${sleeper.pid}, ${how}\n`);
  });

  Deno.test(`sleeperImage() takes signal ${signal} for nothing that was not queued with a signal`, async () => {
    await using box = await Sandbox.create();
    const { sleeper, daemon } = await startGuarding(box);
    repair(box);
    // What has no name in Deno.
    await box.run(["sh", "-c", `kill -${signal} ${sleeper.pid}`]);
    for (const value of [0, 99]) queue(sleeper.pid, signal, value);
    await box.until(
      "it has looked",
      () => signalsIn(sleeper.pid, "ShdPnd").length === 0,
    );
    assertEquals(box.read(box.path("record")), "");
    Deno.kill(daemon, "SIGKILL");
    const { stdout } = await sleeper.finished();
    assertEquals(stdout, `awake as ${sleeper.pid}, running\n`);
  });
}

Deno.test("sleeperImage() takes no restart after an end that was wanted", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box);
  repair(box);
  queue(sleeper.pid, 35, Signal.SIGUSR1);
  await box.until("it has heard", () => box.read(box.path("passed")));
  queue(sleeper.pid, 36, Signal.SIGUSR1);
  await box.until(
    "it has looked",
    () => signalsIn(sleeper.pid, "ShdPnd").length === 0,
  );
  Deno.kill(daemon, "SIGKILL");
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, stopped\n`);
});

Deno.test("sleeperImage() goes on as one that was told before", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box, {
    guard: GUARDED.guard!.replace('mode: ""', 'mode: "stop "'),
  });
  repair(box);
  Deno.kill(daemon, "SIGKILL");
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, stopped\n`);
});

Deno.test("sleeperImage() ends when the program fails after it has passed on the end", async () => {
  await using box = await Sandbox.create();
  const { sleeper } = await startGuarding(box);
  Deno.kill(sleeper.pid, "SIGTERM");
  const { code, stdout } = await sleeper.finished();
  assertEquals([code, stdout], [7, ""]);
  assertEquals(box.exists(box.path("record")), false);
});

Deno.test("sleeperImage() ends as after SIGTERM when its daemon was killed by it", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box);
  Deno.kill(daemon, "SIGSTOP");
  Deno.kill(sleeper.pid, "SIGTERM");
  await box.until(
    "it has passed the signal on",
    () => signalsIn(daemon, "ShdPnd").includes(Signal.SIGTERM),
  );
  Deno.renameSync(box.path("record"), box.path("old"));
  Deno.writeTextFileSync(box.path("record"), "another's");
  Deno.kill(daemon, "SIGKILL");
  assertEquals((await sleeper.finished()).code, 143);
  assertEquals(box.read(box.path("record")), "another's");
});

Deno.test("sleeperImage() tries a program that fails again, and shows that it does", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box, {
    under: [
      "strace",
      "-qq",
      "-o",
      "trace",
      "-e",
      "inject=rt_sigtimedwait:error=EAGAIN",
      ...GUARDED.under!,
    ],
  });
  assertEquals(sleeper.proc("cmdline"), "sleeper\0");
  Deno.kill(daemon, "SIGKILL");
  await box.until(
    "it shows that",
    () => sleeper.proc("cmdline") === "trouble\0",
  );
  assertEquals(sleeper.proc("environ"), "OWN=1\0");
  repair(box);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, running\n`);
});

Deno.test("sleeperImage() ends by a signal while its program fails", async () => {
  await using box = await Sandbox.create();
  const { sleeper, daemon } = await startGuarding(box);
  Deno.kill(daemon, "SIGKILL");
  await sleeper.isHelpless("rt_sigtimedwait");
  Deno.kill(sleeper.pid, "SIGTERM");
  const { code, stdout } = await sleeper.finished();
  assertEquals([code, stdout], [1, ""]);
  assertEquals(box.exists(box.path("record")), false);
});

Deno.test("sleeperImage() tries its program when there is no daemon, as soon as it wakes up", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box, {
    ...GUARDED,
    guard: GUARDED.guard!.replace("daemon.pid", "undefined"),
    before: RECORD,
  });
  repair(box);
  Deno.kill(sleeper.pid, "SIGUSR1");
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, running\n`);
});
