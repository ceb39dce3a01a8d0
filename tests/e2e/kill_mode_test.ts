/** What ends with a command, of all that it has started. */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { lacks } from "../binutils.ts";
import { isFree, leaving, leftIn, PLACES, untilLeft } from "../leftovers.ts";
import {
  LOGGED,
  logged,
  logOf,
  MONITORED,
  shown,
  successorOf,
  untilAsleep,
  untilShown,
} from "../monitored.ts";
import { fdsOf, freeze, isAlive, look, parentOf, titleOf } from "../proc.ts";
import { freePort } from "../ready.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { IS_ROOT } from "../verb_calls.ts";

const SLEEP = ["--", "sleep", "600"];
const DONE = { code: 0, stdout: "", stderr: "" };
/** User and group of somebody else. */
const OTHER = [65534, 65534] as const;
/** A first daemon crashes when it has left something, the next one stays. */
const CRASH = "test $before -gt 0 || kill -SEGV $$; exec sleep 600";

for (const place of PLACES) {
  for (const sleep of ["0", "never"]) {
    Deno.test(`tend stop frees the port that a process in ${place} holds, with --kill-mode=tree --sleep-after=${sleep}`, async () => {
      await using box = await Sandbox.create();
      const port = freePort();
      const options = ["--kill-mode=tree", `--sleep-after=${sleep}`];
      await box.tend(
        ...MONITORED,
        ...options,
        ...leaving(box, port, { place }),
      );
      await untilLeft(box);
      assertEquals(isFree(port), false);
      const { monitor } = shown(box)!;
      if (sleep === "0") await untilAsleep(box, monitor);
      assertEquals(await box.tend("stop", "web"), DONE);
      assertEquals([isFree(port), box.processes()], [true, []]);
      assertEquals(box.runFiles(), []);
    });
  }

  for (const mode of ["process", "group"]) {
    const isPart = mode === "group" && place === PLACES[0];
    Deno.test(`tend stop ${isPart ? "ends" : "leaves"} a process in ${place} with --kill-mode=${mode}`, async () => {
      await using box = await Sandbox.create();
      const options = mode === "group" ? [] : [`--kill-mode=${mode}`];
      const command = leaving(box, freePort(), { place });
      await box.tend(...MONITORED, ...options, ...command);
      const left = await untilLeft(box);
      assertEquals(shown(box)!.killMode, mode);
      assertEquals(await box.tend("stop", "web"), DONE);
      assertEquals(box.processes(), isPart ? [] : left);
    });
  }
}

