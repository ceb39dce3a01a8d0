import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertStringIncludes } from "@std/assert/string-includes";
import { Errno } from "../../ffi/libc.ts";
import { fcntlGetlk } from "../../ffi/lock.ts";
import { O_RDONLY } from "../../ffi/file.ts";
import { bootTime } from "../../ffi/wait.ts";
import { obstacleOf } from "../../lib/pidfile.ts";
import { readPidfile } from "../../lib/pidfile_state.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { opened } from "../descriptors.ts";
import { leavePidfile } from "../launched.ts";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { fdsOf, isAlive } from "../proc.ts";
import { ROOT, startProgram, STAY } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

// What others see in the middle of a launch, which is stopped there.

setLevels("console:off");

/** Where a launch is stopped: after a system call for its pidfile. */
const STOPS = {
  locked: "fcntl:signal=STOP:when=2",
  written: "write:signal=STOP",
};

/** A launch that has been stopped on its way. */
interface Stopped {
  readonly path: string;
  /** The child. */
  readonly pid: number;
  /** What the last daemon has left. */
  readonly before: string;
  /** Has it go on, and waits until the command runs. */
  goOn(): Promise<void>;
}

/**
 * Launches SLEEP in another process, and stops that.
 *
 * @param longer What stands behind the number that the last daemon has left.
 */
async function stopLaunch(
  box: Sandbox,
  stop: keyof typeof STOPS,
  { path = box.path("pid"), longer = "" } = {},
): Promise<Stopped> {
  leavePidfile(path);
  const before = `${box.pidIn(path)}${longer}\n`;
  Deno.writeTextFileSync(path, before);
  const source = `
    import { Launcher } from "${ROOT}/lib/launch.ts";
    import { SLEEP } from "${ROOT}/tests/launched.ts";
    const launcher = new Launcher(SLEEP, Deno.args[0]);
    console.log(launcher.launch(false).kind);`;
  const { stdout } = startProgram(box, source, {
    args: [path],
    under: ["strace", "-f", "-qq", "-o", `${path}.strace`, "-P", path]
      .concat("-e", `inject=${STOPS[stop]}`),
  });
  // By its state alone it cannot be told from one that strace looks at.
  const pid = await box.until("its child has stopped", () => {
    const log = box.read(`${path}.strace`) ?? "";
    return log.includes("--- stopped by SIGSTOP ---") && holderOf(path);
  });
  const goOn = async () => {
    Deno.kill(pid, "SIGCONT");
    await box.until("the command runs", () => stdout() === "ready\n");
  };
  return { path, pid, before, goOn };
}

function holderOf(path: string): number | undefined {
  using file = opened(path, O_RDONLY);
  return fcntlGetlk(file.number);
}

/** Whether a process waits for another to let go of a pidfile. */
function waits(pid: number): boolean {
  return isAlive(pid) && [...fdsOf(pid).values()]
    .some((file) => file.includes("inotify"));
}

/** Makes the pidfile, as every start does, and stays. */
const MAKE = `
  import { makePidfile } from "${ROOT}/lib/pidfile.ts";
  import { setLevels } from "${ROOT}/lib/vlog_levels.ts";
  setLevels("console:off");
  console.log(makePidfile(Deno.args[0], false));
  ${STAY}`;

/** Refuses where a daemon runs, as a start does; says how long it has looked. */
const CHECK = `
  import { bootTime } from "${ROOT}/ffi/wait.ts";
  import { addExitHook } from "${ROOT}/lib/fatal_signal.ts";
  import { checkAlreadyRunning } from "${ROOT}/lib/pidfile.ts";
  import { setLevels } from "${ROOT}/lib/vlog_levels.ts";
  setLevels("console:off");
  addExitHook(() => console.log(bootTime()));
  checkAlreadyRunning(Deno.args[0]);`;

Deno.test("launch() is not running for others while the pidfile is locked and not yet written", async () => {
  await using box = await Sandbox.create();
  const { path, pid, before, goOn } = await stopLaunch(box, "locked");
  assertEquals(readPidfile(path), -Errno.ESRCH);
  // Nor is anything in the way yet: whoever starts has to wait.
  assertEquals(obstacleOf(path), undefined);
  assertEquals(box.read(path), before);
  await goOn();
  assertEquals(readPidfile(path), pid);
  assertEquals(box.read(path), `${pid}\n`);
});

Deno.test("launch() is running for others before the rest of a longer number is cut", async () => {
  await using box = await Sandbox.create();
  const { path, pid, goOn } = await stopLaunch(box, "written", {
    longer: "000",
  });
  const running = `${path}: already running as pid ${pid}, aborting`;
  assertEquals(readPidfile(path), pid);
  assertEquals(obstacleOf(path), running);
  // Not even a shell that takes its words for pids finds another.
  assertEquals(box.read(path)!.trimEnd(), `${pid}`);
  await goOn();
  assertEquals(readPidfile(path), pid);
  assertEquals(box.read(path), `${pid}\n`);
});

Deno.test("launch() has those wait who look meanwhile, and no longer than it takes", async () => {
  await using box = await Sandbox.create();
  const { path, pid, goOn } = await stopLaunch(box, "locked");
  const [check, make] = [CHECK, MAKE].map((source) =>
    startProgram(box, source, { args: [path] })
  ) as [ReturnType<typeof startProgram>, ReturnType<typeof startProgram>];
  const all = [check, make];
  await box.until("they wait", () => all.every(({ pid }) => waits(pid)));
  const start = bootTime();
  await goOn();
  const ends = await Promise.all(all.map(({ finished }) => finished()));
  const refusal = `tend: ${path}: already running as pid ${pid}, aborting\n`;
  for (const { code, stderr } of ends) {
    assertEquals([code, stderr], [1, refusal]);
  }
  assertLess(Number(ends[0]!.stdout) - start, 900);
  assertEquals(holderOf(path), pid);
  assertEquals(box.exists(`${path}.tmp`), false);
});

Deno.test("launch() that is killed lets those go on who look meanwhile", async () => {
  await using box = await Sandbox.create();
  const { path, pid } = await stopLaunch(box, "locked");
  const make = startProgram(box, MAKE, { args: [path] });
  await box.until("it waits", () => waits(make.pid));
  Deno.kill(pid, "SIGKILL");
  await box.until("it has the pidfile", () => make.stdout() !== "");
  assertEquals(readPidfile(path), make.pid);
});

Deno.test({
  name: "launch() has ovsdb-server refuse meanwhile, which leaves the pidfile",
  ignore: WITHOUT_OVSDB,
  fn: async () => {
    await using box = await Sandbox.create();
    const ovsdb = await Ovsdb.create(box);
    for (const stop of ["locked", "written"] as const) {
      const path = box.runPath(`${stop}.pid`);
      const { pid, goOn } = await stopLaunch(box, stop, { path });
      const before = box.read(path);
      const { code, stderr } = await ovsdb.start(path);
      assertEquals(code, 1);
      // The C does not wait for one that is in the middle of its start.
      const why = stop === "locked"
        ? "pidfile check failed (No such process), aborting"
        : `already running as pid ${pid}, aborting`;
      assertStringIncludes(stderr, `ovsdb-server: ${path}: ${why}\n`);
      assertEquals(box.read(path), before);
      await goOn();
      assertEquals(readPidfile(path), pid);
      assertEquals(box.exists(`${path}.tmp`), false);
    }
  },
});
