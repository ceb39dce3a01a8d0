/** What becomes of monitors that sleep when their program is replaced. */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  logged,
  logOf,
  SLEEPY,
  startAsleep,
  successorOf,
} from "../monitored.ts";
import { untilAsleep, wakeOnce } from "../monitored.ts";
import { fdsOf, isAlive, isAsleep, parentOf } from "../proc.ts";
import { ROOT } from "../program.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { runStaged } from "../staged.ts";

const SLEEP_600 = ["--", "sleep", "600"];

/** Puts a program into the sandbox the way package managers do. */
function install(box: Sandbox): { path: string; inode: number } {
  const path = box.path("tend");
  Deno.copyFileSync(TEND, `${path}.new`);
  Deno.renameSync(`${path}.new`, path);
  return { path, inode: Deno.statSync(path).ino! };
}

/** Replaces it by a script. */
function installScript(box: Sandbox, script: string): void {
  const path = box.path("tend");
  Deno.writeTextFileSync(`${path}.new`, script, { mode: 0o755 });
  Deno.renameSync(`${path}.new`, path);
}

/** The inode of the program that was awake last. */
function programOf(monitor: number): number {
  const [fd] = [...fdsOf(monitor)].find(([, file]) => /\/tend\b/.test(file))!;
  return Deno.statSync(`/proc/${monitor}/fd/${fd}`).ino!;
}

/** Starts a daemon under the sandbox's own program. */
function startOwn(box: Sandbox): ReturnType<typeof startAsleep> {
  return startAsleep(box, [box.path("tend"), ...SLEEPY, ...SLEEP_600]);
}

Deno.test("a new program takes over from the old one as monitors wake up", async () => {
  await using box = await Sandbox.create();
  const old = install(box);
  const monitors = await Promise.all([0, 1, 2, 3].map(async (i) => {
    const options = ["--detach", "--monitor", "--sleep-after=0"];
    await box.run([old.path, ...options, `--pidfile=${i}.pid`, ...SLEEP_600]);
    const daemon = box.pidfile(`${i}.pid`)!;
    return { daemon, monitor: parentOf(daemon) };
  }));
  const [crashing, stopping, told, idle] = monitors as [
    ...[typeof monitors[0], typeof monitors[0], typeof monitors[0]],
    typeof monitors[0],
  ];
  await box.until(
    "all sleep",
    () => monitors.every(({ monitor }) => isAsleep(monitor)),
  );
  const { inode } = install(box);
  assertNotEquals(inode, old.inode);

  Deno.kill(crashing.daemon, "SIGSEGV");
  Deno.kill(stopping.monitor, "SIGTERM");
  Deno.kill(told.daemon, "SIGTERM");
  await box.until("0.pid names a new daemon", () => {
    const pid = box.pidfile("0.pid");
    return pid !== undefined && pid !== crashing.daemon &&
      pid === box.holder("0.pid");
  });
  await box.until(
    "the others have ended",
    () => ![stopping, told].some(({ monitor }) => isAlive(monitor)),
  );
  assertEquals(box.runFiles(), [
    "0.pid",
    "0.pid.monitor",
    "3.pid",
    "3.pid.monitor",
  ]);
  await untilAsleep(box, crashing.monitor);
  assertEquals(programOf(crashing.monitor), inode);
  // No daemon is touched that has done nothing.
  assertEquals(programOf(idle.monitor), old.inode);
  assertEquals(parentOf(idle.daemon), idle.monitor);
});

Deno.test("a monitor whose program was removed goes on with what it was", async () => {
  await using box = await Sandbox.create();
  const { inode, path } = install(box);
  const { daemon: first, monitor } = await startOwn(box);
  Deno.removeSync(path);
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  assertEquals(parentOf(second), monitor);
  await untilAsleep(box, monitor);
  for (let i = 0; i < 3; i++) await wakeOnce(box, monitor);
  assertEquals(programOf(monitor), inode);
  Deno.kill(monitor, "SIGTERM");
  await box.until(
    "all have ended",
    () => !isAlive(monitor) && !isAlive(second),
  );
  assertEquals(box.runFiles(), []);
});

Deno.test("a monitor whose program was removed takes the next one that is installed", async () => {
  await using box = await Sandbox.create();
  const { path } = install(box);
  const { daemon, monitor } = await startOwn(box);
  Deno.removeSync(path);
  await wakeOnce(box, monitor);
  const { inode } = install(box);
  Deno.kill(daemon, "SIGSEGV");
  assertEquals(parentOf(await successorOf(daemon, box)), monitor);
  await untilAsleep(box, monitor);
  assertEquals(programOf(monitor), inode);
});