for (const place of PLACES) {
  const mode = place === PLACES[0] ? "group" : "tree";
  const options = [...LOGGED, `--kill-mode=${mode}`];
  const left = { place, isStubborn: true };

  Deno.test(`tend stop kills a process in ${place} that does not end, with --kill-mode=${mode}`, async () => {
    await using box = await Sandbox.create();
    const port = freePort();
    await box.tend(...options, ...leaving(box, port, left));
    await untilLeft(box);
    const pid = box.pidfile("web.pid");
    assertEquals(await box.tend("stop", "--timeout=100ms", "web"), {
      ...DONE,
      stderr: `tend: web: what pid ${pid} has left has not ended within ` +
        "0.1 s of SIGTERM, killed (SIGKILL)\n",
    });
    assertEquals([isFree(port), box.processes()], [true, []]);
    assertEquals(box.runFiles(), []);
  });

  Deno.test(`tend --kill-mode=${mode} restarts after a crash when a process in ${place} has ended`, async () => {
    await using box = await Sandbox.create();
    const port = freePort();
    const command = leaving(box, port, { place, then: CRASH });
    await box.tend(...options, ...command);
    // The port was free for it.
    const [first, second] = await untilLeft(box, 2);
    assertEquals([first, second].map((pid) => isAlive(pid!)), [false, true]);
    assertMatch(
      logOf(box),
      /INFO\|pid \d+ has ended, telling what it has left to end by SIGTERM\n.*ERR\|1 crashes: pid \d+ died, killed \(Segmentation fault\), restarting\n/,
    );
    await box.tend("stop", "web");
    assertEquals([box.processes(), box.runFiles()], [[], []]);
  });

  Deno.test(`tend --kill-mode=${mode} --stop-timeout kills a process in ${place} before it restarts`, async () => {
    await using box = await Sandbox.create();
    const command = leaving(box, freePort(), { ...left, then: CRASH });
    await box.tend(...options, "--stop-timeout=100ms", ...command);
    const [first, second] = await untilLeft(box, 2);
    assertEquals([first, second].map((pid) => isAlive(pid!)), [false, true]);
    assertMatch(
      logOf(box),
      /WARN\|what pid \d+ has left does not end by SIGTERM, killing it\n/,
    );
    await box.tend("stop", "web");
    assertEquals([box.processes(), box.runFiles()], [[], []]);
  });

  Deno.test(`tend stop ends a monitor that waits for a process in ${place}, with --kill-mode=${mode}`, async () => {
    await using box = await Sandbox.create();
    const command = leaving(box, freePort(), { ...left, then: CRASH });
    await box.tend(...options, ...command);
    await untilShown(box, "that", ({ phase }) => phase === "clearing");
    const { stdout } = await box.tend("status", "web");
    assertMatch(stdout, /\nweb {3}clearing /);
    assertEquals(await box.tend("stop", "--timeout=100ms", "web"), {
      ...DONE,
      stderr: "tend: web: what the daemon has left has not ended within " +
        "0.1 s of SIGTERM, killed (SIGKILL)\n",
    });
    assertEquals(leftIn(box).length, 1);
    assertEquals([box.processes(), box.runFiles()], [[], []]);
  });

  Deno.test(`tend restart kills what is left in ${place}, with --kill-mode=${mode}`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...options, ...leaving(box, freePort(), left));
    const [first] = await untilLeft(box);
    const pid = box.pidfile("web.pid");
    assertEquals(await box.tend("restart", "--timeout=100ms", "web"), {
      ...DONE,
      stderr: `tend: web: what pid ${pid} has left has not ended within ` +
        "0.1 s of SIGTERM, killed (SIGKILL)\n",
    });
    assertEquals(isAlive(first!), false);
    assertEquals(isAlive(await successorOf(pid, box)), true);
  });

  Deno.test(`tend stop ends what is in ${place} when the monitor does not answer, with --kill-mode=${mode}`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...options, ...leaving(box, freePort(), left));
    await untilLeft(box);
    await freeze(box, shown(box)!.monitor);
    const { code, stderr } = await box.tend("stop", "--timeout=0", "web");
    assertEquals(code, 0);
    assertEquals(stderr.match(/was not told to end, killed/g)?.length, 2);
    assertEquals([box.processes(), box.runFiles()], [[], []]);
  });

  Deno.test(`tend --kill-mode=${mode} ends what a command in ${place} leaves that is not ready in time`, async () => {
    await using box = await Sandbox.create();
    const port = freePort();
    const ready = ["--ready=file=/nowhere", "--ready-timeout=2s"];
    // It is there in time or it is not.
    const command = leaving(box, port, left);
    const { code } = await box.tend(
      ...[...options, ...ready, "--stop-timeout=100ms", ...command],
    );
    assertEquals(code, 1);
    assertEquals([isFree(port), box.processes()], [true, []]);
  });
}

for (const wish of ["restart", "stop"]) {
  Deno.test(`tend ${wish} makes no secret of a crash whose leftovers are ended`, async () => {
    await using box = await Sandbox.create();
    const hook = `--on-crash=echo "$TEND_END" >>'${box.path("crashed")}'`;
    const left = { place: PLACES[0], isStubborn: true, then: CRASH };
    const command = leaving(box, freePort(), left);
    await box.tend(...LOGGED, hook, ...command);
    const { pid, lastEnd } = await untilShown(
      box,
      "that it is cleared up",
      ({ phase }) => phase === "clearing",
    );
    assertEquals(
      [lastEnd?.pid, lastEnd?.text],
      [pid, "killed (Segmentation fault)"],
    );
    assertEquals((await box.tend(wish, "--timeout=50ms", "web")).code, 0);
    await logged(
      box,
      `ERR|1 crashes: pid ${pid} died, killed (Segmentation fault)`,
    );
    await box.until(
      "the hook was run",
      () => box.read(box.path("crashed")) === `${lastEnd!.text}\n`,
    );
    const { crashes, restarts } = shown(box) ?? {};
    if (wish === "restart") assertEquals([crashes, restarts], [1, 1]);
    else assertEquals([box.processes(), box.runFiles()], [[], []]);
  });
}

