import { assertEquals } from "@std/assert/equals";
import { close } from "../../ffi/descriptor.ts";
import { O_RDWR, open } from "../../ffi/file.ts";
import { fcntlSetlk } from "../../ffi/lock.ts";
import { pidfdOpen, pidfdSendSignal } from "../../ffi/pidfd.ts";
import { Signal } from "../../ffi/signal.ts";
import { childrenOf, freeze, isAlive, signalsIn } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { Sleeper, type SleeperOptions } from "../sleepers.ts";
import "../open_libc.ts";

/** Says whether it gets so far, by the file `ok`; else how it was started. */
const PROGRAM = `
  if [ "$HOW" = trial ]; then
    if [ -e hang ]; then echo >hangs; exec sleep 600; fi
    test -e ok && exit 123
    exit 1
  fi
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
    pidfile: "pidfile",
    trialEnv: ["HOW=trial"],
    trialStatus: 123,
    trouble: {
      argv: ["trouble"],
      record: new Uint8Array(9).fill(0x74),
      log: { file: "log", line: "trouble\\n" },
    },
    crashes: { statuses: [5, 6], signals: [Signal.SIGKILL, Signal.SIGSEGV] },
    // By which the sandbox finds it.
    ownEnv: ["OWN=1", \`TEND_TEST_SANDBOX=\${Deno.cwd()}\`],
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
  await freeze(box, sleeper.pid);
  await crash(box, daemon);
  Deno.kill(sleeper.pid, "SIGTERM");
  Deno.kill(sleeper.pid, "SIGCONT");
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, stopped\n`);
});

/** Queues a signal with a value, as `sigqueue()` does. */
function queue(pid: number, signal: number, value: number | bigint): void {
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
    const values = [0n, 99n, 1n << 32n, (1n << 32n) + 15n];
    for (const value of values) queue(sleeper.pid, signal, value);
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
  await freeze(box, daemon);
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

/** Starts one whose daemon has crashed and whose program does not start. */
async function startTroubled(box: Sandbox): Promise<Sleeper> {
  Deno.writeTextFileSync(box.path("pidfile"), "left behind");
  const { sleeper, daemon } = await startGuarding(box);
  Deno.kill(daemon, "SIGKILL");
  await box.until(
    "it shows that",
    () => sleeper.proc("cmdline") === "trouble\0",
  );
  await sleeper.isHelpless("rt_sigtimedwait");
  return sleeper;
}

Deno.test("sleeperImage() shows, notes and logs that its program does not start", async () => {
  await using box = await Sandbox.create();
  const sleeper = await startTroubled(box);
  assertEquals(sleeper.proc("environ").split("\0")[0], "OWN=1");
  assertEquals(
    [box.read(box.path("record")), box.read(box.path("log"))],
    ["ttttttttt", "trouble\n"],
  );
});

Deno.test("sleeperImage() tries a program that fails again, and wakes up as it would have", async () => {
  await using box = await Sandbox.create();
  const sleeper = await startTroubled(box);
  // Whoever asks for a restart does not have it wait.
  queue(sleeper.pid, 36, Signal.SIGTERM);
  await box.until(
    "it has tried",
    () => signalsIn(sleeper.pid, "ShdPnd").length === 0,
  );
  await sleeper.isHelpless("rt_sigtimedwait");
  assertEquals(box.read(box.path("log")), "trouble\n");
  repair(box);
  queue(sleeper.pid, 36, Signal.SIGTERM);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, running\n`);
});

Deno.test("sleeperImage() tries again for a restart that was asked for, and shows that", async () => {
  await using box = await Sandbox.create();
  const { sleeper } = await startGuarding(box);
  queue(sleeper.pid, 36, Signal.SIGTERM);
  await box.until(
    "it shows that",
    () => sleeper.proc("cmdline") === "trouble\0",
  );
  await sleeper.isHelpless("rt_sigtimedwait");
  repair(box);
  queue(sleeper.pid, 36, Signal.SIGTERM);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}, restarted\n`);
});

const ENDS: readonly [string, (pid: number) => void][] = [
  ["SIGTERM", (pid) => Deno.kill(pid, "SIGTERM")],
  ["a request", (pid) => queue(pid, 35, Signal.SIGTERM)],
];
for (const [what, end] of ENDS) {
  Deno.test(`sleeperImage() ends by ${what} while its program fails, and leaves nothing`, async () => {
    await using box = await Sandbox.create();
    const sleeper = await startTroubled(box);
    end(sleeper.pid);
    const { code, stdout } = await sleeper.finished();
    assertEquals([code, stdout], [1, ""]);
    assertEquals(
      ["record", "pidfile"].map((name) => box.exists(box.path(name))),
      [false, false],
    );
  });

  Deno.test(`sleeperImage() ends by ${what} while its program hangs`, async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path("hang"), "");
    const { sleeper, daemon } = await startGuarding(box);
    Deno.kill(daemon, "SIGKILL");
    await box.until("it is tried", () => box.read(box.path("hangs")));
    end(sleeper.pid);
    assertEquals((await sleeper.finished()).code, 1);
    await box.until("nothing is left", () => box.processes().length === 0);
  });
}

Deno.test("sleeperImage() leaves a pidfile that somebody holds", async () => {
  await using box = await Sandbox.create();
  const sleeper = await startTroubled(box);
  const fd = open(box.path("pidfile"), O_RDWR);
  try {
    fcntlSetlk(fd);
    Deno.kill(sleeper.pid, "SIGTERM");
    await sleeper.finished();
    assertEquals(box.read(box.path("pidfile")), "left behind");
  } finally {
    close(fd);
  }
});

for (
  const [how, status] of [["exit 0", 0], ["exit 3", 3], ["kill -HUP $$", 1]]
) {
  Deno.test(`sleeperImage() ends when its program fails and the daemon has ended by "${how}"`, async () => {
    await using box = await Sandbox.create();
    const { sleeper, daemon } = await startGuarding(box, {
      before: GUARDED.before!.replace(
        "echo >started",
        () => `trap '${how}' USR2; echo >started`,
      ),
    });
    Deno.kill(daemon, "SIGUSR2");
    assertEquals((await sleeper.finished()).code, status);
    assertEquals(box.exists(box.path("log")), false);
  });
}

for (const status of [5, 6]) {
  Deno.test(`sleeperImage() tries again when the daemon has ended by status ${status}`, async () => {
    await using box = await Sandbox.create();
    const { sleeper, daemon } = await startGuarding(box, {
      before: GUARDED.before!.replace(
        "echo >started",
        `trap 'exit ${status}' USR2; $&`,
      ),
    });
    Deno.kill(daemon, "SIGUSR2");
    await box.until(
      "it shows that",
      () => sleeper.proc("cmdline") === "trouble\0",
    );
  });
}

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
