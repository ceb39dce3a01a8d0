import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { Launcher } from "../../lib/launch.ts";
import { obstacleOf } from "../../lib/pidfile.ts";
import { readPidfile } from "../../lib/pidfile_state.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { openFdCount } from "../descriptors.ts";
import {
  childrenThatEnded,
  LaunchedChild,
  launchSleep,
  leavePidfile,
  SLEEP,
} from "../launched.ts";
import { fdsOf } from "../proc.ts";
import { holdLock } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

// What becomes of the pidfile that the last daemon has left.

setLevels("console:off");

/** What there is of a directory: names, and files as they are. */
function tree(dir: string): unknown[] {
  return [...Deno.readDirSync(dir)].map(({ name, isFile }) => {
    const { ino, mode, uid } = Deno.lstatSync(`${dir}/${name}`);
    const text = isFile ? Deno.readTextFileSync(`${dir}/${name}`) : undefined;
    return { name, ino, mode, uid, text };
  }).sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Has a launch declined, and looks for what it has changed. */
function assertDeclined(launcher: Launcher, dir: string): void {
  const [before, fds] = [tree(dir), openFdCount()];
  assertEquals(launcher.launch(false), { kind: "declined" });
  assertEquals(tree(dir), before);
  assertEquals(openFdCount(), fds);
  assertEquals(childrenThatEnded(), []);
}

/** What identifies a file, and who may do what with it. */
function identityOf(path: string): unknown {
  const { dev, ino, mode, nlink, uid } = Deno.lstatSync(path);
  return { dev, ino, mode, nlink, uid };
}

Deno.test("new Launcher() leaves nothing, and the pidfile as it is", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  // What is loaded or mapped once stays.
  new Launcher(SLEEP, path);
  const [before, fds] = [tree(box.dir), openFdCount()];
  const { mtime } = Deno.statSync(path);
  new Launcher(SLEEP, path);
  assertEquals([tree(box.dir), openFdCount()], [before, fds]);
  assertEquals(Deno.statSync(path).mtime, mtime);
  assertEquals(childrenThatEnded(), []);
});

Deno.test("launch() takes over the very pidfile, and the command holds its lock at 100 or above", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  const before = identityOf(path);
  using child = launchSleep(path);
  assertEquals(Deno.readTextFileSync(path), `${child.pid}\n`);
  assertEquals(readPidfile(path), child.pid);
  assertEquals(identityOf(path), before);
  assertEquals([...Deno.readDirSync(box.dir)].length, 1);
  const [[fd] = [-1]] = [...fdsOf(child.pid)].filter(([, to]) => to === path);
  assertGreaterOrEqual(fd, 100);
});

Deno.test("launch() can be repeated, and declines while the command runs", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  const before = identityOf(path);
  const launcher = new Launcher(SLEEP, path);
  for (let i = 0; i < 20; i++) {
    using child = new LaunchedChild(launcher);
    assertDeclined(launcher, box.dir);
    assertEquals(readPidfile(path), child.pid);
    assertEquals(identityOf(path), before);
  }
});

Deno.test("launch() takes over the pidfile of a daemon that ran when it was prepared", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  const pid = await holdLock(box, path, (pid) => `${pid}\n`);
  const launcher = new Launcher(SLEEP, path);
  assertDeclined(launcher, box.dir);
  assertEquals(readPidfile(path), pid);
  Deno.kill(pid, "SIGKILL");
  await box.until("its lock is gone", () => readPidfile(path) < 0);
  using child = new LaunchedChild(launcher);
  assertEquals(readPidfile(path), child.pid);
});

Deno.test("launch() makes the ordinary way refuse while the command runs", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  using child = launchSleep(path);
  assertEquals(
    obstacleOf(path),
    `${path}: already running as pid ${child.pid}, aborting`,
  );
});

/** What a pidfile that nobody has locked may hold. */
const CONTENTS: Record<string, string> = {
  "nothing": "",
  "a shorter number": "9\n",
  "a longer number": "1234567890\n",
  "a number without a line feed": "1234567890",
  "many lines": "1\n".repeat(5000),
  "no number": "garbage",
};