Deno.test("tend --watchdog ends what a command has left that hangs, before the next one", async () => {
  await using box = await Sandbox.create();
  const command = leaving(box, freePort(), { place: PLACES[0] });
  await box.tend(...MONITORED, "--watchdog=2s", ...command);
  const [first] = await untilLeft(box, 2);
  assertEquals(isAlive(first!), false);
});

Deno.test("tend --kill-mode=tree in the foreground ends what COMMAND leaves, and has its status", async () => {
  await using box = await Sandbox.create();
  const command = leaving(box, freePort(), {
    place: PLACES[1],
    then: "exit 7",
  });
  const { code } = await box.tend("--kill-mode=tree", ...command);
  assertEquals(code, 7);
  assertEquals(box.processes(), []);
});

Deno.test("tend in the foreground leaves COMMAND in its own process group", async () => {
  await using box = await Sandbox.create();
  const tend = box.start([TEND, "--pidfile=web.pid", "--", "sleep", "600"]);
  const pid = await box.until("COMMAND runs", () => box.holder("web.pid"));
  assertEquals(look(pid)!.pgrp, look(tend.pid)!.pgrp);
});

/** Kills a daemon's monitor. */
async function killMonitor(box: Sandbox): Promise<void> {
  const { monitor } = shown(box)!;
  Deno.kill(monitor, "SIGKILL");
  await box.until("it is gone", () => !isAlive(monitor));
}

Deno.test("tend stop ends the group of a daemon whose monitor was killed", async () => {
  await using box = await Sandbox.create();
  const left = { place: PLACES[0], isStubborn: true };
  const options = ["--stop-timeout=100ms"];
  await box.tend(...MONITORED, ...options, ...leaving(box, freePort(), left));
  const [first] = await untilLeft(box);
  await killMonitor(box);
  assertEquals(await box.tend("stop", "web"), {
    code: 0,
    stdout: "",
    stderr: `tend: web: pid ${first} has not ended within 0.1 s of SIGTERM, ` +
      "killed (SIGKILL)\n",
  });
  assertEquals([box.processes(), box.runFiles()], [[], []]);
});

Deno.test("tend stop ends what is below a daemon of --kill-mode=tree whose monitor was killed, and says that there may be more", async () => {
  await using box = await Sandbox.create();
  const script = 'setsid sh -c "sleep 601 & wait" & wait';
  await box.tend(
    ...MONITORED,
    "--kill-mode=tree",
    ...["--", "sh", "-c", script],
  );
  await box.until(
    "it is there",
    () => box.processes().some((pid) => titleOf(pid) === "sleep 601"),
  );
  const { pid } = shown(box)!;
  await killMonitor(box);
  assertEquals(await box.tend("stop", "web"), {
    code: 0,
    stdout: "",
    stderr:
      `tend: web: its monitor was killed: only what is below pid ${pid} ` +
      "is ended with it, what has lost its parent cannot be found\n",
  });
  assertEquals([box.processes(), box.runFiles()], [[], []]);
});

/** A daemon has crashed, and its monitor was killed while it ended the rest. */
async function leftByKilledMonitor(
  box: Sandbox,
): Promise<{ first: number; pid: number }> {
  const left = { place: PLACES[0], isStubborn: true, then: CRASH };
  const options = ["--stop-timeout=1h"];
  await box.tend(...MONITORED, ...options, ...leaving(box, freePort(), left));
  const [first] = await untilLeft(box);
  const { pid } = await untilShown(
    box,
    "it",
    ({ phase }) => phase === "clearing",
  );
  await killMonitor(box);
  return { first: first!, pid };
}

Deno.test("tend stop says what is left of a daemon whose monitor was killed while it ended that", async () => {
  await using box = await Sandbox.create();
  const { first, pid } = await leftByKilledMonitor(box);
  const isLeft = `its monitor was killed, and pid ${first} seems to be left ` +
    `of pid ${pid}, left alone: end it by kill`;
  const { code, stderr } = await box.tend("stop", "web");
  assertEquals(code, 0);
  assertEquals(stderr.split("\n")[0], `tend: web: ${isLeft}`);
  assertEquals([isAlive(first!), box.runFiles()], [true, []]);
});

