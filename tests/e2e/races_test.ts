import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { isAlive, parentOf } from "../proc.ts";
import { type Finished, Sandbox, TEND } from "../sandbox.ts";

const START = ["--detach", "--pidfile=web.pid", "--", "sleep", "600"];

/** Starts many at once. */
function startTends(
  box: Sandbox,
  count: number,
  ...options: string[]
): Promise<Finished[]> {
  return Promise.all(
    Array.from({ length: count }, () => box.tend(...options, ...START)),
  );
}

/**
 * Asserts that there is no file but the pidfile and its monitor's, and that it
 * names its lock's holder.
 */
function assertRunning(box: Sandbox): number {
  const files = box.runFiles().filter((name) => name !== "web.pid.monitor");
  assertEquals(files, ["web.pid"]);
  const pid = box.pidfile("web.pid")!;
  assertEquals(box.holder("web.pid"), pid);
  assertEquals(isAlive(pid), true);
  return pid;
}

/** Asserts that these have lost against the one that runs. */
function assertLost(box: Sandbox, losers: readonly Finished[]): void {
  const text = `tend: ${box.runPath("web.pid")}: already running as pid ${
    assertRunning(box)
  }, aborting\n`;
  for (const loser of losers) {
    assertEquals(loser, { code: 1, stdout: "", stderr: text });
  }
}

for (const option of ["--monitor", "--exec"]) {
  Deno.test(`tend ${option} starts once when 100 begin at once`, async () => {
    await using box = await Sandbox.create();
    const ends = await startTends(box, 100, option);
    const losers = ends.filter(({ code }) => code !== 0);
    assertEquals(losers.length, 99);
    assertLost(box, losers);
    const count = option === "--monitor" ? 2 : 1;
    assertEquals(box.processes().length, count);
  });
}

Deno.test("tend --pidfile starts once when 50 find a stale file", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  Deno.writeTextFileSync(box.runPath("web.pid"), "1\n");
  Deno.writeTextFileSync(box.runPath("web.pid.tmp"), "1\n");
  const ends = await startTends(box, 50);
  const losers = ends.filter(({ code }) => code !== 0);
  assertEquals(losers.length, 49);
  assertLost(box, losers);
});

Deno.test("tend --overwrite-pidfile leaves one file when 20 begin at once", async () => {
  await using box = await Sandbox.create();
  const ends = await startTends(box, 20, "--overwrite-pidfile");
  assertEquals(ends.map(({ code }) => code), Array(20).fill(0));
  assertRunning(box);
});

Deno.test({
  name: "tend --pidfile starts once when ovsdb-servers begin too",
  ignore: WITHOUT_OVSDB,
  fn: async () => {
    await using box = await Sandbox.create();
    const servers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => Ovsdb.create(box, `db${i}`)),
    );
    const [tends, ovsdbs] = await Promise.all([
      startTends(box, 20),
      Promise.all(
        servers.map((server) => server.start(box.runPath("web.pid"))),
      ),
    ]);
    const ends = [...tends, ...ovsdbs];
    assertEquals(ends.filter(({ code }) => code === 0).length, 1);
    assertLost(box, tends.filter(({ code }) => code !== 0));
    for (const { code, stderr } of ovsdbs) {
      // The C does not wait for one that is in the middle of its start.
      if (code !== 0) {
        assertMatch(
          stderr,
          /already running as pid|fcntl\(F_SETLK\) failed|check failed/,
        );
      }
    }
  },
});

Deno.test("tend --pidfile keeps the new file when the old daemon just ends", async () => {
  await using box = await Sandbox.create();
  for (let turn = 0; turn < 20; turn++) {
    // No waiting: the last turn's monitor may be about to remove its file.
    for (;;) {
      const { code, stderr } = await box.tend("--monitor", ...START);
      if (code === 0) break;
      assertMatch(stderr, /: already running as pid \d+, aborting\n$/);
    }
    Deno.kill(parentOf(assertRunning(box)), "SIGTERM");
  }
  await box.until("all have ended", () => box.processes().length === 0);
  assertEquals(box.runFiles(), []);
});

Deno.test("tend --monitor comes back with one daemon when others start meanwhile", async () => {
  await using box = await Sandbox.create();
  await box.tend("--monitor", ...START);
  const first = box.pidfile("web.pid")!;
  Deno.kill(first, "SIGSEGV");
  const ends = await startTends(box, 20);
  const winners = ends.filter(({ code }) => code === 0).length;
  assertEquals(winners <= 1, true);
  const second = await box.until("one runs", () => {
    const pid = box.holder("web.pid");
    return pid === box.pidfile("web.pid") && pid;
  });
  assertEquals(second !== first, true);
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  Deno.test(`tend --monitor leaves nothing when ${signal} comes at any moment`, async () => {
    await using box = await Sandbox.create();
    const argv = ["--monitor", "--pidfile=web.pid", "--", "sleep", "600"];
    // Each turn the signal comes later in the start.
    for (let runTime = 0, isReady = false; !isReady; runTime += 2_000_000) {
      const tend = box.start([TEND, ...argv]);
      await box.until("it has come so far", () => {
        isReady = box.holder("web.pid") !== undefined;
        return isReady || runTimeOf(tend.pid) >= runTime;
      });
      Deno.kill(tend.pid, signal);
      await tend.finished();
      assertEquals([...box.runFiles(), ...box.processes()], []);
    }
  });
}

/** How long a process has been on a processor, in nanoseconds. */
function runTimeOf(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/schedstat`);
  return Number(text.split(" ")[0]);
}
