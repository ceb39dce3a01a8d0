/** What a monitor that sleeps proves before a program takes its place. */
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { START_DESCRIPTORS } from "../../ffi/entry_note.ts";
import { systemCall } from "../../ffi/system_calls.ts";
import { lacks } from "../binutils.ts";
import {
  logged,
  logOf,
  SLEEPY,
  startAsleep,
  successorOf,
  untilAsleep,
  wakeOnce,
} from "../monitored.ts";
import { childrenOf, fdsOf, isAlive, isAsleep, parentOf } from "../proc.ts";
import { CANNOT_UNSHARE } from "../program.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const LATE = "tend could not start for a while, and nobody has looked";
const SLEEP_600 = ["--", "sleep", "600"];

/** Puts a program into the sandbox the way package managers do. */
function install(box: Sandbox): string {
  const path = box.path("tend");
  Deno.copyFileSync(TEND, `${path}.new`);
  Deno.renameSync(`${path}.new`, path);
  return path;
}

/** Replaces it by a script. */
function installScript(box: Sandbox, script: string): void {
  const path = box.path("tend");
  Deno.writeTextFileSync(`${path}.new`, script, { mode: 0o755 });
  Deno.renameSync(`${path}.new`, path);
}

/** Starts a daemon under the sandbox's own program. */
function startOwn(box: Sandbox): ReturnType<typeof startAsleep> {
  return startAsleep(box, [install(box), ...SLEEPY, ...SLEEP_600]);
}

/** Waits until a monitor that sleeps waits for something that it lacks. */
async function untilItLacks(box: Sandbox, pid: number): Promise<void> {
  const number = String(systemCall("nanosleep"));
  await box.until(
    `pid ${pid} waits to try again`,
    () => box.read(`/proc/${pid}/syscall`)?.split(" ")[0] === number,
  );
}

/** Waits for what some other monitor's whole life takes. */
async function waitALife(): Promise<void> {
  await using other = await Sandbox.create();
  const { monitor } = await startAsleep(other);
  await wakeOnce(other, monitor);
}

for (
  const [what, option, soft, enough] of [
    [
      "no descriptor",
      "--nofile",
      (monitor: number) => limitOfFree(monitor, 0),
      1024,
    ],
    [
      "one descriptor too few",
      "--nofile",
      (monitor: number) => limitOfFree(monitor, START_DESCRIPTORS - 1),
      1024,
    ],
    ["half of the addresses", "--as", () => 40 * 2 ** 30, "unlimited"],
    ["hardly enough memory", "--data", () => 14 * 2 ** 20, "unlimited"],
    ["too small a stack", "--stack", () => 2 ** 17, 8 * 2 ** 20],
  ] as const
) {
  Deno.test(`tend --monitor sleeps on while there is ${what} to wake up`, async () => {
    await using box = await Sandbox.create();
    const { daemon, monitor } = await startAsleep(box);
    const fds = fdsOf(monitor);
    const limit = (soft: number | string) =>
      box.run(["prlimit", `--pid=${monitor}`, `${option}=${soft}:`]);
    await limit(soft(monitor));
    Deno.kill(daemon, "SIGSEGV");
    await untilItLacks(box, monitor);
    await waitALife();
    assertEquals([isAsleep(monitor), box.pidfile("web.pid")], [true, daemon]);
    assertEquals(fdsOf(monitor), fds);
    await limit(enough);
    assertEquals(parentOf(await successorOf(daemon, box)), monitor);
    await logged(box, LATE);
    await untilAsleep(box, monitor);
    assertEquals(childrenOf(monitor).length, 1);
    // It is said once.
    await wakeOnce(box, monitor);
    assertEquals(logOf(box).split(LATE).length, 2);
  });
}

/** A limit of descriptors under which so many are free. */
function limitOfFree(pid: number, free: number): number {
  const taken = new Set(fdsOf(pid).keys());
  let limit = 0;
  for (let left = free; left > 0; limit++) if (!taken.has(limit)) left--;
  return limit;
}

