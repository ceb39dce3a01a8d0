import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { isAlive, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const START = ["--detach", "--pidfile=x.pid", "--", "sleep", "600"];

/** A test that needs Open vSwitch. */
function ovsTest(
  name: string,
  fn: (box: Sandbox, ovsdb: Ovsdb, pidfile: string) => Promise<void>,
): void {
  Deno.test({
    name,
    ignore: WITHOUT_OVSDB,
    fn: async () => {
      await using box = await Sandbox.create();
      await fn(box, await Ovsdb.create(box), box.runPath("x.pid"));
    },
  });
}

/** Kills a process as nobody does who has manners. */
async function kill(box: Sandbox, pid: number): Promise<void> {
  Deno.kill(pid, "SIGKILL");
  await box.until(`pid ${pid} has ended`, () => !isAlive(pid));
}

ovsTest(
  "tend --pidfile refuses what a running ovsdb-server holds",
  async (box, ovsdb, pidfile) => {
    assertEquals((await ovsdb.start(pidfile)).code, 0);
    const pid = box.pidfile("x.pid");
    assertEquals(await box.tend(...START), {
      code: 1,
      stdout: "",
      stderr: `tend: ${pidfile}: already running as pid ${pid}, aborting\n`,
    });
    assertEquals(box.holder("x.pid"), pid);
  },
);

ovsTest(
  "tend --pidfile makes ovsdb-server refuse while COMMAND runs",
  async (box, ovsdb, pidfile) => {
    await box.tend(...START);
    const pid = box.pidfile("x.pid");
    const { code, stderr } = await ovsdb.start(pidfile);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `ovsdb-server: ${pidfile}: already running as pid ${pid}, aborting\n`,
    );
    assertEquals(box.holder("x.pid"), pid);
  },
);

ovsTest(
  "tend --monitor makes ovsdb-server refuse after a restart",
  async (box, ovsdb, pidfile) => {
    await box.tend("--monitor", ...START);
    const first = box.pidfile("x.pid")!;
    Deno.kill(first, "SIGSEGV");
    const second = await box.until("x.pid names another process", () => {
      const pid = box.pidfile("x.pid");
      return pid !== first && pid;
    });
    const { stderr } = await ovsdb.start(pidfile);
    assertStringIncludes(
      stderr,
      `already running as pid ${second}, aborting\n`,
    );
  },
);

ovsTest(
  "tend --pidfile takes over what a killed ovsdb-server left",
  async (box, ovsdb, pidfile) => {
    await ovsdb.start(pidfile);
    await kill(box, box.pidfile("x.pid")!);
    const { code, stderr } = await box.tend(...START);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(box.holder("x.pid"), box.pidfile("x.pid"));
  },
);

ovsTest(
  "tend --pidfile leaves what ovsdb-server takes over",
  async (box, ovsdb, pidfile) => {
    await box.tend(...START);
    const daemon = box.pidfile("x.pid")!;
    // The parent first: it would remove the file.
    await kill(box, parentOf(daemon));
    await kill(box, daemon);
    assertEquals(box.pidfile("x.pid"), daemon);
    assertEquals((await ovsdb.start(pidfile)).code, 0);
    assertEquals(box.holder("x.pid"), box.pidfile("x.pid"));
  },
);

ovsTest(
  "tend --overwrite-pidfile replaces what ovsdb-server holds",
  async (box, ovsdb, pidfile) => {
    await ovsdb.start(pidfile);
    const { code } = await box.tend("--overwrite-pidfile", ...START);
    assertEquals(code, 0);
    assertEquals(box.read(`/proc/${box.holder("x.pid")}/comm`), "sleep\n");
  },
);

ovsTest(
  "tend --monitor leaves the pidfile to an ovsdb-server that overwrote it",
  async (box, ovsdb, pidfile) => {
    await box.tend("--monitor", ...START);
    const daemon = box.pidfile("x.pid")!;
    const monitor = parentOf(daemon);
    await ovsdb.start(pidfile, "--overwrite-pidfile");
    Deno.kill(monitor, "SIGTERM");
    await box.until("the monitor has ended", () => !isAlive(monitor));
    assertEquals(box.holder("x.pid"), box.pidfile("x.pid"));
    assertEquals(box.pidfile("x.pid") !== daemon, true);
  },
);

ovsTest("tend --monitor runs ovsdb-server itself", async (box, ovsdb) => {
  const options = ["--detach", "--monitor", "--pidfile", "--"];
  await box.run([TEND, ...options, ...ovsdb.argv()], { env: ovsdb.env });
  const server = box.pidfile("ovsdb-server.pid")!;
  await box.until("it listens", () => exists(ovsdb.socket));
  const { stdout } = await box.run(
    ["ovsdb-client", "list-dbs", `unix:${ovsdb.socket}`],
  );
  assertStringIncludes(stdout, "Open_vSwitch\n");
  assertEquals(isAlive(server), true);
});

ovsTest(
  "tend --pidfile lets ovs-appctl find and stop the server",
  async (box, ovsdb) => {
    const options = ["--detach", "--pidfile", "--"];
    const env = { ...ovsdb.env, TEND_RUNDIR: ovsdb.env.OVS_RUNDIR! };
    await box.run([TEND, ...options, ...ovsdb.argv()], { env });
    const server = box.pidIn(box.path("ovs/ovsdb-server.pid"))!;
    await box.until(
      "it listens",
      () => exists(box.path(`ovs/ovsdb-server.${server}.ctl`)),
    );
    const argv = ["ovs-appctl", "--target=ovsdb-server", "exit"];
    const { code, stderr } = await box.run(argv, { env });
    assertEquals([code, stderr], [0, ""]);
    await box.until("all have ended", () => box.processes().length === 0);
  },
);

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
