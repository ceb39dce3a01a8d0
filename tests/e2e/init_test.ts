/** The first process of a PID namespace, as of a container. */
import { assertEquals } from "@std/assert/equals";
import { childrenOf, isAlive, signalsIn, titleOf } from "../proc.ts";
import { type Running, Sandbox, TEND } from "../sandbox.ts";

/** A namespace of its own; an ordinary user needs one for users, too. */
const NAMESPACE = [
  "unshare",
  "-r",
  "--pid",
  "--fork",
  "--mount",
  "--mount-proc",
];
const QUIET = ["--monitor", "-v=console:off"];

/** Starts tend as the first process of a namespace, and finds it. */
async function startAsInit(
  box: Sandbox,
  ...argv: string[]
): Promise<{ running: Running; tend: number }> {
  const running = box.start([...NAMESPACE, TEND, ...argv]);
  const tend = await box.until(
    "tend is there",
    () =>
      childrenOf(running.pid).find((pid) => titleOf(pid).startsWith("tend: ")),
  );
  return { running, tend };
}

for (const sleepAfter of ["0", "never"]) {
  const option = `--sleep-after=${sleepAfter}`;

  Deno.test(`tend ${option} as the first process ends with COMMAND's status`, async () => {
    await using box = await Sandbox.create();
    const { code } = await box.run(
      [...NAMESPACE, TEND, ...QUIET, option, "--", "sh", "-c", "exit 7"],
    );
    assertEquals(code, 7);
  });

  Deno.test(`tend ${option} as the first process passes signals on`, async () => {
    await using box = await Sandbox.create();
    const script =
      'trap "exit 4" TERM; echo ready; while :; do sleep 0.05; done';
    const { running, tend } = await startAsInit(
      box,
      ...QUIET,
      option,
      "--",
      "sh",
      "-c",
      script,
    );
    await box.until("COMMAND runs", () => running.stdout() === "ready\n");
    Deno.kill(tend, "SIGTERM");
    assertEquals((await running.finished()).code, 4);
  });

  Deno.test(`tend ${option} as the first process restarts what crashes`, async () => {
    await using box = await Sandbox.create();
    const script = "test -e once && exit 3; echo >once; kill -SEGV $$";
    const { code } = await box.run(
      [...NAMESPACE, TEND, ...QUIET, option, "--", "sh", "-c", script],
    );
    assertEquals(code, 3);
  });

  Deno.test(`tend ${option} as the first process reaps orphans`, async () => {
    await using box = await Sandbox.create();
    // Each inner shell leaves a child behind, which ends when the file is there.
    const orphan = "(while ! [ -e end ]; do sleep 0.05; done) &";
    const script = `for i in 1 2 3; do sh -c '${orphan}'; done; exec sleep 600`;
    const { tend } = await startAsInit(
      box,
      ...QUIET,
      option,
      "--",
      "sh",
      "-c",
      script,
    );
    const orphans = await box.until("tend has three orphans", () => {
      const pids = childrenOf(tend);
      return pids.length === 4 && pids;
    });
    Deno.writeTextFileSync(box.path("end"), "");
    await box.until("one child is left", () => childrenOf(tend).length === 1);
    assertEquals(orphans.filter(isAlive), childrenOf(tend));
  });
}

Deno.test({
  name: "tend as the first process needs no directory that it can write to",
  fn: async () => {
    await using box = await Sandbox.create();
    Deno.mkdirSync(box.path("root"));
    const script = `
      set -e
      mount --rbind / "$1"
      for dir in run tmp; do mount -t tmpfs none "$1/$dir"; done
      mount --bind "$2" "$1/run" && mount -o remount,bind,ro "$1/run"
      mount -o remount,bind,ro "$1/tmp"
      mount -o remount,bind,ro "$1"
      exec chroot "$1" /run/tend "$3" "$4" -- sh -c 'touch /x || exit 5'`;
    Deno.mkdirSync(box.path("bin"));
    Deno.copyFileSync(TEND, box.path("bin/tend"));
    const { code, stderr } = await box.run([
      ...NAMESPACE,
      "sh",
      "-c",
      script,
      "sh",
      box.path("root"),
      box.path("bin"),
      ...QUIET,
    ]);
    assertEquals(
      [code, stderr],
      [5, "touch: cannot touch '/x': Read-only file system\n"],
    );
  },
});

/** Has the first process of a namespace end while its logger is stopped. */
async function startStuck(
  box: Sandbox,
): Promise<{ running: Running; tend: number; logger: number }> {
  const script = "until [ -e go ]; do sleep 0.01; done; seq 1 5000; exit 5";
  const { running, tend } = await startAsInit(
    box,
    ...["--monitor", "--output=all", "--log-rotate=10K,99", "--", "sh", "-c"],
    script,
  );
  const logger = await box.until(
    "there is a logger",
    () => childrenOf(tend).find((pid) => titleOf(pid).includes("logging to")),
  );
  Deno.kill(logger, "SIGSTOP");
  Deno.writeTextFileSync(box.path("go"), "");
  await box.until(
    "it says that it waits",
    () => running.stderr().includes(`output still on its way`),
  );
  return { running, tend, logger };
}

Deno.test("tend as the first process waits until all that COMMAND wrote is in its file", async () => {
  await using box = await Sandbox.create();
  const { running, logger } = await startStuck(box);
  Deno.kill(logger, "SIGCONT");
  const { code } = await running.finished();
  const texts = ["all.2", "all.1", "all"].map((name) =>
    box.read(box.path(name)) ?? ""
  );
  assertEquals(code, 5);
  const numbers = Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`);
  assertEquals(texts.join("") === numbers.join(""), true);
});

Deno.test("tend as the first process waits for its logger no more when it is told to end twice", async () => {
  await using box = await Sandbox.create();
  const { running, tend } = await startStuck(box);
  Deno.kill(tend, "SIGTERM");
  await box.until(
    "it is taken",
    () => signalsIn(tend, "ShdPnd").length === 0,
  );
  assertEquals(isAlive(tend), true);
  Deno.kill(tend, "SIGTERM");
  assertEquals((await running.finished()).code, 5);
});
