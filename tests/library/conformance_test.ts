/** The behaviours of Open vSwitch's own daemon tests, of a Deno program. */
import { assertEquals } from "@std/assert/equals";
import { assertExists } from "@std/assert/exists";
import { assertMatch } from "@std/assert/match";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { isAlive, look, parentOf, titleOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { WAYS } from "./ways.ts";

for (const way of WAYS) {
  const test = (
    name: string,
    body: (box: Sandbox, server: string[]) => Promise<void>,
  ) =>
    Deno.test({
      name: `${way.name}: ${name}`,
      // libc stays loaded once the sandbox has looked at a lock.
      sanitizeResources: false,
      fn: async () => {
        await using box = await Sandbox.create();
        await body(box, await way.command("server"));
      },
    });

  test(
    "--pidfile names the daemon that runs in the foreground",
    async (box, server) => {
      const running = box.start([...server, "--pidfile=web.pid"]);
      await box.until("the pidfile is there", () => box.holder("web.pid"));
      assertEquals(box.pidfile("web.pid"), running.pid);
      Deno.kill(running.pid, "SIGTERM");
      assertEquals((await running.finished()).code, 143);
      assertEquals(box.runFiles(), []);
    },
  );

  test("--detach returns when the pidfile is right", async (box, server) => {
    const { code, stderr } = await box.run(
      [...server, "--detach", "--pidfile=web.pid"],
    );
    assertEquals([code, stderr], [0, ""]);
    const daemon = box.pidfile("web.pid");
    assertExists(daemon);
    assertEquals(box.holder("web.pid"), daemon);
    assertNotEquals(look(daemon)?.session, daemon);
    assertEquals(box.processes(), [daemon]);
    assertEquals(Deno.readLinkSync(`/proc/${daemon}/cwd`), "/");
    Deno.kill(daemon, "SIGTERM");
    await box.until("the daemon has ended", () => !isAlive(daemon));
    assertEquals(box.runFiles(), []);
  });

  test(
    "--monitor is the daemon's parent in the foreground",
    async (box, server) => {
      const monitor = box.start([...server, "--monitor", "--pidfile=web.pid"]);
      await box.until("the pidfile is there", () => box.holder("web.pid"));
      assertEquals(parentOf(box.pidfile("web.pid")!), monitor.pid);
      Deno.kill(monitor.pid, "SIGTERM");
      await monitor.finished();
      assertEquals([box.processes(), box.runFiles()], [[], []]);
    },
  );

  test("--detach --monitor restarts after SIGSEGV", async (box, server) => {
    await box.run([...server, "--detach", "--monitor", "--pidfile=web.pid"]);
    const first = box.pidfile("web.pid")!;
    const monitor = parentOf(first);
    assertMatch(titleOf(monitor), /: monitoring pid \d+ \(healthy\)$/);
    Deno.kill(first, "SIGSEGV");
    const second = await box.until("another holds the pidfile", () => {
      const pid = box.pidfile("web.pid");
      return pid !== first && pid === box.holder("web.pid") && pid;
    });
    assertEquals(parentOf(second), monitor);

    Deno.kill(second, "SIGTERM");
    await box.until("all has ended", () => box.processes().length === 0);
    assertEquals(box.runFiles(), []);
  });

  for (const kind of ["throw", "reject"]) {
    test(`an uncaught error (${kind}) is a crash`, async (box, server) => {
      const monitor = box.start([...server, "--monitor", kind]);
      await box.until(
        "it was restarted",
        () => monitor.stderr().includes("exit status 5, restarting"),
      );
      Deno.kill(monitor.pid, "SIGTERM");
      await monitor.finished();
      assertStringIncludes(monitor.stderr(), "error: Uncaught Error: ");
    });
  }

  for (
    const [word, status, message] of [
      ["throw-early", 5, "no start"],
      ["exit-early", 7, "server: cannot start"],
    ] as const
  ) {
    test(`${word} is a start-up failure`, async (box, server) => {
      const { code, stderr } = await box.run(
        [...server, "--detach", "--monitor", "--pidfile=web.pid", word],
      );
      assertEquals(code, status);
      assertStringIncludes(stderr, message);
      assertEquals([box.processes(), box.runFiles()], [[], []]);
    });
  }

  test(
    "the end of the waiting caller is the end of the start",
    async (box, server) => {
      const caller = box.start(
        [...server, "--detach", "--monitor", "--pidfile=web.pid", "slow"],
      );
      await box.until("the daemon is starting", () => box.holder("web.pid"));
      Deno.kill(caller.pid, "SIGTERM");
      assertEquals((await caller.finished()).code, 143);
      await box.until("nothing is left", () => box.processes().length === 0);
      assertEquals(box.runFiles(), []);
    },
  );

  for (
    const options of [["--detach"], ["--monitor"], ["--detach", "--monitor"]]
  ) {
    test(
      `a daemon that fails to start is heard of with ${
        options.join(" ")
      } while a command that it started runs on`,
      async (box, server) => {
        const words = ["helper", "exit-early", "--pidfile=web.pid"];
        const { code, stderr } = await box.run([
          ...server,
          ...options,
          ...words,
        ]);
        assertEquals([code, stderr], [7, "server: cannot start\n"]);
        const left = box.processes().map(titleOf);
        assertNotEquals(left, []);
        for (const title of left) assertMatch(title, /\bsleep 600$/);
        assertEquals(box.runFiles(), []);
      },
    );
  }

  test("Deno.exit() in a hook leaves nothing undone", async (box, server) => {
    const file = box.path("file");
    const { code } = await box.run(
      [...server, "--pidfile=web.pid", "exit-in-hook", `file=${file}`],
    );
    assertEquals([code, box.runFiles(), box.exists(file)], [3, [], false]);
  });

  test("Deno.exit() removes the pidfile", async (box, server) => {
    const { code } = await box.run([...server, "--pidfile=web.pid", "exit"]);
    assertEquals([code, box.runFiles()], [3, []]);
  });

  test("--detach lets go of the caller's pipe", async (box, server) => {
    const script = 'yes | "$@" --detach --pidfile=web.pid';
    await box.run(["sh", "-c", script, "sh", ...server]);
    // Standard input of the pipeline's right side was all that kept it.
    assertExists(box.holder("web.pid"));
  });

  test("a daemon that runs already is named", async (box, server) => {
    await box.run([...server, "--detach", "--pidfile=web.pid"]);
    const { code, stderr } = await box.run([...server, "--pidfile=web.pid"]);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `already running as pid ${box.pidfile("web.pid")}, aborting`,
    );
  });
}
