/** A monitor whose file could not be written tries again, awake and asleep. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { lacks } from "../binutils.ts";
import {
  LOGGED,
  logged,
  logOf,
  monitorFile,
  shown,
  SLEEPY,
  startAsleep,
  successorOf,
  untilAsleep,
  untilShown,
} from "../monitored.ts";
import { look, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const NOT_SHOWN = "its state is not shown";

Deno.test("tend --monitor shows its state again when its file can be written again", async () => {
  await using box = await Sandbox.create();
  // sleep adds them up.
  const zeros = Array(400).fill("0");
  const options = [...LOGGED, "--sleep-after=never"];
  await box.tend(...options, "--", "sleep", "600", ...zeros);
  const { monitor, pid } = shown(box)!;
  // Room for its log and for pidfiles, but not for all of this.
  await box.run(["prlimit", `--pid=${monitor}`, "--fsize=1000:unlimited"]);
  Deno.kill(pid, "SIGSEGV");
  const second = await successorOf(pid, box);
  await logged(box, NOT_SHOWN);
  assertEquals(monitorFile(box), { kind: "held", monitor, record: undefined });
  await box.run(["prlimit", `--pid=${monitor}`, "--fsize=unlimited"]);
  // Nothing else happens to it.
  await untilShown(box, "the second", ({ pid }) => pid === second);
  await logged(box, "its state is shown again");
  assertEquals(logOf(box).match(/its state is not shown/g)?.length, 1);
});

Deno.test({
  name: "tend --monitor wakes up to show its state again",
  ignore: await lacks(["strace"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const argv = [TEND, ...SLEEPY, "--", "sleep", "600"];
    const { daemon, monitor } = await startAsleep(box, argv);
    await failingWrites(box, monitor, "1..2");
    Deno.kill(daemon, "SIGSEGV");
    const second = await successorOf(daemon, box);
    await logged(box, NOT_SHOWN);
    await untilAsleep(box, monitor);
    await untilShown(box, "the second", ({ pid }) => pid === second);
    await logged(box, "its state is shown again");
    await untilAsleep(box, monitor);
    assertEquals(logOf(box).match(/its state is not shown/g)?.length, 1);
    assertEquals(parentOf(second), monitor);
  },
});

Deno.test({
  name: "tend --monitor shows that it backs off, and goes on when that is over",
  ignore: await lacks(["strace"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const options = [...LOGGED, "--sleep-after=never", "--restart-delay=4s"];
    await box.tend(...options, "--", "sleep", "600");
    const { monitor, pid: first } = shown(box)!;
    await failingWrites(box, monitor, "1..2");
    Deno.kill(first, "SIGSEGV");
    const second = await successorOf(first, box);
    await logged(box, NOT_SHOWN);
    Deno.kill(second, "SIGSEGV");
    // By the timer that is that of the deadline too, which comes later.
    const { backingOffUntil } = await untilShown(
      box,
      "that it backs off",
      ({ phase }) => phase === "backingOff",
    );
    const third = await successorOf(second, box);
    const { startedAt } = await untilShown(
      box,
      "the third",
      ({ pid, phase }) => pid === third && phase === "running",
    );
    assert(startedAt! >= backingOffUntil! - 1, `${startedAt}`);
  },
});

/** Has some of a process's writes to its record fail. */
async function failingWrites(
  box: Sandbox,
  pid: number,
  when: string,
): Promise<void> {
  const inject = `--inject=pwrite64:error=ENOSPC:when=${when}`;
  box.start(["strace", "-qq", "-o", "/dev/null", inject, "-p", String(pid)]);
  await box.until(
    "it is traced",
    () => look(pid)?.status.get("TracerPid") !== "0",
  );
}
