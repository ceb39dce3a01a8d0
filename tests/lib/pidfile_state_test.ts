import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { O_RDONLY } from "../../ffi/file.ts";
import { fstat, statFile } from "../../ffi/file_stat.ts";
import { Errno } from "../../ffi/libc.ts";
import {
  isNoPidfile,
  namesFile,
  type PidfileState,
  pidfileState,
  readPidfile,
  setOurPidfile,
  startObstacle,
} from "../../lib/pidfile_state.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { setLogFile } from "../../lib/vlog_sinks.ts";
import { opened, openFdCount } from "../descriptors.ts";
import { childrenOf, isAlive } from "../proc.ts";
import { ask, CANNOT_UNSHARE, holdLock, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

// Messages are read from a file, where a test wants them.
setLevels("off");

/** A PID namespace of a process's own. */
const UNSHARE = ["unshare", "-Urpf", "--mount-proc"];

/** What may be where a pidfile should; nobody holds a lock on it. */
const UNHELD: Record<string, {
  make: (path: string, box: Sandbox) => unknown;
  /** What readPidfile() says. */
  read: keyof typeof Errno;
  /** What pidfileState() says when it may delete; `none` if it does. */
  removed: "none" | "noPidfile" | keyof typeof Errno;
}> = {
  "no file": { make: () => {}, read: "ENOENT", removed: "none" },
  "a stale file": {
    make: (path) => Deno.writeTextFileSync(path, "1\n"),
    read: "ESRCH",
    removed: "none",
  },
  "an empty file": {
    make: (path) => Deno.writeTextFileSync(path, ""),
    read: "ESRCH",
    removed: "none",
  },
  "an old pidfile with more than a number": {
    make: (path) => Deno.writeTextFileSync(path, " 12 \n/var/lib/db\n"),
    read: "ESRCH",
    removed: "none",
  },
  "a file of zeros": {
    make: (path) => Deno.writeTextFileSync(path, "\0".repeat(200)),
    read: "ESRCH",
    removed: "none",
  },
  "somebody's text": {
    make: (path) => Deno.writeTextFileSync(path, "2 be or not 2 be\n"),
    read: "ESRCH",
    removed: "noPidfile",
  },
  "a text behind an empty line": {
    make: (path) => Deno.writeTextFileSync(path, "\nto be\n"),
    read: "ESRCH",
    removed: "noPidfile",
  },
  "a directory": {
    make: (path) => Deno.mkdirSync(path),
    read: "EISDIR",
    removed: "EISDIR",
  },
  "a FIFO": {
    make: (path, box) => box.run(["mkfifo", path]),
    read: "EINVAL",
    removed: "EINVAL",
  },
  "a symbolic link to itself": {
    make: (path) => Deno.symlinkSync(path, path),
    read: "ELOOP",
    removed: "ELOOP",
  },
};

for (const [what, { make, read, removed }] of Object.entries(UNHELD)) {
  Deno.test(`readPidfile() is -${read} for ${what}`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    await make(path, box);
    assertEquals(readPidfile(path), -Errno[read]);
  });

  Deno.test(`readPidfile() leaves ${what} as it is, and no descriptor`, async () => {
    await using box = await Sandbox.create();
    await make(box.path("pid"), box);
    const names = () =>
      [...Deno.readDirSync(box.dir)].map(({ name }) => name).sort();
    const before = [names(), openFdCount()];
    readPidfile(box.path("pid"));
    assertEquals([names(), openFdCount()], before);
  });

  Deno.test(`pidfileState() that may delete is ${removed} for ${what}`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    await make(path, box);
    const expected: PidfileState = removed === "none" || removed === "noPidfile"
      ? { kind: removed }
      : { kind: "error", errno: Errno[removed] };
    assertEquals(pidfileState(path, true), expected);
    assertEquals(isThere(path), removed !== "none");
  });
}