for (const [what, text] of Object.entries(CONTENTS)) {
  Deno.test(`launch() leaves its number alone in a pidfile with ${what}`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    Deno.writeTextFileSync(path, text, { mode: 0o644 });
    const before = identityOf(path);
    const launcher = new Launcher(SLEEP, path);
    for (let i = 0; i < 2; i++) {
      using child = new LaunchedChild(launcher);
      assertEquals(box.read(path), `${child.pid}\n`);
      assertEquals(readPidfile(path), child.pid);
      // The daemon may have written it anew, and then died.
      Deno.writeTextFileSync(path, text);
    }
    assertEquals(identityOf(path), before);
  });
}

Deno.test("launch() keeps the mode that the pidfile had when it was prepared", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  Deno.chmodSync(path, 0o600);
  using child = launchSleep(path);
  assertEquals(readPidfile(path), child.pid);
  assertEquals(Deno.statSync(path).mode! & 0o7777, 0o600);
});

Deno.test("launch() does not care for the temporary file of a start that is under way", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  const other = await holdLock(box, `${path}.tmp`, (pid) => `${pid}\n`);
  using child = launchSleep(path);
  assertEquals(readPidfile(path), child.pid);
  assertEquals(box.pidIn(`${path}.tmp`), other);
});

/** What may have the name of a pidfile and is not for us to take over. */
const IN_THE_WAY: Record<string, (path: string, box: Sandbox) => unknown> = {
  "nothing": () => {},
  "a directory": (path) => Deno.mkdirSync(path),
  "a FIFO": (path) => new Deno.Command("mkfifo", { args: [path] }).outputSync(),
  "a link to nothing": (path, box) => Deno.symlinkSync(box.path("no"), path),
  "a link to a file": (path, box) =>
    Deno.symlinkSync(leavePidfile(box.path("other")), path),
  "a link to a device": (path) => Deno.symlinkSync("/dev/null", path),
  "a file of two names": (path, box) =>
    Deno.linkSync(leavePidfile(box.path("other")), path),
  // Nobody else may be root, and root alone can give files away.
  ...Deno.uid() === 0 && {
    "another user's file": (path: string) =>
      Deno.chownSync(leavePidfile(path), 1, null),
  },
};

for (const [what, make] of Object.entries(IN_THE_WAY)) {
  Deno.test(`launch() declines when ${what} has the pidfile's name from the beginning`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    make(path, box);
    const launcher = new Launcher(SLEEP, path);
    assertDeclined(launcher, box.dir);
    // Nor later: it has not seen a pidfile.
    if (what !== "nothing") Deno.removeSync(path);
    leavePidfile(path);
    assertDeclined(launcher, box.dir);
  });

  Deno.test(`launch() declines when ${what} has the pidfile's name by then`, async () => {
    await using box = await Sandbox.create();
    const path = leavePidfile(box.path("pid"));
    const launcher = new Launcher(SLEEP, path);
    // Kept, so that its number is not another's.
    Deno.renameSync(path, box.path("kept"));
    make(path, box);
    assertDeclined(launcher, box.dir);
  });
}

/** What may have been done to a pidfile since it was seen. */
const DONE: Record<string, (path: string, box: Sandbox) => unknown> = {
  "was exchanged": (path, box) =>
    Deno.renameSync(leavePidfile(box.path("other")), path),
  "has a second name": (path, box) => Deno.linkSync(path, box.path("other")),
  "has another mode": (path) => Deno.chmodSync(path, 0o640),
  ...Deno.uid() === 0 && {
    "has another owner": (path: string) => Deno.chownSync(path, 1, null),
  },
};

for (const [what, change] of Object.entries(DONE)) {
  Deno.test(`launch() declines when the pidfile ${what}`, async () => {
    await using box = await Sandbox.create();
    const path = leavePidfile(box.path("pid"));
    const launcher = new Launcher(SLEEP, path);
    change(path, box);
    assertDeclined(launcher, box.dir);
  });
}

Deno.test("launch() takes over a file that is as it was again", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  const launcher = new Launcher(SLEEP, path);
  Deno.linkSync(path, box.path("other"));
  assertDeclined(launcher, box.dir);
  Deno.removeSync(box.path("other"));
  using child = new LaunchedChild(launcher);
  assertEquals(readPidfile(path), child.pid);
});

for (const path of ["/no/such/pid", "/dev/null/pid", "/proc/pid", "/sys/pid"]) {
  Deno.test(`launch() declines when there can be no ${path}`, async () => {
    await using box = await Sandbox.create();
    assertDeclined(new Launcher(SLEEP, path), box.dir);
  });
}
