import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import {
  makePidfileName,
  obstacleOf,
  removeLeftovers,
} from "../../lib/pidfile.ts";
import { readPidfile } from "../../lib/pidfile_state.ts";
import { setProgramName } from "../../lib/program_name.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { fdsOf, isAlive } from "../proc.ts";
import {
  holdLock,
  ROOT,
  runProgram,
  startUntilLine,
  STAY,
} from "../program.ts";
import { type Finished, Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

setLevels("console:off");
setProgramName("tend");

/** Makes the pidfile that it is given, and says on which descriptor. */
const MAKE = `
  import { makePidfile } from "${ROOT}/lib/pidfile.ts";
  const [pidfile, overwrite] = Deno.args;
  console.log(makePidfile(pidfile, overwrite === "overwrite"));`;

function make(box: Sandbox, ...args: string[]): Promise<Finished> {
  return runProgram(box, MAKE, { args });
}

const NAMES: readonly [string | undefined, string][] = [
  [undefined, "/run/here/tend.pid"],
  ["web.pid", "/run/here/web.pid"],
  ["sub/web.pid", "/run/here/sub/web.pid"],
  ["./web.pid", "/run/here/./web.pid"],
  ["/srv/web.pid", "/srv/web.pid"],
];

for (const [name, path] of NAMES) {
  Deno.test(`makePidfileName() of ${name} is ${path}`, () => {
    Deno.env.set("TEND_RUNDIR", "/run/here");
    assertEquals(makePidfileName(name), path);
    Deno.env.delete("TEND_RUNDIR");
  });
}

Deno.test("makePidfileName() of an absolute name is that file's, as the kernel has it", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("far/away"), { recursive: true });
  Deno.symlinkSync(box.path("far/away"), box.path("link"));
  Deno.writeTextFileSync(box.path("far/web.pid"), "");
  // `..` is the parent of what the link leads to.
  const name = makePidfileName(box.path("link/../web.pid"));
  const [given, made] = [box.path("link/../web.pid"), name]
    .map((path) => existingInode(path));
  assertEquals(made, given);
});

Deno.test("makePidfile() writes the pid and holds the lock at 100 or above", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const { pid, line } = await startUntilLine(box, MAKE + STAY, {
    args: [path],
  });
  assertEquals(box.read(path), `${pid}\n`);
  assertEquals(readPidfile(path), pid);
  assertEquals(Number(line) >= 100, true, line);
  assertEquals(fdsOf(pid).get(Number(line)), path);
  assertEquals(
    [...Deno.readDirSync(box.dir)].map(({ name }) => name)
      .filter((name) => name.includes("tmp")),
    [],
  );
});

Deno.test("makePidfile() makes a file that others may read", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  await startUntilLine(box, MAKE + STAY, {
    args: [path],
    under: ["sh", "-c", 'umask 022; exec "$@"', "sh"],
  });
  assertEquals(Deno.statSync(path).mode! & 0o7777, 0o644);
});

Deno.test("makePidfile() has the pidfile removed when the process ends", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const { code, stdout } = await runProgram(
    box,
    `${MAKE}
    import { exit } from "${ROOT}/lib/fatal_signal.ts";
    console.log(Deno.lstatSync(pidfile).isFile);
    exit(0);`,
    { args: [path] },
  );
  assertEquals([code, stdout.split("\n")[1]], [0, "true"]);
  assertEquals(box.read(path), undefined);
});

Deno.test("makePidfile() takes a stale one over", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  Deno.writeTextFileSync(path, "1\n");
  const { pid } = await startUntilLine(box, MAKE + STAY, { args: [path] });
  assertEquals(readPidfile(path), pid);
});

Deno.test("makePidfile() takes a stale .tmp over, however long its text", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  Deno.writeTextFileSync(`${path}.tmp`, "1234567890\n1234567890\n");
  const { pid } = await startUntilLine(box, MAKE + STAY, { args: [path] });
  assertEquals(box.read(path), `${pid}\n`);
});

Deno.test("makePidfile() ends the process when the daemon runs already", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const pid = await holdLock(box, path, (pid) => `${pid}\n`);
  const { code, stderr } = await make(box, path);
  assertEquals(
    [code, stderr],
    [1, `tend: ${path}: already running as pid ${pid}, aborting\n`],
  );
  assertEquals(readPidfile(path), pid);
  assertEquals(box.read(`${path}.tmp`), undefined);
});

