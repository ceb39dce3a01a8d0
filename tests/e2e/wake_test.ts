/** What a monitor still knows after it has slept. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  logged,
  logOf,
  SLEEPY,
  startAsleep,
  startBackingOff,
  successorOf,
  untilAsleep,
  wakeOnce,
} from "../monitored.ts";
import { isAlive, look, parentOf, signalsIn, titleOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const SLEEP_600 = ["--", "sleep", "600"];

Deno.test("tend --monitor restarts what crashes while it sleeps", async () => {
  await using box = await Sandbox.create();
  const { daemon: first, monitor } = await startAsleep(box);
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  assertEquals(parentOf(second), monitor);
  assertEquals(box.holder("web.pid"), second);
  await logged(box, "|00001|daemon_unix(monitor)|ERR|1 crashes: ");
  await untilAsleep(box, monitor);
  assertMatch(
    titleOf(monitor),
    new RegExp(
      `^tend: monitoring pid ${second} \\(1 crashes: pid ${first} died, `,
    ),
  );
});

Deno.test("tend --monitor removes the pidfile of what ends while it sleeps", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startAsleep(box);
  Deno.kill(daemon, "SIGTERM");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assertEquals(box.runFiles(), []);
  assertStringIncludes(logOf(box), `pid ${daemon} died, killed (Terminated), `);
});

Deno.test("tend --monitor wakes up for the end of backing off, and knows all", async () => {
  await using box = await Sandbox.create();
  const begin = performance.now();
  // Of the first restart, which comes later: the third is 10 s after it.
  const { daemon, monitor } = await startBackingOff(box, "--sleep-after=0");
  await untilAsleep(box, monitor);
  await wakeOnce(box, monitor);
  assertMatch(titleOf(monitor), /\(2 crashes: pid \d+ died/);
  assertEquals(box.holder("web.pid"), undefined);
  const third = await successorOf(daemon, box);
  assert(performance.now() - begin >= 10_000);
  assertEquals(parentOf(third), monitor);
  await untilAsleep(box, monitor);
  Deno.kill(third, "SIGSEGV");
  await logged(box, "3 crashes: ");
  const numbers = [...logOf(box).matchAll(/\|(\d{5})\|/g)].map(([, n]) => n);
  assertEquals(numbers, ["00001", "00002", "00003", "00004"]);
});

Deno.test("tend --monitor ends when SIGTERM comes while it sleeps and backs off", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startBackingOff(box, "--sleep-after=0");
  await untilAsleep(box, monitor);
  Deno.kill(monitor, "SIGTERM");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assertMatch(logOf(box), /\|00003\|.*, told not to restart, exiting\n$/);
  assertEquals([...box.runFiles(), ...box.processes()], []);
});

Deno.test("tend --verbose holds after a sleep", async () => {
  await using box = await Sandbox.create();
  const argv = [TEND, ...SLEEPY, "-vfile:err", "-vconsole:off"];
  const { daemon, monitor } = await startAsleep(box, [...argv, ...SLEEP_600]);
  Deno.kill(daemon, "SIGSEGV");
  const second = await successorOf(daemon, box);
  await logged(box, "ERR|1 crashes");
  await untilAsleep(box, monitor);
  Deno.kill(second, "SIGTERM");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assertEquals(logOf(box).split("\n").length, 2);
});

Deno.test("tend --log-file goes on in a new file when the log was rotated in its sleep", async () => {
  await using box = await Sandbox.create();
  const { daemon } = await startAsleep(box);
  const log = box.path("log/web.log");
  Deno.renameSync(log, `${log}.1`);
  Deno.kill(daemon, "SIGSEGV");
  await logged(box, `pid ${daemon} died`);
  assertEquals(box.read(`${log}.1`), "");
});

Deno.test("tend --overwrite-pidfile overwrites after a sleep too", async () => {
  await using box = await Sandbox.create();
  const argv = [TEND, ...SLEEPY, "--overwrite-pidfile", ...SLEEP_600];
  const { daemon, monitor } = await startAsleep(box, argv);
  await box.run(argv);
  const other = box.pidfile("web.pid")!;
  Deno.kill(daemon, "SIGSEGV");
  const second = await successorOf(other, box);
  assertEquals([parentOf(second), isAlive(other)], [monitor, true]);
});

Deno.test("tend --monitor restarts in its directory, by a relative name", async () => {
  await using box = await Sandbox.create();
  Deno.copyFileSync("/bin/sleep", box.path("web"));
  const argv = [TEND, ...SLEEPY, "--no-chdir", "--", "./web", "600"];
  const { daemon } = await startAsleep(box, argv);
  Deno.kill(daemon, "SIGSEGV");
  const second = await successorOf(daemon, box);
  assertEquals(Deno.readLinkSync(`/proc/${second}/cwd`), box.dir);
  await box.until("it is COMMAND", () => titleOf(second) === "./web 600");
});

Deno.test("tend --monitor hands arguments and environment over byte for byte after a sleep", async () => {
  await using box = await Sandbox.create();
  const caller = 'exec env -u _ BAD="$(printf "x\\377y\\nz")" EMPTY= "Ä ö"=1 ' +
    '"$@" "" "$(printf "\\001\\200\\377\\n\\"\\\\ä")" --detach';
  const child = 'sleep 600 & trap "kill $!" EXIT; wait';
  const { daemon: first, monitor } = await startAsleep(
    box,
    ["sh", "-c", caller, "sh", TEND, ...SLEEPY, "--", "sh", "-c", child, "sh"],
  );
  const facts = (pid: number) =>
    ["cmdline", "environ"].map((file) =>
      Deno.readFileSync(`/proc/${pid}/${file}`)
    );
  const childOf = (pid: number) =>
    box.until(
      "COMMAND has its child",
      () =>
        box.processes().find((child) =>
          look(child)?.ppid === pid &&
          titleOf(child) === "sleep 600"
        ),
    );
  const child1 = await childOf(first);
  const own = facts(first);
  const childs = facts(child1);
  assert(own.every((bytes) => bytes.includes(0xff)));
  await wakeOnce(box, monitor);
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  // COMMAND runs for sure when its child does.
  const child2 = await childOf(second);
  assertEquals(facts(second), own);
  assertEquals(facts(child2), childs);
  for (const environ of [own[1], childs[1]]) {
    assertEquals(
      new TextDecoder().decode(environ).includes("TEND_STAGE"),
      false,
    );
  }
});

Deno.test("tend --monitor hands signals over as its caller had them after a sleep", async () => {
  await using box = await Sandbox.create();
  for (const option of ["--default-signal", "--ignore-signal=PIPE,CHLD,HUP"]) {
    const argv = ["env", "--default-signal", "env", option, TEND, ...SLEEPY];
    const { daemon, monitor } = await startAsleep(box, [...argv, ...SLEEP_600]);
    const masks = (pid: number) =>
      ["SigBlk", "SigIgn", "SigCgt"].map((mask) =>
        signalsIn(pid, mask).filter((signal) => signal < 32)
      );
    const own = masks(daemon);
    const ignored = option.includes("PIPE") ? [1, 13, 17] : [];
    assertEquals(own, [[], ignored, []]);
    await wakeOnce(box, monitor);
    Deno.kill(daemon, "SIGSEGV");
    const second = await successorOf(daemon, box);
    assertEquals(masks(second), own);
    Deno.kill(second, "SIGTERM");
    await box.until("all have ended", () => box.processes().length === 0);
  }
});

Deno.test("tend --monitor under nohup is not ended by SIGHUP in its sleep", async () => {
  await using box = await Sandbox.create();
  const argv = ["nohup", TEND, ...SLEEPY, ...SLEEP_600];
  await box.run(argv);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  await untilAsleep(box, monitor);
  Deno.kill(monitor, "SIGHUP");
  await wakeOnce(box, monitor);
  assertEquals([isAlive(daemon), parentOf(daemon)], [true, monitor]);
});

Deno.test("tend --monitor sleeps and wakes up with few descriptors", async () => {
  await using box = await Sandbox.create();
  const script = 'ulimit -n 24; exec "$@"';
  const argv = ["sh", "-c", script, "sh", TEND, ...SLEEPY, ...SLEEP_600];
  const { daemon, monitor } = await startAsleep(box, argv);
  Deno.kill(daemon, "SIGSEGV");
  assertEquals(parentOf(await successorOf(daemon, box)), monitor);
  await untilAsleep(box, monitor);
});

Deno.test("tend --monitor disables core dumps after a sleep in those that follow one", async (t) => {
  await using box = await Sandbox.create();
  const pattern = box.read("/proc/sys/kernel/core_pattern");
  // With a program to take it, or a directory of its own, it is not ours.
  if (pattern?.trim() !== "core") {
    return void await t.step({
      ignore: true,
      name: `core_pattern is ${pattern}`,
      fn() {},
    });
  }
  const script = 'ulimit -Sc "$(ulimit -Hc)"; exec "$@"';
  const argv = [TEND, ...SLEEPY, "--no-chdir", ...SLEEP_600];
  const { daemon, monitor } = await startAsleep(
    box,
    ["sh", "-c", script, "sh", ...argv],
  );
  Deno.kill(daemon, "SIGSEGV");
  const second = await successorOf(daemon, box);
  await logged(box, "killed (Segmentation fault), core dumped, ");
  assertEquals(softCoreLimit(second), "0");
  // That there was one must not be forgotten over the wait.
  await untilAsleep(box, monitor);
  Deno.kill(second, "SIGSEGV");
  assertEquals(softCoreLimit(await successorOf(second, box)), "0");
});

function softCoreLimit(pid: number): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/limits`);
  return /^Max core file size\s+(\S+)/m.exec(text)![1]!;
}
