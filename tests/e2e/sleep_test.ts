/** What a monitor is while it sleeps. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import {
  MONITORED,
  SLEEPY,
  startAsleep,
  successorOf,
  untilAsleep,
  wakeOnce,
} from "../monitored.ts";
import {
  fdsOf,
  freeze,
  isAlive,
  isAsleep,
  look,
  parentOf,
  titleOf,
} from "../proc.ts";
import { CANNOT_UNSHARE } from "../program.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const SLEEP_600 = ["--", "sleep", "600"];

Deno.test("tend --monitor sleeps when nothing happens", async () => {
  await using box = await Sandbox.create();
  await startAsleep(box, [TEND, ...MONITORED, ...SLEEP_600]);
});

Deno.test("tend --monitor sleeps again when it has woken up", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startAsleep(
    box,
    [TEND, ...MONITORED, ...SLEEP_600],
  );
  await wakeOnce(box, monitor);
  assertEquals(parentOf(daemon), monitor);
});

Deno.test("tend --sleep-after=never stays awake", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--sleep-after=never", ...SLEEP_600);
  const awake = parentOf(box.pidfile("web.pid")!);
  // Another one has done all this meanwhile.
  await using other = await Sandbox.create();
  await startAsleep(other, [TEND, ...MONITORED, ...SLEEP_600]);
  assertEquals(Deno.readLinkSync(`/proc/${awake}/exe`), TEND);
});

Deno.test("tend --pidfile sleeps under its own arguments, in the foreground too", async () => {
  await using box = await Sandbox.create();
  const argv = [TEND, "--pidfile=web.pid", "--sleep-after=0"];
  const script = 'until [ -e "$1" ]; do sleep 0.01; done; exit 42';
  const go = box.path("go");
  const tend = box.start([...argv, "--", "sh", "-c", script, "sh", go]);
  await box.until("COMMAND runs", () => box.holder("web.pid"));
  await untilAsleep(box, tend.pid);
  assertEquals(titleOf(tend.pid).startsWith(argv.join(" ")), true);
  await wakeOnce(box, tend.pid);
  assertEquals(titleOf(tend.pid).startsWith(argv.join(" ")), true);
  Deno.writeTextFileSync(go, "");
  assertEquals((await tend.finished()).code, 42);
  assertEquals(box.runFiles(), []);
});

Deno.test("tend --detach --pidfile removes the pidfile after a sleep", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startAsleep(
    box,
    [TEND, "--detach", "--pidfile=web.pid", "--sleep-after=0", ...SLEEP_600],
  );
  Deno.kill(daemon, "SIGSEGV");
  await box.until("both have ended", () => !isAlive(monitor));
  assertEquals([...box.runFiles(), ...box.processes()], []);
});

Deno.test("tend --monitor weighs no more than 16 KiB asleep", async () => {
  await using box = await Sandbox.create();
  const argv = ["env", `TEND_TEST_LONG=${"x".repeat(3000)}`, TEND, ...SLEEPY];
  const { monitor } = await startAsleep(box, [...argv, ...SLEEP_600]);
  const rollup = Deno.readTextFileSync(`/proc/${monitor}/smaps_rollup`);
  const [, pss] = /^Pss:\s+(\d+) kB$/m.exec(rollup)!;
  assertLessOrEqual(Number(pss), 16);
});

Deno.test("tend --monitor is not scheduled while it sleeps", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startAsleep(box);
  const switches = () => {
    const { status } = look(monitor)!;
    return ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"]
      .map((name) => status.get(name));
  };
  const before = switches();
  // Another one is started, falls asleep, wakes up and ends meanwhile.
  await using other = await Sandbox.create();
  const { monitor: busy } = await startAsleep(other);
  await wakeOnce(other, busy);
  Deno.kill(busy, "SIGTERM");
  await other.until("it has ended", () => !isAlive(busy));
  assertEquals(switches(), before);
});

/** What can be seen of a monitor from outside. */
function seen(pid: number): Record<string, unknown> {
  const { ppid, pgrp, session, tty, status } = look(pid)!;
  const file = (name: string) => Deno.readTextFileSync(`/proc/${pid}/${name}`);
  const stat = file("stat").slice(file("stat").lastIndexOf(")") + 2).split(" ");
  const lines = [...status].filter(([name]) =>
    /^(Name|Umask|[UG]id|Groups|Sig(Blk|Ign)|Cap\w+|NoNewPrivs|Seccomp|Cpus\w+)$/
      .test(name)
  );
  return {
    ...{ ppid, tty, lines, leads: [pgrp === pid, session === pid] },
    title: titleOf(pid).replace(/pid \d+/, "pid N"),
    cwd: Deno.readLinkSync(`/proc/${pid}/cwd`),
    nice: stat[16],
    environ: file("environ"),
    limits: file("limits"),
    kept: ["oom_score_adj", "coredump_filter", "personality", "cgroup"]
      .map(file),
  };
}

