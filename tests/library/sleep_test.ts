/** Monitors of Deno programs sleep as tend's own do. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertNotEquals } from "@std/assert/not-equals";
import { close } from "../../ffi/descriptor.ts";
import { O_CREAT, O_RDWR, open } from "../../ffi/file.ts";
import { fcntlSetlk } from "../../ffi/lock.ts";
import { untilAsleep, untilItWaits, wakeOnce } from "../monitored.ts";
import {
  childrenOf,
  fdsOf,
  isAlive,
  isAsleep,
  look,
  parentOf,
  signalsIn,
  titleOf,
} from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { WAYS } from "./ways.ts";

const MONITORED = ["--detach", "--monitor", "--pidfile=web.pid"];

/** Starts a daemon, and waits until its monitor sleeps. */
async function startAsleep(
  box: Sandbox,
  argv: readonly string[],
): Promise<{ daemon: number; monitor: number }> {
  const { code, stderr } = await box.run(argv);
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.holder("web.pid")!;
  const monitor = parentOf(daemon);
  await untilAsleep(box, monitor);
  return { daemon, monitor };
}

/** Waits until another process than one holds web.pid. */
function successorOf(pid: number, box: Sandbox): Promise<number> {
  return box.until("another holds the pidfile", () => {
    const other = box.pidfile("web.pid");
    return other !== pid && other === box.holder("web.pid") && other;
  });
}