Deno.test("tend says what is left of a daemon whose monitor was killed while it ended that, and starts another", async () => {
  await using box = await Sandbox.create();
  const { first, pid } = await leftByKilledMonitor(box);
  const again = [...LOGGED, "--", "sleep", "600"];
  const { code, stderr } = await box.tend(...again);
  assertEquals(code, 0);
  const isLeft = `${box.runPath("web.pid")}: its monitor was killed, and pid ` +
    `${first} seems to be left of pid ${pid}, left alone: end it by kill\n`;
  assertStringIncludes(stderr, isLeft);
  assertStringIncludes(logOf(box), isLeft);
  assertEquals(isAlive(first!), true);
  // Nothing is said of one that runs, but that.
  await killMonitor(box);
  const refused = await box.tend(...again);
  assertEquals([refused.code, refused.stderr], [
    1,
    `tend: ${box.runPath("web.pid")}: already running as pid ` +
    `${box.pidfile("web.pid")}, aborting\n`,
  ]);
});

Deno.test("tend refuses beside a monitor that ends what a crash has left", async () => {
  await using box = await Sandbox.create();
  const left = { place: PLACES[0], isStubborn: true, then: CRASH };
  const options = ["--kill-mode=group", "--stop-timeout=1h"];
  await box.tend(...MONITORED, ...options, ...leaving(box, freePort(), left));
  const [first] = await untilLeft(box);
  const { monitor, pid } = await untilShown(
    box,
    "it",
    ({ phase }) => phase === "clearing",
  );
  assertEquals(await box.tend(...MONITORED, ...SLEEP), {
    code: 1,
    stdout: "",
    stderr: `tend: ${box.runPath("web.pid")}: already monitored by pid ` +
      `${monitor} (ending what pid ${pid} has left), aborting\n`,
  });
  assertEquals(isAlive(first!), true);
});

Deno.test("tend waits for a monitor that ends, with what its daemon has left", async () => {
  await using box = await Sandbox.create();
  const left = { place: PLACES[0], isStubborn: true, then: "exit 0" };
  const options = ["--kill-mode=group", "--stop-timeout=1h"];
  await box.tend(...MONITORED, ...options, ...leaving(box, freePort(), left));
  const [first] = await untilLeft(box);
  await untilShown(box, "it", ({ phase }) => phase === "clearing");
  const second = box.start([TEND, ...MONITORED, ...SLEEP]);
  await box.until(
    "the second waits",
    () =>
      box.processes().some((pid) =>
        [...fdsOf(pid).values()].includes("anon_inode:inotify")
      ),
  );
  Deno.kill(first!, "SIGKILL");
  const { code, stderr } = await second.finished();
  assertEquals([code, stderr], [0, ""]);
});

Deno.test("tend --kill-mode=tree leaves alone what it had as a shell, and --on-crash", async () => {
  await using box = await Sandbox.create();
  const hook = 'until test -e "$TEND_HOOK"; do sleep 0.01; done; ' +
    'echo >"$TEND_HOOK.done"';
  const script = 'sleep 600 & echo $! >sleeper; exec "$@"';
  const options = ["--kill-mode=tree", "--monitor", "--name=web"]
    .concat("--pidfile=web.pid", `--on-crash=${hook}`, "--log-file");
  const command = leaving(box, freePort(), { place: PLACES[1], then: CRASH });
  const shell = ["sh", "-c", script, "sh", TEND, ...options, ...command];
  const env = { TEND_HOOK: box.path("hook") };
  const tend = box.start(shell, { env });
  await untilLeft(box, 2);
  const sleeper = Number(box.read(box.path("sleeper")));
  assertEquals(parentOf(sleeper), tend.pid);
  assertEquals((await box.tend("stop", "web")).code, 0);
  await tend.finished();
  assertEquals(leftIn(box).filter(isAlive), []);
  assertEquals(isAlive(sleeper), true);
  Deno.writeTextFileSync(env.TEND_HOOK, "");
  await box.until(
    "the hook has ended",
    () => box.exists(`${env.TEND_HOOK}.done`),
  );
});