for (
  const options of [MONITORED, ["--detach", "--no-chdir", "--pidfile=web.pid"]]
) {
  Deno.test(`tend ${options.join(" ")} is asleep what it is awake`, async () => {
    const caller = "umask 027; ulimit -Sn 200; ulimit -Sc 0; " +
      "echo 700 >/proc/self/oom_score_adj; " +
      "echo 0x31 >/proc/self/coredump_filter; exec setarch --uname-2.6 " +
      'nice -n 3 env --ignore-signal=HUP,USR2 BAD="$(printf "x\\377")" "$@"';
    const start = async (box: Sandbox, sleepAfter: string) => {
      const argv = [TEND, ...options, `--sleep-after=${sleepAfter}`];
      await box.run(["sh", "-c", caller, "sh", ...argv, ...SLEEP_600]);
      return parentOf(box.pidfile("web.pid")!);
    };
    await using box = await Sandbox.create();
    await using other = await Sandbox.create();
    const monitor = await start(box, "0");
    await untilAsleep(box, monitor);
    const asleep = seen(monitor);
    const awake = seen(await start(other, "never"));
    const inBox = JSON.stringify(awake).replaceAll(other.dir, box.dir)
      .replace("never", "0");
    assertEquals(asleep, JSON.parse(inBox));
    const fds = JSON.stringify([...fdsOf(monitor)]);
    for (let i = 0; i < 20; i++) await wakeOnce(box, monitor);
    assertEquals(seen(monitor), asleep);
    assertEquals(JSON.stringify([...fdsOf(monitor)]), fds);
  });
}

Deno.test("tend --monitor holds no more descriptors asleep than it needs", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startAsleep(box);
  assertEquals(
    [...fdsOf(monitor).values()].sort(),
    [
      ...["/dev/null", "/dev/null", "/dev/null"],
      ...[TEND, "/", box.runPath("web.pid.monitor")],
      ...["anon_inode:[signalfd]", "anon_inode:[timerfd]"],
    ].sort(),
  );
});

Deno.test("tend --monitor sleeps on a terminal, and Ctrl-C ends all", async () => {
  await using box = await Sandbox.create();
  const count = box.path("count");
  // A signal that the monitor passed on as well would be counted twice.
  const script = 'trap "echo >>$1" INT; echo ready; sleep 600 & ' +
    'p=$!; trap "kill $p" EXIT; wait $p; while [ ! -e "$1.end" ]; do sleep 0.01; done';
  Deno.writeTextFileSync(
    box.path("run.sh"),
    `exec ${
      [TEND, "--monitor", "--pidfile=web.pid", "--sleep-after=0"].join(" ")
    } -- sh -c '${script}' sh ${count}\n`,
  );
  // The terminal's other end stays open until the test writes to it.
  const typed = box.path("typed");
  const feed = `until [ -e ${typed} ]; do sleep 0.01; done; printf '\\003'; ` +
    "sleep 600";
  const terminal = `(${feed}) | script -qec "sh ${
    box.path("run.sh")
  }" /dev/null`;
  box.start(["sh", "-c", terminal]);
  const daemon = await successorOf(undefined, box);
  const monitor = parentOf(daemon);
  await untilAsleep(box, monitor);
  assert(look(monitor)!.tty !== 0);
  Deno.writeTextFileSync(typed, "");
  await box.until("COMMAND has the signal", () => box.read(count));
  await untilAsleep(box, monitor);
  assertEquals(box.read(count), "\n");
  Deno.writeTextFileSync(`${count}.end`, "");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assertEquals(box.runFiles(), []);
});

Deno.test("tend --monitor sleeps through SIGSTOP and SIGCONT", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startAsleep(box);
  await freeze(box, monitor);
  Deno.kill(monitor, "SIGCONT");
  await untilAsleep(box, monitor);
  Deno.kill(daemon, "SIGSEGV");
  await successorOf(daemon, box);
});

Deno.test("fifty monitors wake up at once", async () => {
  await using box = await Sandbox.create();
  const names = Array.from({ length: 50 }, (_, i) => `${i}.pid`);
  const start = (name: string) =>
    box.tend(
      ...["--detach", "--monitor", `--pidfile=${name}`, "--sleep-after=0"],
      ...SLEEP_600,
    );
  // Some at a time: the load of a crowd is for the wakers.
  for (let i = 0; i < names.length; i += 10) {
    await Promise.all(names.slice(i, i + 10).map(start));
  }
  const daemons = names.map((name) => box.pidfile(name)!);
  const monitors = daemons.map(parentOf);
  await box.until("all sleep", () => monitors.every(isAsleep));
  for (const pid of daemons) Deno.kill(pid, "SIGSEGV");
  await box.until("each has its successor", () =>
    names.every((name, i) => {
      const pid = box.pidfile(name);
      return pid !== undefined && pid !== daemons[i] &&
        look(pid)?.status.get("Name") === "sleep" &&
        look(pid)?.ppid === monitors[i];
    }));
  await box.until("all sleep again", () => monitors.every(isAsleep));
});

Deno.test({
  name: "tend --monitor wakes up where /proc hides a daemon of another user",
  ignore: CANNOT_UNSHARE || Deno.uid() !== 0,
  fn: async () => {
    await using box = await Sandbox.create();
    const command = box.path("web");
    Deno.copyFileSync("/bin/sleep", command);
    Deno.chmodSync(command, 0o4755); // of root, whoever starts it
    for (const name of ["", "run", "log"]) {
      Deno.mkdirSync(box.path(name), { recursive: true });
      Deno.chmodSync(box.path(name), 0o777);
    }
    const script = 'mount -o remount,hidepid=2 /proc && "$@" && : >ready && ' +
      "exec sleep 600";
    box.start([
      ...["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
      ...["sh", "-c", script, "sh"],
      ...["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
      ...[TEND, ...SLEEPY, "--", command, "600"],
    ]);
    await box.until("tend has returned", () => box.exists(box.path("ready")));
    const daemon = box.holder("web.pid")!;
    const monitor = parentOf(daemon);
    await untilAsleep(box, monitor);
    await wakeOnce(box, monitor);
    Deno.kill(monitor, "SIGTERM");
    await box.until(
      "both have ended",
      () => !isAlive(monitor) && !isAlive(daemon),
    );
    assertEquals(box.runFiles(), []);
  },
});