Deno.test("a monitor under lower limits that suffice wakes up at once", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startAsleep(box);
  const limits = [
    "--as=100000000000:",
    "--data=100000000:",
    "--stack=4000000:",
  ];
  await box.run(["prlimit", `--pid=${monitor}`, ...limits]);
  Deno.kill(daemon, "SIGSEGV");
  assertEquals(parentOf(await successorOf(daemon, box)), monitor);
  await logged(box, "1 crashes");
  assertEquals(logOf(box).includes(LATE), false);
});

Deno.test("a program that does as its arguments say does not run the command a second time", async () => {
  await using box = await Sandbox.create();
  const path = install(box);
  const command = box.path("command");
  const runs = box.path("runs");
  Deno.writeTextFileSync(
    command,
    `#!/bin/sh\necho $$ >>${runs}\nexec sleep 600\n`,
    { mode: 0o755 },
  );
  // In the foreground, unmonitored, its arguments are all of the command line.
  const output = [`--output=${box.path("output")}`, "--log-rotate=1M"];
  const tend = box.start(
    [path, ...output, "--sleep-after=0", "--", command],
  );
  await box.until("it sleeps", () => isAsleep(tend.pid));
  const pids = () => (box.read(runs) ?? "").split("\n").filter((s) => s !== "");
  await box.until("the command runs", () => pids().length === 1);
  // As one that is older: it knows of no trial.
  installScript(box, `#!/bin/sh\nexec env -i ${TEND} "$@"\n`);
  await wakeOnce(box, tend.pid);
  assertStringIncludes(tend.stderr(), "does not start as this monitor");
  assertEquals(pids().length, 1);
});

Deno.test("a program that is tried has no part in anything", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startOwn(box);
  const facts = box.path("facts");
  installScript(
    box,
    `#!/bin/sh
exec 3>&1 4>&2
{
  echo $$ "$@"
  readlink /proc/$$/fd/0 /proc/$$/fd/3 /proc/$$/fd/4
  cut -d' ' -f5 /proc/$$/stat
} >${facts}
exit 1
`,
  );
  Deno.kill(daemon, "SIGSEGV");
  await successorOf(daemon, box);
  const [first, ...lines] = box.read(facts)!.trim().split("\n");
  const [pid, ...args] = first!.split(" ");
  assertEquals(args, ["--version"]);
  assertEquals(lines, ["/dev/null", "/dev/null", "/dev/null", pid]);
  await untilAsleep(box, monitor);
});

const HANGS = "#!/bin/sh\nsleep 500 &\nexec sleep 500\n";

Deno.test("a program that hangs when it is tried is killed with what it has started", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startOwn(box);
  installScript(box, HANGS);
  Deno.kill(daemon, "SIGSEGV");
  const second = await successorOf(daemon, box);
  await untilAsleep(box, monitor);
  assertEquals(box.processes().sort(), [monitor, second].sort());
  assertStringIncludes(logOf(box), "does not start as this monitor");
});

Deno.test("a program that is tried ends with its monitor", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startOwn(box);
  installScript(box, "#!/bin/sh\nexec sleep 500\n");
  Deno.kill(daemon, "SIGSEGV");
  await box.until(
    "it is tried",
    () => !isAlive(daemon) && box.processes().length === 2,
  );
  Deno.kill(monitor, "SIGKILL");
  await box.until("all have ended", () => box.processes().length === 0);
});

Deno.test("a program that is tried does not hear of a Ctrl-C", async () => {
  await using box = await Sandbox.create();
  const path = install(box);
  const options = ["--monitor", "--pidfile=web.pid", "--sleep-after=0"];
  // Its process group is what a terminal would have in the foreground.
  const tend = box.start(["setsid", path, ...options, ...SLEEP_600]);
  await box.until("it sleeps", () => isAsleep(tend.pid));
  const [tried, go] = [box.path("tried"), box.path("go")];
  const wait = `until test -e ${go}; do sleep 0.05; done`;
  installScript(box, `#!/bin/sh\n>${tried}\n${wait}\nexit 123\n`);
  Deno.kill(box.pidfile("web.pid")!, "SIGSEGV");
  await box.until("it is tried", () => box.exists(tried));
  await box.run(["kill", "-INT", "--", `-${tend.pid}`]);
  install(box);
  Deno.writeTextFileSync(go, "");
  const { code, stderr } = await tend.finished();
  // The monitor hears of it when it is awake: that is the end, after SIGSEGV.
  assertEquals([code, stderr.includes("does not start")], [128 + 11, false]);
});

