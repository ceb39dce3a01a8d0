/** Which processes of tend stay, and what becomes of their ends. */
import { assertEquals } from "@std/assert/equals";
import { isAlive, parentOf, titleOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const COMMAND = ["sleep", "600"];

/** The options; whether a tend process stays, and what it is called. */
const ARRANGEMENTS: readonly [string[], string | undefined][] = [
  [[], undefined],
  [["--pidfile=x.pid"], "tend"],
  [["--monitor"], "monitor"],
  [["--monitor", "--pidfile=x.pid"], "monitor"],
  [["--exec"], undefined],
  [["--exec", "--pidfile=x.pid"], undefined],
];

/** All processes of a test but those of a shell: COMMAND and what is above. */
function isArranged(
  box: Sandbox,
  words: readonly string[],
  stays: string | undefined,
): boolean {
  const titles = box.processes().map(titleOf).sort();
  const command = box.processes().find((pid) =>
    titleOf(pid) === COMMAND.join(" ")
  );
  if (command === undefined) return false;
  const title = stays === "monitor"
    ? `tend: monitoring pid ${command} (healthy)`
    : [TEND, ...words, "--", ...COMMAND].join(" ");
  const expected = [COMMAND.join(" "), ...stays ? [title] : []].sort();
  return JSON.stringify(titles) === JSON.stringify(expected) &&
    (!stays || titleOf(parentOf(command)) === title);
}

for (const [options, stays] of ARRANGEMENTS) {
  const what = stays === undefined
    ? "leaves no tend process"
    : `leaves one tend process, COMMAND's parent`;

  const detached = ["--detach", ...options];
  Deno.test(`tend ${detached.join(" ")} ${what} when it returns`, async () => {
    await using box = await Sandbox.create();
    assertEquals((await box.tend(...detached, "--", ...COMMAND)).code, 0);
    // No waiting: it is so when the caller gets its prompt.
    assertEquals(
      isArranged(box, detached, stays),
      true,
      box.processes().map(titleOf).join("\n"),
    );
    if (options.includes("--pidfile=x.pid")) {
      const daemon = box.pidfile("x.pid")!;
      assertEquals(titleOf(daemon), COMMAND.join(" "));
      assertEquals(box.holder("x.pid"), daemon);
    }
  });

  Deno.test(`${["tend", ...options].join(" ")} ${what}`, async () => {
    await using box = await Sandbox.create();
    const { pid } = box.start([TEND, ...options, "--", ...COMMAND]);
    await box.until("it is so", () => isArranged(box, options, stays));
    // What the caller has started is COMMAND's parent, or COMMAND itself.
    const titles = box.processes().filter((other) =>
      other !== pid && parentOf(other) === pid
    );
    assertEquals(titles.length, stays === undefined ? 0 : 1);
  });
}

Deno.test("tend --pidfile removes the pidfile when COMMAND ends", async () => {
  await using box = await Sandbox.create();
  const script = `test -s ${box.runPath("x.pid")}`;
  const { code } = await box.tend("--pidfile=x.pid", "--", "sh", "-c", script);
  assertEquals(code, 0);
  assertEquals(box.runFiles(), []);
});

Deno.test("tend --pidfile does not restart what SIGSEGV killed", async () => {
  await using box = await Sandbox.create();
  const script = `echo ran; kill -SEGV $$`;
  const { code, stdout } = await box.tend("--pidfile", "sh", "-c", script);
  assertEquals({ code, stdout }, { code: 139, stdout: "ran\n" });
});

Deno.test("tend --exec leaves the pidfile to go stale", async () => {
  await using box = await Sandbox.create();
  const args = ["--detach", "--exec", "--pidfile=x.pid"];
  await box.tend(...args, "--", ...COMMAND);
  const first = box.pidfile("x.pid")!;
  Deno.kill(first, "SIGTERM");
  await box.until("it has ended", () => !isAlive(first));
  assertEquals(box.pidfile("x.pid"), first);
  assertEquals(box.holder("x.pid"), undefined);
});

for (const options of [[], ["--pidfile"], ["--monitor"]]) {
  const title = ["tend", ...options].join(" ");

  for (const status of [0, 1, 2, 77, 255]) {
    Deno.test(`${title} exits ${status} when COMMAND does`, async () => {
      await using box = await Sandbox.create();
      const argv = ["sh", "-c", `exit ${status}`];
      assertEquals((await box.tend(...options, "--", ...argv)).code, status);
      assertEquals(box.runFiles(), []);
    });
  }

  for (const [signal, number] of [["KILL", 9], ["TERM", 15]] as const) {
    Deno.test(`${title} exits ${128 + number} when SIG${signal} killed COMMAND`, async () => {
      await using box = await Sandbox.create();
      const argv = ["sh", "-c", `kill -${signal} $$`];
      assertEquals(
        (await box.tend(...options, "--", ...argv)).code,
        128 + number,
      );
      assertEquals(box.runFiles(), []);
    });
  }

  for (
    const signal of [
      "SIGTERM",
      "SIGINT",
      "SIGHUP",
      "SIGQUIT",
      "SIGUSR1",
      "SIGUSR2",
    ] as const
  ) {
    Deno.test(`${title} passes ${signal} on to COMMAND`, async () => {
      await using box = await Sandbox.create();
      const script = `trap 'echo got; exit 7' ${signal.slice(3)}; ` +
        "echo ready; while :; do sleep 600 & wait; done";
      const tend = box.start([TEND, ...options, "--", "sh", "-c", script]);
      await box.until("COMMAND is ready", () => tend.stdout() === "ready\n");
      Deno.kill(tend.pid, signal);
      const { code, stdout } = await tend.finished();
      assertEquals({ code, stdout }, { code: 7, stdout: "ready\ngot\n" });
    });
  }

  Deno.test(`${title} goes on when a passed-on SIGUSR1 does not end COMMAND`, async () => {
    await using box = await Sandbox.create();
    const script = "trap 'echo one' USR1; trap 'echo end; exit 3' USR2; " +
      "echo ready; while :; do sleep 600 & wait $!; done";
    const tend = box.start([TEND, ...options, "--", "sh", "-c", script]);
    await box.until("COMMAND is ready", () => tend.stdout() === "ready\n");
    Deno.kill(tend.pid, "SIGUSR1");
    await box.until("COMMAND has it", () => tend.stdout() === "ready\none\n");
    Deno.kill(tend.pid, "SIGUSR2");
    const { code, stdout } = await tend.finished();
    assertEquals({ code, stdout }, { code: 3, stdout: "ready\none\nend\n" });
  });

  Deno.test(`${title} lives through SIGHUP when its caller ignored that`, async () => {
    await using box = await Sandbox.create();
    const script = "trap 'echo end; exit 3' TERM; " +
      "echo ready; while :; do sleep 600 & wait $!; done";
    const tend = box.start([
      ...["env", "--ignore-signal=HUP", TEND, ...options, "--"],
      ...["sh", "-c", script],
    ]);
    await box.until("COMMAND is ready", () => tend.stdout() === "ready\n");
    Deno.kill(tend.pid, "SIGHUP");
    Deno.kill(tend.pid, "SIGTERM");
    const { code, stdout } = await tend.finished();
    assertEquals({ code, stdout }, { code: 3, stdout: "ready\nend\n" });
  });
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`tend --monitor does not restart after a passed-on ${signal}`, async () => {
    await using box = await Sandbox.create();
    const script = `trap 'kill -SEGV $$' ${signal.slice(3)}; ` +
      "echo ready; while :; do sleep 600 & wait; done";
    const tend = box.start([TEND, "--monitor", "--", "sh", "-c", script]);
    await box.until("COMMAND is ready", () => tend.stdout() === "ready\n");
    Deno.kill(tend.pid, signal);
    const { code, stdout } = await tend.finished();
    assertEquals({ code, stdout }, { code: 139, stdout: "ready\n" });
  });
}

for (const signal of ["SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) {
  Deno.test(`tend --monitor restarts after a passed-on ${signal}`, async () => {
    await using box = await Sandbox.create();
    const script = `trap 'kill -SEGV $$' ${signal.slice(3)}; ` +
      "echo ready; while :; do sleep 600 & wait; done";
    const tend = box.start([TEND, "--monitor", "--", "sh", "-c", script]);
    await box.until("COMMAND is ready", () => tend.stdout() === "ready\n");
    Deno.kill(tend.pid, signal);
    await box.until("it runs again", () => tend.stdout() === "ready\nready\n");
  });
}