Deno.test("pidfileState() that may not delete is none where its daemon has just removed the file", async () => {
  await using box = await Sandbox.create();
  using _log = logTo(box.path("log"));
  assertEquals(pidfileState(box.path("pid"), false), { kind: "none" });
  // A start that has looked right before says nothing, and goes on.
  assertEquals(box.read(box.path("log")), "");
});

Deno.test("readPidfile() is -ENOTDIR below a file", () => {
  assertEquals(readPidfile("/etc/passwd/web.pid"), -Errno.ENOTDIR);
});

Deno.test({
  name: "readPidfile() is -EACCES for a file that may not be read",
  ignore: Deno.uid() === 0,
  fn: async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path("pid"), "1\n", { mode: 0 });
    assertEquals(readPidfile(box.path("pid")), -Errno.EACCES);
  },
});

/** How the holder may have written its pid. */
const RUNNING: readonly ((pid: number) => string)[] = [
  (pid) => `${pid}\n`,
  (pid) => `${pid}`,
  (pid) => ` \t${pid} \n`,
  (pid) => `000${pid}\n`,
  (pid) => `${pid}\nanother line\n`,
  (pid) => `${pid}x\n`,
  (pid) => `${pid}\n${"x".repeat(1000)}`,
];

for (const content of RUNNING) {
  const text = JSON.stringify(content(9)).slice(0, 30);
  Deno.test(`readPidfile() is the pid of the holder that wrote ${text} for 9`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    const pid = await holdLock(box, path, content);
    assertEquals(readPidfile(path), pid);
    assertEquals(pidfileState(path, true), { kind: "running", pid });
    assertEquals(isThere(path), true);
  });
}

Deno.test("readPidfile() is -ESRCH for a file that another than its writer has locked", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  using _log = logTo(box.path("log"));
  const pid = await holdLock(box, path, () => "1\n");
  assertEquals(readPidfile(path), -Errno.ESRCH);
  assertMatch(
    box.read(box.path("log"))!,
    RegExp(
      `WARN\\|${path}: stale pidfile for pid 1 being deleted by pid ${pid}\n$`,
    ),
  );
});

Deno.test("readPidfile() is -ESRCH for a locked file that begins with what is a blank in Unicode alone", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  await holdLock(box, path, (pid) => `\ufeff${pid}\n`);
  assertEquals(readPidfile(path), -Errno.ESRCH);
});

for (const content of ["garbage\n", "-1\n", "\n", "99999999999999999999\n"]) {
  Deno.test(`readPidfile() is -ESRCH for a locked file with ${JSON.stringify(content)}`, async () => {
    await using box = await Sandbox.create();
    await holdLock(box, box.path("pid"), () => content);
    assertEquals(readPidfile(box.path("pid")), -Errno.ESRCH);
  });
}

Deno.test("readPidfile() is -ESRCH for a locked file that is empty", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  using _log = logTo(box.path("log"));
  await holdLock(box, path);
  assertEquals(readPidfile(path), -Errno.ESRCH);
  assertMatch(
    box.read(box.path("log"))!,
    /WARN\|.*: read: unexpected end of file\n$/,
  );
});

Deno.test("pidfileState() that may delete is busy while another deletes, and leaves the file", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  await holdLock(box, path, () => "1\n");
  const state = pidfileState(path, true);
  assertEquals(state, { kind: "busy", errno: Errno.ESRCH });
  assertEquals(box.read(path), "1\n");
});

Deno.test("readPidfile() is -ESRCH once the holder has been killed", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const pid = await holdLock(box, path, (pid) => `${pid}\n`);
  assertEquals(readPidfile(path), pid);
  Deno.kill(pid, "SIGKILL");
  await box.until("the holder is gone", () => !isAlive(pid));
  await box.until("so is its lock", () => readPidfile(path) === -Errno.ESRCH);
});