/** Asleep before the daemon is ready, a monitor listens to its pipe as well. */
async function untilItKnowsReady(box: Sandbox, monitor: number): Promise<void> {
  // What the test's own caller left open is not it.
  const callers = [...fdsOf(Deno.pid).values()];
  await box.until(
    "the monitor knows that the daemon is ready",
    () =>
      isAsleep(monitor) &&
      ![...fdsOf(monitor).values()].some((file) =>
        file.startsWith("pipe:") && !callers.includes(file)
      ),
  );
}

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

  test("a monitor sleeps by default", async (box, server) => {
    const { monitor } = await startAsleep(box, [...server, ...MONITORED]);
    assertMatch(
      titleOf(monitor),
      /^server\S*: monitoring pid \d+ \(healthy\)$/,
    );
  });

  test("--sleep-after=never stays awake", async (box, server) => {
    await box.run([...server, ...MONITORED, "--sleep-after=never"]);
    const awake = parentOf(box.pidfile("web.pid")!);
    const program = Deno.readLinkSync(`/proc/${awake}/exe`);
    await using other = await Sandbox.create();
    await startAsleep(other, [...server, ...MONITORED]);
    assertEquals(Deno.readLinkSync(`/proc/${awake}/exe`), program);
  });

  const SLEEPY = [...MONITORED, "--sleep-after=0"];

  test("a monitor that sleeps restarts what crashes", async (box, server) => {
    const { daemon: first, monitor } = await startAsleep(
      box,
      [...server, ...SLEEPY],
    );
    Deno.kill(first, "SIGSEGV");
    const second = await successorOf(first, box);
    assertEquals(parentOf(second), monitor);
    await box.until(
      "the title tells of the crash",
      () =>
        new RegExp(
          `^server\\S*: monitoring pid ${second} \\(1 crashes: pid ${first}`,
        )
          .test(titleOf(monitor)),
    );
    await untilAsleep(box, monitor);
  });

  test("a monitor that sleeps ends with its daemon", async (box, server) => {
    const { daemon, monitor } = await startAsleep(box, [...server, ...SLEEPY]);
    Deno.kill(monitor, "SIGTERM");
    await box.until(
      "both have ended",
      () => !isAlive(monitor) && !isAlive(daemon),
    );
    assertEquals(box.runFiles(), []);
  });

  test("a monitor is after many sleeps what it was", async (box, server) => {
    const { daemon, monitor } = await startAsleep(box, [...server, ...SLEEPY]);
    const seen = () => ({
      fds: [...fdsOf(monitor)],
      masks: ["SigBlk", "SigIgn"].map((mask) => signalsIn(monitor, mask)),
      environ: box.read(`/proc/${monitor}/environ`),
      cwd: Deno.readLinkSync(`/proc/${monitor}/cwd`),
      umask: look(monitor)!.status.get("Umask"),
      title: titleOf(monitor),
    });
    const before = seen();
    for (let i = 0; i < 20; i++) await wakeOnce(box, monitor);
    assertEquals(seen(), before);
    assertEquals(parentOf(daemon), monitor);
  });

  test(
    "a monitor that sleeps holds the caller's descriptors, in the foreground",
    async (box, server) => {
      const argv = [...server, "--monitor", "--pidfile=web.pid"];
      const script = 'exec 7<"$1"; shift; exec "$@"';
      Deno.writeTextFileSync(box.path("in"), "");
      const { pid } = box.start(
        ["sh", "-c", script, "sh", box.path("in"), ...argv, "--sleep-after=0"],
      );
      const first = await box.until("it runs", () => box.holder("web.pid"));
      await untilItKnowsReady(box, pid);
      for (let i = 0; i < 3; i++) await wakeOnce(box, pid);
      const fds = fdsOf(pid);
      assertEquals(
        [0, 1, 2, 7].map((fd) => fds.get(fd)),
        ["/dev/null", box.path("0.out"), box.path("0.err"), box.path("in")],
      );
      const count = fds.size;
      Deno.kill(first, "SIGSEGV");
      assertEquals(parentOf(await successorOf(first, box)), pid);
      await untilItKnowsReady(box, pid);
      assertEquals(fdsOf(pid).size, count);
    },
  );

  test(
    "a monitor does not sleep while a restarted daemon starts",
    async (box, server) => {
      const { daemon: first, monitor } = await startAsleep(
        box,
        [...server, ...SLEEPY],
      );
      // Held up by who makes the same pidfile, the next one can say nothing.
      const tmpfile = box.runPath("web.pid.tmp");
      const fd = open(tmpfile, O_RDWR | O_CREAT, 0o644);
      fcntlSetlk(fd);
      Deno.kill(first, "SIGSEGV");
      const second = await box.until(
        "the next daemon starts",
        () =>
          // An image only tries its program, which has ended when it wakes up.
          !Deno.readLinkSync(`/proc/${monitor}/exe`).startsWith("/memfd:") &&
          childrenOf(monitor).find((pid) => pid !== first && isAlive(pid)),
      );
      await untilItWaits(box, monitor);
      assert(!isAsleep(monitor));
      Deno.removeSync(tmpfile);
      close(fd);
      await box.until(
        "it holds the pidfile",
        () => box.holder("web.pid") === second,
      );
      await untilAsleep(box, monitor);
      assert(titleOf(monitor).includes("(1 crashes: "));

      // A third one has to wait, and the end is heard meanwhile.
      Deno.kill(second, "SIGSEGV");
      await box.until(
        "the monitor backs off",
        () => titleOf(monitor).includes("(2 crashes: ") && isAsleep(monitor),
      );
      Deno.kill(monitor, "SIGTERM");
      await box.until("it has ended", () => !isAlive(monitor));
      assertEquals([...box.runFiles(), ...box.processes()], []);
    },
  );

  for (
    const [word, status] of [["throw-early", 5], ["exit-early", 7]] as const
  ) {
    test(
      `${word} is a start-up failure in a monitor's sleep`,
      async (box, server) => {
        const argv = [
          "--monitor",
          "--pidfile=web.pid",
          "--sleep-after=0",
          word,
        ];
        const { code } = await box.run([...server, ...argv]);
        assertEquals(code, status);
        assertEquals([...box.runFiles(), ...box.processes()], []);
      },
    );
  }

  test(
    "a monitor that sleeps looks after a program that does not start while it runs",
    async (box, server) => {
      const { daemon: first, monitor } = await startAsleep(
        box,
        [...server, ...SLEEPY, "check"],
      );
      Deno.kill(first, "SIGSEGV");
      const second = await successorOf(first, box);
      assertEquals(parentOf(second), monitor);
      await untilAsleep(box, monitor);
      Deno.kill(monitor, "SIGTERM");
      await box.until(
        "both have ended",
        () => !isAlive(monitor) && !isAlive(second),
      );
      assertEquals(box.runFiles(), []);
    },
  );

  test(
    "a monitor restarts its daemon when the directory of its start was removed",
    async (box, server) => {
      const directory = box.path("gone");
      Deno.mkdirSync(directory);
      await box.run(
        [...server, ...MONITORED, "--sleep-after=never"],
        { cwd: directory },
      );
      const first = box.holder("web.pid")!;
      const monitor = parentOf(first);
      Deno.removeSync(directory);
      Deno.kill(first, "SIGSEGV");
      assertEquals(parentOf(await successorOf(first, box)), monitor);
    },
  );

  if (way.forks) {
    test(
      "a program that is tried leaves nothing for the next one to find",
      async (box, server) => {
        const { daemon: first, monitor } = await startAsleep(
          box,
          [...server, ...SLEEPY, `lock=${box.path("lock")}`],
        );
        Deno.kill(first, "SIGUSR1");
        assertEquals(parentOf(await successorOf(first, box)), monitor);
      },
    );
  }

  for (const sleepAfter of ["0", "never"]) {
    test(
      `the daemons of a monitor have random numbers of their own (${sleepAfter})`,
      async (box, server) => {
        const uuids = box.path("uuids");
        await box.run([
          ...server,
          ...MONITORED,
          `--sleep-after=${sleepAfter}`,
          `uuids=${uuids}`,
        ]);
        const first = box.holder("web.pid")!;
        Deno.kill(first, "SIGSEGV");
        const [one, other] = await box.until("both have one", () => {
          const lines = box.read(uuids)?.trim().split("\n") ?? [];
          return lines.length === 2 && lines;
        });
        assertNotEquals(one, other);
      },
    );
  }

  test(
    "a monitor that sleeps passes signals on without waking up",
    async (box) => {
      const argv = await way.command("signals");
      const { daemon, monitor } = await startAsleep(
        box,
        [...argv, ...SLEEPY, box.path("file"), "usr1"],
      );
      await box.until("it listens", () => box.exists(box.path("file.ready")));
      const file = box.path("file.usr1");
      for (let i = 1; i <= 3; i++) {
        Deno.kill(monitor, "SIGUSR1");
        await box.until(
          "the daemon has heard of it",
          () => box.read(file)?.length === i,
        );
        assert(isAsleep(monitor));
      }
      assertEquals(parentOf(daemon), monitor);
    },
  );

  test(
    "a monitor whose working directory was removed in its sleep ends with its daemon",
    async (box, server) => {
      const directory = box.path("gone");
      Deno.mkdirSync(directory);
      await box.run([...server, ...SLEEPY], { cwd: directory });
      const daemon = box.holder("web.pid")!;
      const monitor = parentOf(daemon);
      await untilAsleep(box, monitor);
      Deno.removeSync(directory);
      Deno.kill(monitor, "SIGTERM");
      await box.until(
        "both have ended",
        () => !isAlive(monitor) && !isAlive(daemon),
      );
      assertEquals(box.runFiles(), []);
    },
  );

  test(
    "a monitor that sleeps ends with its daemon when its program was removed",
    async (box, server) => {
      const { argv, file } = copyOf(server, box);
      const { daemon, monitor } = await startAsleep(box, [...argv, ...SLEEPY]);
      Deno.removeSync(file);
      Deno.kill(monitor, "SIGTERM");
      await box.until(
        "both have ended",
        () => !isAlive(monitor) && !isAlive(daemon),
      );
      assertEquals(box.runFiles(), []);
    },
  );

  // It takes ten seconds.
  if (way !== WAYS[0]) continue;
  test(
    "a monitor that sleeps restarts a program that was removed when it is back",
    async (box, server) => {
      const { argv, file } = copyOf(server, box);
      const { daemon: first, monitor } = await startAsleep(
        box,
        [...argv, ...SLEEPY],
      );
      Deno.renameSync(file, `${file}.off`);
      Deno.kill(first, "SIGSEGV");
      await box.until(
        "the title tells of the trouble",
        () => titleOf(monitor).includes("the program does not start any more"),
      );
      Deno.renameSync(`${file}.off`, file);
      const second = await successorOf(first, box);
      assertEquals(parentOf(second), monitor);
    },
  );
}

/** A program of a test's own, which may be removed. */
function copyOf(
  server: readonly string[],
  box: Sandbox,
): { argv: string[]; file: string } {
  const isScript = server.at(-1)!.endsWith(".ts");
  const original = isScript ? server.at(-1)! : server[0]!;
  const file = isScript
    // Beside it are the package and its import map.
    ? `${original.slice(0, -3)}-${box.dir.split("/").at(-1)}.ts`
    : box.path("server");
  Deno.copyFileSync(original, file);
  const argv = server.map((word) => word === original ? file : word);
  return { argv, file };
}