Deno.test("a monitor waits when its program was cut off and removed", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startOwn(box);
  Deno.truncateSync(box.path("tend"), 100_000);
  Deno.removeSync(box.path("tend"));
  Deno.kill(daemon, "SIGSEGV");
  await untilItLacks(box, monitor);
  assertEquals([isAsleep(monitor), childrenOf(monitor)], [true, []]);
  install(box);
  assertEquals(parentOf(await successorOf(daemon, box)), monitor);
  await logged(box, LATE);
  assertEquals(logOf(box).includes("going on with"), false);
});

Deno.test({
  name: "a monitor waits while its program cannot be tried, and takes it then",
  ignore: await lacks(["strace"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const { daemon, monitor } = await startOwn(box);
    install(box);
    const { ino } = Deno.statSync(box.path("tend"));
    const inject = "inject=clone:error=EAGAIN";
    const trace = box.path("trace");
    const strace = box.start(
      ["strace", "-o", trace, "-e", inject, "-p", `${monitor}`],
    );
    await box.until(
      "it is traced",
      () => strace.stderr().includes("attached"),
    );
    Deno.kill(daemon, "SIGSEGV");
    await box.until(
      "it has failed twice",
      () => (box.read(trace) ?? "").split("(INJECTED)").length > 2,
    );
    assertEquals(isAsleep(monitor), true);
    Deno.kill(strace.pid, "SIGINT");
    await strace.finished();
    assertEquals(parentOf(await successorOf(daemon, box)), monitor);
    await untilAsleep(box, monitor);
    const [fd] = [...fdsOf(monitor)]
      .find(([, file]) => file === box.path("tend"))!;
    assertEquals(Deno.statSync(`/proc/${monitor}/fd/${fd}`).ino, ino);
    assertEquals(logOf(box).includes("does not start"), false);
  },
});

Deno.test({
  name: "a monitor waits while something is mounted over /proc",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const { daemon, monitor } = await startAsleep(box, [
      ...["unshare", "-Urm", TEND, ...SLEEPY, ...SLEEP_600],
    ]);
    const inside = [
      ...["nsenter", `--target=${monitor}`, "--user", "--mount"],
      "--preserve-credentials",
    ];
    const mount = ["mount", "-t", "tmpfs", "none", "/proc"];
    const { code, stderr } = await box.run([...inside, ...mount]);
    assertEquals([code, stderr], [0, ""]);
    Deno.kill(daemon, "SIGSEGV");
    await untilItLacks(box, monitor);
    await waitALife();
    assertEquals([isAsleep(monitor), isAlive(monitor)], [true, true]);
    await box.run([...inside, "umount", "/proc"]);
    assertEquals(parentOf(await successorOf(daemon, box)), monitor);
  },
});

Deno.test({
  name: "a monitor that cannot tell its limits stays awake, and says so",
  ignore: await lacks(["strace"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const inject = "inject=prlimit64:error=EPERM";
    const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject];
    const daemon = box.start([...strace, TEND, ...SLEEPY, ...SLEEP_600]);
    const pid = await box.until(
      "the daemon runs",
      () => box.holder("web.pid"),
    );
    await box.until("it is said", () =>
      logOf(box).includes(
        "cannot sleep: getrlimit failed (Operation not permitted), staying awake",
      ));
    Deno.kill(pid, "SIGSEGV");
    await successorOf(pid, box);
    assertEquals((await box.tend("stop", "web")).code, 0);
    await daemon.finished();
  },
});