Deno.test("tend --kill-mode=tree leaves alone what --on-crash puts in the background", async () => {
  await using box = await Sandbox.create();
  const note = `echo $! >>"$HOOK"`;
  const hook = `sleep 602 & ${note}; setsid sleep 603 & ${note}`;
  const left = { place: PLACES[1], then: CRASH };
  const options = ["--kill-mode=tree", `--on-crash=${hook}`];
  const command = leaving(box, freePort(), left);
  const env = { HOOK: box.path("hook") };
  await box.run([TEND, ...MONITORED, ...options, ...command], { env });
  // Another daemon runs: all that the first one has left has ended.
  const [first] = await untilLeft(box, 2);
  const kept = await box.until("the hook has started them", () => {
    const pids = (box.read(env.HOOK) ?? "").split("\n").slice(0, -1).map(
      Number,
    );
    return pids.length === 2 && pids;
  });
  await box.until(
    "its shell has ended",
    () => kept.every((pid) => !titleOf(parentOf(pid)).startsWith("sh ")),
  );
  assertEquals((await box.tend("stop", "web")).code, 0);
  assertEquals([first!, ...leftIn(box)].filter(isAlive), []);
  assertEquals(kept.filter(isAlive), kept);
  for (const pid of kept) Deno.kill(pid, "SIGKILL");
  await box.until("nobody stays for them", () => box.processes().length === 0);
});

Deno.test("tend --kill-mode=tree ends no logger", async () => {
  await using box = await Sandbox.create();
  const output = [`--output=${box.path("out")}`, "--log-timestamps"];
  const left = { place: PLACES[1], isStubborn: true, then: CRASH };
  const options = ["--kill-mode=tree", "--stop-timeout=50ms", ...output];
  await box.tend(...MONITORED, ...options, ...leaving(box, freePort(), left));
  const logger = () => shown(box)?.outputs[0]?.logger;
  const before = logger()!;
  const [first] = await untilLeft(box, 2);
  assertEquals([isAlive(first!), isAlive(before)], [false, true]);
  assertEquals(logger(), before);
  assertEquals((await box.tend("stop", "web")).code, 0);
  await box.until("all have ended", () => box.processes().length === 0);
});

/** Perl, because a shell would wait for its child. */
const UNKILLABLE = `
  unless ($child = fork) { $< = $> = $ARGV[0]; exit }
  sub state { open my $stat, "<", "/proc/$child/stat"; <$stat> }
  select undef, undef, undef, 0.01 until state =~ /\\) Z /;
  open my $left, ">", "left"; print $left "$$\\n"; close $left;
  sleep 600;
`;

/**
 * Starts a daemon that has left what its monitor may not signal: a process of
 * root's, by a program that is that for everybody. A child of that is the
 * monitor's user's, and keeps the group in the monitor's sight.
 *
 * @returns That process.
 */
async function startUnkillable(
  box: Sandbox,
  ...options: string[]
): Promise<number> {
  const setuid = box.path("setpriv");
  Deno.copyFileSync("/usr/bin/setpriv", setuid);
  Deno.chmodSync(setuid, 0o4755);
  for (const dir of [box.dir, box.path("run"), box.path("log")]) {
    Deno.mkdirSync(dir, { recursive: true });
    Deno.chmodSync(dir, 0o755);
    Deno.chownSync(dir, ...OTHER);
  }
  const script = '"$1" --reuid=0 perl -e "$3" "$2" & wait';
  const [user, group] = OTHER;
  await box.run(
    ["setpriv", `--reuid=${user}`, `--regid=${group}`, "--clear-groups"]
      .concat(TEND, ...LOGGED, "--stop-timeout=50ms", `--chdir=${box.dir}`)
      .concat(
        options,
        "--",
        "sh",
        "-c",
        script,
        "sh",
        setuid,
        `${user}`,
        UNKILLABLE,
      ),
  );
  return await box.until(
    "it is left",
    () => box.pidIn(box.path("left")) || undefined,
  );
}