Deno.test("makePidfile() replaces a locked one when it is to overwrite", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  await holdLock(box, path, (pid) => `${pid}\n`);
  const { pid } = await startUntilLine(box, MAKE + STAY, {
    args: [path, "overwrite"],
  });
  assertEquals([box.read(path), readPidfile(path)], [`${pid}\n`, pid]);
  assertEquals(box.read(`${path}.tmp${pid}`), undefined);
});

/** What may stand in the way, and the message about it. */
const OBSTACLES: readonly {
  what: string;
  make: (path: string, box: Sandbox) => unknown;
  message: (path: string) => string;
}[] = [
  {
    what: "a pidfile that is a directory",
    make: (path) => Deno.mkdirSync(path),
    message: (path) =>
      `${path}: pidfile check failed (Is a directory), aborting`,
  },
  {
    what: "a pidfile that is a FIFO",
    make: (path, box) => box.run(["mkfifo", path]),
    message: (path) =>
      `${path}: pidfile check failed (Invalid argument), aborting`,
  },
  {
    what: "a .tmp that is a symbolic link",
    make: (path) => Deno.symlinkSync("/etc/passwd", `${path}.tmp`),
    message: (path) =>
      `${path}.tmp: create failed (Too many levels of symbolic links)`,
  },
  {
    what: "a .tmp that is a FIFO",
    make: (path, box) => box.run(["mkfifo", `${path}.tmp`]),
    message: (path) => `${path}.tmp: create failed (not a regular file)`,
  },
];

for (const { what, make: prepare, message } of OBSTACLES) {
  Deno.test(`makePidfile() ends the process with a message for ${what}`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    await prepare(path, box);
    const { code, stderr } = await make(box, path);
    const last = stderr.trimEnd().split("\n").at(-1);
    assertEquals([code, last], [1, `tend: ${message(path)}`]);
  });
}

Deno.test("makePidfile() ends the process with a message when the directory is not there", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await make(box, "/no/such/pid");
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tend: \/no\/such\/pid\.tmp: create failed \(No such file or directory\)\n$/,
  );
});

Deno.test({
  name: "makePidfile() refuses a .tmp that is another user's",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using box = await Sandbox.create();
    const path = box.path("pid");
    Deno.writeTextFileSync(`${path}.tmp`, "");
    Deno.chownSync(`${path}.tmp`, 65534, 65534);
    const { code, stderr } = await make(box, path);
    assertEquals([code, stderr], [
      1,
      `tend: ${path}.tmp: create failed ` +
      "(it belongs to user 65534; remove it)\n",
    ]);
  },
});

Deno.test("obstacleOf() leaves a stale pidfile as it is", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("pid"), "1\n");
  assertEquals(obstacleOf(box.path("pid")), undefined);
  assertEquals(box.read(box.path("pid")), "1\n");
});

Deno.test("removeLeftovers() removes a stale pidfile and its .tmp", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  Deno.writeTextFileSync(path, "1\n");
  Deno.writeTextFileSync(`${path}.tmp`, "1\n");
  assertEquals(removeLeftovers(path), true);
  assertEquals([box.read(path), box.read(`${path}.tmp`)], [
    undefined,
    undefined,
  ]);
  assertEquals(removeLeftovers(path), false);
});

Deno.test("removeLeftovers() leaves what another holds", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const pid = await holdLock(box, path, (pid) => `${pid}\n`);
  assertEquals(removeLeftovers(path), false);
  assertEquals([readPidfile(path), isAlive(pid)], [pid, true]);
});

/** The inode of a file, `undefined` without one. */
function existingInode(path: string): number | null | undefined {
  try {
    return Deno.statSync(path).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

Deno.test("makePidfile() keeps its lock when the process reads its own pidfile", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const source = `
    import { readPidfile } from "${ROOT}/lib/pidfile_state.ts";
    ${MAKE.replace("console.log", "void ")}
    console.log(readPidfile(pidfile));
    ${STAY}`;
  const { pid, line } = await startUntilLine(box, source, { args: [path] });
  assertEquals([line, readPidfile(path)], [String(pid), pid]);
});
