import { assertEquals } from "@std/assert/equals";
import { assertExists } from "@std/assert/exists";
import { lacks } from "../binutils.ts";
import { childrenOf, parentOf } from "../proc.ts";
import { type Finished, Sandbox, TEND } from "../sandbox.ts";

/** What may have become of a program since somebody has opened it. */
const FATES = {
  "was removed": "rm program",
  "was replaced": "echo 'exit 9' >new; chmod +x new; mv new program",
  "is still there": ":",
};

/** Starts tend through a descriptor of its program. */
function startKept(
  box: Sandbox,
  fate: string,
  ...args: string[]
): Promise<Finished> {
  const script = `cp "$1" program; exec 9<program; ${fate}; shift;
    exec /proc/self/fd/9 "$@"`;
  return box.run(["sh", "-ec", script, "sh", TEND, ...args]);
}

for (const [what, fate] of Object.entries(FATES)) {
  Deno.test(`tend --version answers when its program ${what}`, async () => {
    await using box = await Sandbox.create();
    const { stdout } = await box.tend("--version");
    assertEquals(
      await startKept(box, fate, "--version"),
      { code: 0, stdout, stderr: "" },
    );
  });

  Deno.test(`tend --monitor restarts a daemon when its own program ${what}`, async () => {
    await using box = await Sandbox.create();
    const { code } = await startKept(
      ...[box, fate, "--detach", "--monitor", "--pidfile=web.pid"] as const,
      ...["--", "sleep", "600"],
    );
    assertEquals(code, 0);
    const first = box.pidfile("web.pid");
    assertExists(first);
    const monitor = parentOf(first);

    Deno.kill(first, "SIGSEGV");
    const second = await box.until("web.pid names another process", () => {
      const pid = box.pidfile("web.pid");
      return pid !== first && pid;
    });
    assertEquals(parentOf(second), monitor);
  });
}

Deno.test({
  name: "tend --version answers when its program is replaced while it starts",
  ignore: await lacks(["strace"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const { stdout } = await box.tend("--version");
    const [program, trace] = [box.path("program"), box.path("trace")];
    Deno.copyFileSync(TEND, program);
    Deno.writeTextFileSync(box.path("new"), "exit 9\n", { mode: 0o755 });
    // Stopped where it has asked for its name, or opened its file without one.
    const running = box.start([
      ...["strace", "-qq", "-o", trace, "-P", "/proc/self/exe"],
      ...["-e", "inject=?readlink,readlinkat,openat:signal=SIGSTOP:when=1"],
      ...[program, "--version"],
    ]);
    await box.until(
      "it has stopped",
      () => box.read(trace)?.includes("--- stopped by SIGSTOP ---"),
    );
    Deno.renameSync(box.path("new"), program);
    Deno.kill(childrenOf(running.pid)[0]!, "SIGCONT");
    const finished = await running.finished();
    assertEquals([finished.code, finished.stdout], [0, stdout]);
  },
});