Deno.test({
  name:
    "readPidfile() is the pid here of a holder that has another in its own namespace",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    const outer = await holdLock(box, path, () => "1\n", UNSHARE);
    const [pid] = childrenOf(outer);
    assertEquals(pidfileState(path, true), { kind: "elsewhere", pid: pid! });
    assertEquals(readPidfile(path), pid);
    assertEquals(box.read(path), "1\n");
  },
});

Deno.test({
  name:
    "readPidfile() is -EREMOTE for a holder in a namespace that cannot be seen",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    await holdLock(box, path, (pid) => `${pid}\n`);
    const answer = await ask(
      box,
      `
      import { pidfileState, readPidfile } from "${ROOT}/lib/pidfile_state.ts";
      const [path] = Deno.args;
      console.log(JSON.stringify([readPidfile(path), pidfileState(path, true)]));`,
      { args: [path], under: UNSHARE },
    );
    assertEquals(
      JSON.parse(answer),
      [-Errno.EREMOTE, { kind: "elsewhere" }],
    );
    assertEquals(isThere(path), true);
  },
});

Deno.test("readPidfile() is our own pid for our own file, which it does not open", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  // Were it opened this would be -ESRCH: nobody holds a lock.
  Deno.writeTextFileSync(path, "1\n");
  setOurPidfile(statFile(path));
  assertEquals(readPidfile(path), Deno.pid);
  setOurPidfile(undefined);
  assertEquals(readPidfile(path), -Errno.ESRCH);
});

Deno.test("readPidfile() reads another's file that has our own file's name", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  Deno.writeTextFileSync(path, "1\n");
  using ours = opened(path, O_RDONLY);
  setOurPidfile(fstat(ours.number));
  Deno.writeTextFileSync(box.path("other"), "2\n");
  Deno.renameSync(box.path("other"), path);
  assertEquals(readPidfile(path), -Errno.ESRCH);
  setOurPidfile(undefined);
});

Deno.test("namesFile() is false when nothing has the name", () => {
  assertEquals(namesFile("/no/such/file", statFile("/etc/passwd")), false);
});

const OBSTACLES: readonly [PidfileState, string | undefined][] = [
  [{ kind: "none" }, undefined],
  [{ kind: "running", pid: 123 }, "p: already running as pid 123, aborting"],
  [
    { kind: "elsewhere", pid: 5 },
    "p: already running (in another PID namespace), aborting",
  ],
  [
    { kind: "busy", errno: Errno.EAGAIN },
    "p: pidfile check failed (Resource temporarily unavailable), aborting",
  ],
  [
    { kind: "error", errno: Errno.EACCES },
    "p: pidfile check failed (Permission denied), aborting",
  ],
];

for (const [state, message] of OBSTACLES) {
  Deno.test(`startObstacle() is ${message} when the state is ${state.kind}`, () => {
    assertEquals(startObstacle("p", state), message);
  });
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Has messages go to a file until that is disposed. */
function logTo(path: string): Disposable {
  setLogFile(path);
  setLevels("file:dbg");
  return { [Symbol.dispose]: () => setLevels("file:off") };
}

Deno.test("isNoPidfile() is true of what holds no number, or is no regular file", async () => {
  await using box = await Sandbox.create();
  const path = box.path("app.conf");
  for (const text of ["", "precious\n", "4242", "4242 and more\n"]) {
    Deno.writeTextFileSync(path, text);
    assertEquals(isNoPidfile(path), true, text);
  }
  assertEquals(isNoPidfile(box.dir), true);
});

Deno.test("isNoPidfile() is false of a pidfile, and of one that has gone", async () => {
  await using box = await Sandbox.create();
  const path = box.path("web.pid");
  assertEquals(isNoPidfile(path), false);
  Deno.writeTextFileSync(path, "4242\n");
  assertEquals(isNoPidfile(path), false);
});

Deno.test("isNoPidfile() is false of an empty file that a daemon is taking over", async () => {
  await using box = await Sandbox.create();
  const path = box.path("web.pid");
  Deno.writeTextFileSync(path, "");
  await holdLock(box, path);
  assertEquals(isNoPidfile(path), false);
});