for (
  const [what, put] of [
    ["is no program", (path: string) => Deno.writeTextFileSync(path, "no")],
    ["may not be executed", (path: string) => {
      Deno.writeTextFileSync(path, "#!/bin/sh\n");
      Deno.chmodSync(path, 0o644);
    }],
    ["is a directory", (path: string) => Deno.mkdirSync(path)],
    [
      "has no interpreter",
      (path: string) =>
        Deno.writeTextFileSync(path, "#!/no/such/interpreter\n"),
    ],
  ] as const
) {
  Deno.test(`a monitor goes on with what it was when what has replaced it ${what}`, async () => {
    await using box = await Sandbox.create();
    const { inode, path } = install(box);
    const { daemon, monitor } = await startOwn(box);
    Deno.removeSync(path);
    put(path);
    if (!what.startsWith("may not")) Deno.chmodSync(path, 0o755);
    Deno.kill(daemon, "SIGSEGV");
    assertEquals(parentOf(await successorOf(daemon, box)), monitor);
    await untilAsleep(box, monitor);
    assertEquals(programOf(monitor), inode);
  });
}

Deno.test("a monitor waits while its program is being written", async () => {
  await using box = await Sandbox.create();
  const { inode, path } = install(box);
  const { daemon: first, monitor } = await startOwn(box);
  {
    // Nothing that is open for writing can be executed, by either way.
    using _written = Deno.openSync(path, { write: true });
    Deno.kill(first, "SIGSEGV");
    await box.until("the daemon has ended", () => !isAlive(first));
    // Some other monitor's whole life.
    await using other = await Sandbox.create();
    const { monitor: busy } = await startAsleep(other);
    await wakeOnce(other, busy);
    assertEquals(isAsleep(monitor), true);
    assertEquals(box.pidfile("web.pid"), first);
  }
  const second = await successorOf(first, box);
  await untilAsleep(box, monitor);
  assertEquals([parentOf(second), programOf(monitor)], [monitor, inode]);
});

Deno.test("a monitor that was started through a link follows it", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("bin"));
  Deno.symlinkSync(TEND, box.path("bin/tend"));
  const argv = [box.path("bin/tend"), ...SLEEPY, ...SLEEP_600];
  const { daemon, monitor } = await startAsleep(box, argv);
  Deno.removeSync(box.path("bin/tend"));
  Deno.kill(daemon, "SIGSEGV");
  assertEquals(parentOf(await successorOf(daemon, box)), monitor);
});

Deno.test("an older program refuses a newer record, and the monitor goes on with what it was", async () => {
  await using box = await Sandbox.create();
  const { inode } = install(box);
  const { daemon, monitor } = await startOwn(box);
  // As a newer version's record is to an older program, so is this one's.
  const said = box.path("said");
  Deno.writeTextFileSync(said, "");
  installScript(
    box,
    `#!/usr/bin/env -S ${Deno.execPath()} run --quiet -A --ext=ts
import { dup3 } from "${ROOT}/ffi/duplicate.ts";
import { environment } from "${ROOT}/ffi/environment.ts";
import { execve } from "${ROOT}/ffi/exec.ts";
import { O_WRONLY, open } from "${ROOT}/ffi/file.ts";
const newer = environment().map((entry) =>
  new TextDecoder().decode(entry).replace(/"version":[0-9]+/, '"version":99')
);
dup3(open("${said}", O_WRONLY), 2, 0);
execve("${TEND}", ["${TEND}"], newer);
`,
  );
  await wakeOnce(box, monitor);
  assertMatch(
    box.read(said) ?? "",
    /^tend: TEND_STAGE is not valid: its version is 99, and this program knows \d+\n$/,
  );
  assertStringIncludes(logOf(box), DOES_NOT_START);
  assertEquals(programOf(monitor), inode);
  Deno.kill(daemon, "SIGSEGV");
  assertEquals(parentOf(await successorOf(daemon, box)), monitor);
});

const DOES_NOT_START = "tend: does not start as this monitor, going on with " +
  "what it was\n";