for (const mode of ["group", "tree"]) {
  Deno.test({
    name: `tend stop says what it could not end, with --kill-mode=${mode}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using box = await Sandbox.create();
      const left = await startUnkillable(box, `--kill-mode=${mode}`);
      const { code, stderr } = await box.tend("stop", "web");
      assertEquals([code, isAlive(left)], [1, true]);
      assertStringIncludes(
        stderr,
        `not stopped: pid ${left} has not ended within 5 s of SIGKILL\n`,
      );
      assertStringIncludes(logOf(box), `going on without pid ${left}\n`);
      assertEquals(stderr.includes("its monitor"), false);
    },
  });

  Deno.test({
    name: `tend restart says what it could not end, with --kill-mode=${mode}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using box = await Sandbox.create();
      const left = await startUnkillable(box, `--kill-mode=${mode}`);
      const first = box.pidfile("web.pid");
      const { code, stderr } = await box.tend("restart", "web");
      assertEquals(code, 0, stderr);
      assertEquals(box.pidfile("web.pid") === first, false);
      assertEquals(
        stderr.split("\n").at(-2),
        `tend: web: restarted, but pid ${left}, left of the old daemon, has ` +
          "not ended within 5 s of SIGKILL",
      );
    },
  });

  Deno.test({
    name:
      `tend waits for what does not end of SIGKILL, with --kill-mode=${mode}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using box = await Sandbox.create();
      await startUnkillable(box, `--kill-mode=${mode}`);
      const { monitor } = shown(box)!;
      Deno.kill(monitor, "SIGTERM");
      await logged(box, "does not end by SIGTERM, killing it\n");
      let before: number | undefined;
      let same = 0;
      await box.until("it does not wake up any more", () => {
        const last = before;
        before = wakeUps(monitor);
        same = before === last ? same + 1 : 0;
        return same === 20;
      });
      assertEquals(shown(box)?.monitor, monitor);
    },
  });
}

/** How often a process has come to wait. */
function wakeUps(pid: number): number {
  return Number(look(pid)!.status.get("voluntary_ctxt_switches"));
}

const STORMS = {
  "forks a successor and ends, again and again":
    'trap "" TERM; setsid sh -c "$0" "$0" & exit',
  "forks sessions without end":
    'trap "" TERM; while :; do setsid sh -c "sleep 600 & sleep 0.1" & ' +
    "sleep 0.01; done",
};

for (const [what, storm] of Object.entries(STORMS)) {
  Deno.test(`tend stop --kill-mode=tree ends one that ${what}`, async () => {
    await using box = await Sandbox.create();
    const script = 'sh -c "$1" "$1" & exec sleep 600';
    await box.tend(
      ...[...MONITORED, "--kill-mode=tree", "--stop-timeout=100ms"],
      ...["--", "sh", "-c", script, "sh", storm],
    );
    await box.until("it has begun", () => box.processes().length > 2);
    assertEquals((await box.tend("stop", "web")).code, 0);
    assertEquals([box.processes(), box.runFiles()], [[], []]);
  });
}

Deno.test("tend stop tells more processes to end than there are descriptors for, with --kill-mode=tree", async () => {
  await using box = await Sandbox.create();
  const polite = 'trap "echo >>told; exit" TERM; echo >>there; ' +
    "while :; do sleep 1 & wait; done";
  const script = 'i=0; while test $i -lt 60; do setsid sh -c "$1" & ' +
    "i=$((i+1)); done; exec sleep 600";
  const words = ["--", "sh", "-c", script, "sh", polite];
  // tend keeps its directory.
  const options = [...LOGGED, "--kill-mode=tree", `--chdir=${box.dir}`];
  const limited = ["sh", "-c", 'ulimit -Sn 40; exec "$@"', "sh"];
  await box.run([...limited, TEND, ...options, ...words]);
  const lines = (file: string) => box.read(box.path(file))?.length ?? 0;
  await box.until("all are there", () => lines("there") === 60);
  assertEquals(await box.tend("stop", "web"), DONE);
  assertEquals([lines("told"), box.processes()], [60, []]);
});

for (const errno of ["EACCES", "EMFILE"]) {
  Deno.test({
    name:
      `tend stop ends COMMAND with --kill-mode=tree when every look fails with ${errno}`,
    ignore: await lacks(["strace"]),
    fn: async () => {
      await using box = await Sandbox.create();
      await box.tend(
        ...[...MONITORED, "--kill-mode=tree", "--sleep-after=never"],
        ...SLEEP,
      );
      const { monitor } = shown(box)!;
      const strace = box.start([
        ...["strace", "-qq", "-o", "/dev/null"],
        ...["-e", `inject=openat,open:error=${errno}`, "-p", `${monitor}`],
      ]);
      await box.until(
        "it is traced",
        () => look(monitor)?.status.get("TracerPid") === `${strace.pid}`,
      );
      assertEquals(await box.tend("stop", "web"), DONE);
      await strace.finished();
      assertEquals([box.processes(), box.runFiles()], [[], []]);
    },
  });
}
