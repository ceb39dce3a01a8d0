import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { waitpid } from "../../ffi/child.ts";
import { Signal } from "../../ffi/signal.ts";
import { Launcher } from "../../lib/launch.ts";
import { removeLeftovers } from "../../lib/pidfile.ts";
import { openFdCount } from "../descriptors.ts";
import { childrenThatEnded, command, leavePidfile } from "../launched.ts";
import { childrenOf, isAlive } from "../proc.ts";
import { ask, ROOT, startUntilLine } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** Executables that there are not, or that are none. */
const NO_COMMANDS: Record<string, (path: string) => void> = {
  "is not there": () => {},
  "may not be executed": (path) => Deno.writeTextFileSync(path, "#!/bin/sh\n"),
  "is a directory": (path) => Deno.mkdirSync(path),
  "names an interpreter that is not there": (path) =>
    Deno.writeTextFileSync(path, "#!/no/such\n", { mode: 0o755 }),
  "is a script without an interpreter": (path) =>
    Deno.writeTextFileSync(path, "exit 0\n", { mode: 0o755 }),
};

for (const [what, make] of Object.entries(NO_COMMANDS)) {
  for (const hasPidfile of [false, true]) {
    Deno.test(`launch() declines a command that ${what}, ${hasPidfile ? "and removes the pidfile" : "without a pidfile"}`, async () => {
      await using box = await Sandbox.create();
      make(box.path("command"));
      const path = hasPidfile ? leavePidfile(box.path("pid")) : undefined;
      const fds = openFdCount();
      const launcher = new Launcher(command([box.path("command")]), path);
      assertEquals(launcher.launch(false), { kind: "declined" });
      // It had the child's number.
      assertEquals(box.exists(box.path("pid")), false);
      assertEquals(openFdCount(), fds);
      assertEquals(childrenThatEnded(), []);
    });
  }
}

/** Launches, and says how it came out and what was left. */
const LAUNCH = `
  import { Launcher } from "${ROOT}/lib/launch.ts";
  import { command } from "${ROOT}/tests/launched.ts";
  const [path, ...argv] = Deno.args;
  const launcher = new Launcher(command(argv), path);
  console.log(Deno.pid);
  const launched = launcher.launch(true);
  const children = Deno.readTextFileSync("/proc/thread-self/children");
  console.log(JSON.stringify({ ...launched, pid: undefined, children }));`;

/** What became of a launch, and of the pidfile. */
interface Outcome {
  readonly launched: unknown;
  readonly pidfile: "removed" | "as it was" | "written";
}

/** What is needed to fail system calls of a process, and of its children. */
function strace(inject: string, ...paths: string[]): string[] {
  const files = paths.flatMap((path) => ["-P", path]);
  const quiet = ["strace", "-f", "-qq", "-o", "/dev/null"];
  return [...quiet, ...files, "-e", `inject=${inject}`];
}

/**
 * Launches a command that must not run, with a stale pidfile, below another
 * program.
 */
async function launchUnder(box: Sandbox, under: string[]): Promise<Outcome> {
  const path = leavePidfile(box.path("pid"));
  const before = [box.read(path), Deno.statSync(path).ino];
  const args = [path, "/bin/touch", box.path("ran")];
  const said = await ask(box, LAUNCH, { args, under });
  assertEquals(box.exists(box.path("ran")), false);
  const launched: unknown = JSON.parse(said.split("\n")[1]!);
  if (!box.exists(path)) return { launched, pidfile: "removed" };
  assertEquals(Deno.statSync(path).ino, before[1]);
  // Line feeds may stand behind the number.
  const pidfile = box.pidIn(path) === Number(before[0])
    ? "as it was"
    : "written";
  return { launched, pidfile };
}

const DECLINED = { kind: "declined", children: "" };

for (
  const [inject, isOfPidfile, pidfile] of [
    ["clone:error=EAGAIN", false, "as it was"],
    ["prlimit64:error=EPERM", false, "as it was"],
    ["openat:error=EACCES", true, "as it was"],
    ["newfstatat:error=EIO", true, "as it was"],
    // In the child: of the open file first, of the name when that is locked.
    ["newfstatat:error=EIO:when=2", true, "as it was"],
    ["fcntl:error=EMFILE:when=1", true, "as it was"],
    ["fcntl:error=ENOLCK:when=2", true, "as it was"],
    ["pwrite64:error=ENOSPC", true, "as it was"],
    ["write:error=ENOSPC", true, "as it was"],
    ["write:retval=1", true, "removed"],
    ["ftruncate:error=EIO", true, "removed"],
    ["getppid:retval=1", false, "removed"],
  ] as const
) {
  Deno.test(`launch() declines after ${inject}${isOfPidfile ? " of the pidfile" : ""}, which is ${pidfile} then`, async () => {
    await using box = await Sandbox.create();
    const paths = isOfPidfile ? [box.path("pid")] : [];
    assertEquals(await launchUnder(box, strace(inject, ...paths)), {
      launched: DECLINED,
      pidfile,
    });
  });
}

Deno.test("launch() declines with a limit of open files below 100", async () => {
  await using box = await Sandbox.create();
  const limited = ["sh", "-c", 'ulimit -n 90; exec "$@"', "sh"];
  assertEquals(await launchUnder(box, limited), {
    launched: DECLINED,
    pidfile: "as it was",
  });
});

for (
  const [name, signal] of [
    ["TERM", Signal.SIGTERM],
    ["KILL", Signal.SIGKILL],
    ["QUIT", Signal.SIGQUIT],
    ["SEGV", Signal.SIGSEGV],
  ] as const
) {
  Deno.test(`launch() says that SIG${name} has ended the child before it was the command`, async () => {
    await using box = await Sandbox.create();
    assertEquals(await launchUnder(box, strace(`getppid:signal=${name}`)), {
      launched: {
        kind: "ended",
        status: { kind: "signaled", signal, coreDumped: false },
        children: "",
      },
      pidfile: "written",
    });
    assert(removeLeftovers(box.path("pid")));
  });
}

Deno.test("launch() leaves a pidfile that the next one takes over when the child is killed while it writes", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  for (const inject of ["fcntl:signal=KILL:when=2", "write:signal=KILL"]) {
    const { launched } = await launchUnder(box, strace(inject, path));
    assertEquals((launched as { kind: string }).kind, "ended");
    const again = new Launcher(command(["/bin/true"]), path).launch(false);
    assert(again.kind === "ready");
    waitpid(again.pid);
    assertEquals(box.read(path), `${again.pid}\n`);
  }
});

Deno.test("launch() declines when the child is told to stop, and does not wait for it", async () => {
  await using box = await Sandbox.create();
  assertEquals(await launchUnder(box, strace("getppid:signal=TSTP")), {
    launched: DECLINED,
    pidfile: "removed",
  });
});

Deno.test("launch() executes nothing when its process is killed meanwhile", async () => {
  await using box = await Sandbox.create();
  const [path, ran] = [leavePidfile(box.path("pid")), box.path("ran")];
  const before = box.read(path);
  const { line } = await startUntilLine(box, LAUNCH, {
    args: [path, "/bin/touch", ran],
    under: strace("getppid:delay_enter=1000000"),
  });
  const child = await box.until(
    "the child has written the pidfile",
    () => box.read(path) !== before && box.pidIn(path),
  );
  assertEquals(childrenOf(Number(line)), [child]);
  Deno.kill(Number(line), "SIGKILL");
  await box.until("the child has ended", () => !isAlive(child));
  assertEquals([box.exists(path), box.exists(ran)], [false, false]);
});