for (
  const [what, script] of [
    ["fails", "#!/bin/sh\nexit 1\n"],
    ["says nothing of its success", "#!/bin/sh\nexit 0\n"],
    ["kills itself", "#!/bin/sh\nkill -KILL $$\n"],
    ["hangs", "#!/bin/sh\nexec sleep 60\n"],
  ] as const
) {
  Deno.test(`a monitor goes on with what it was when what has replaced it ${what}`, async () => {
    await using box = await Sandbox.create();
    const { inode } = install(box);
    const { daemon, monitor } = await startOwn(box);
    installScript(box, script);
    Deno.kill(daemon, "SIGSEGV");
    assertEquals(parentOf(await successorOf(daemon, box)), monitor);
    await untilAsleep(box, monitor);
    assertEquals(programOf(monitor), inode);
    assertStringIncludes(logOf(box), DOES_NOT_START);
    // And takes the next one that starts.
    const next = install(box);
    await wakeOnce(box, monitor);
    assertEquals(programOf(monitor), next.inode);
  });
}

Deno.test("a monitor waits while there is no program that starts", async () => {
  await using box = await Sandbox.create();
  const { path, inode } = install(box);
  const { daemon, monitor } = await startOwn(box);
  // Into the very file that is kept, too.
  Deno.writeTextFileSync(path, `#!/bin/sh\necho >>${box.path("tried")}\n`);
  Deno.kill(daemon, "SIGSEGV");
  await box.until("it is tried", () => box.exists(box.path("tried")));
  Deno.copyFileSync(TEND, path);
  assertEquals(parentOf(await successorOf(daemon, box)), monitor);
  await untilAsleep(box, monitor);
  assertEquals(programOf(monitor), inode);
});

/** A record of the process that starts with it: its pid is put in for OWN. */
function woken(state: string): string {
  return '{"version":1,"from":OWN,"role":"woken","keptFd":99,"cwdFd":96,' +
    `"state":${state}}`;
}

const STATE = {
  phase: "running",
  policy: "on-error-signal",
  command: { path: "/bin/true", argv: ["true"], ignored: [] },
  ...{ overwritePidfile: false, detach: false, chdir: false },
  ...{ daemonPid: 1, daemonIsFork: true, everReady: true, crashes: 0 },
  ...{ statusMsg: "healthy", exitStatus: 0, coreDumped: false },
  ...{ signalFd: 98, startupFd: -1, notifyFd: -1, deadlineFd: 97 },
  program: TEND,
};

for (
  const [what, stage, message] of [
    ["is empty", "", /^tend: TEND_STAGE is not valid: it is not JSON\n$/],
    [
      "was cut off",
      '{"version":1,"from":OWN,"role":"wok',
      /^tend: TEND_STAGE is not valid: it is not JSON\n$/,
    ],
    [
      "is of a newer version",
      '{"version":99,"from":OWN,"role":"new"}',
      /^tend: TEND_STAGE is not valid: its version is 99, and this program knows 1\n$/,
    ],
    [
      "has no state",
      '{"version":1,"from":OWN,"role":"woken","keptFd":9,"cwdFd":8}',
      /^tend: TEND_STAGE is not valid: state: .*\n$/,
    ],
    [
      "names a process that is no child",
      woken(JSON.stringify(STATE)),
      /^tend: TEND_STAGE: pid 1 is not a child of pid \d+\n$/,
    ],
    [
      "names descriptors that are not open",
      woken(JSON.stringify({ ...STATE, phase: "backingOff" })),
      /^tend: TEND_STAGE: signalFd 98 is not open\n$/,
    ],
    [
      "is another's",
      woken(JSON.stringify(STATE)).replace("OWN", "1"),
      /^tend: TEND_STAGE is from pid 1, which is not the parent of pid \d+: .*\n$/,
    ],
    [
      "is of a deep nesting",
      "[".repeat(100_000),
      /^tend: TEND_STAGE is not valid: it is not JSON\n$/,
    ],
  ] as const
) {
  Deno.test(`tend starts nothing when TEND_STAGE ${what}`, async () => {
    await using box = await Sandbox.create();
    const options = ["--pidfile=web.pid", "--log-file=log"];
    const argv = [TEND, ...options, "--", "echo", "started"];
    const { code, stdout, stderr } = await runStaged(box, stage, argv);
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(stderr, message);
    assertEquals([box.runFiles(), box.exists(box.path("log"))], [[], false]);
  });
}

Deno.test("a new program logs in the old one's log", async () => {
  await using box = await Sandbox.create();
  install(box);
  const { daemon } = await startOwn(box);
  install(box);
  Deno.kill(daemon, "SIGSEGV");
  await logged(box, /^\S+\|00001\|daemon_unix\(monitor\)\|ERR\|1 crashes: /);
});
