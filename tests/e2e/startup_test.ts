import { close } from "../../ffi/descriptor.ts";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { O_CREAT, O_RDWR, open } from "../../ffi/file.ts";
import { fcntlSetlk } from "../../ffi/lock.ts";
import { childrenOf, isAlive, titleOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const MODES = [
  ["--detach"],
  ["--detach", "--pidfile=x.pid"],
  ["--detach", "--exec", "--pidfile=x.pid"],
  ["--detach", "--monitor", "--pidfile=x.pid"],
  ["--monitor", "--pidfile=x.pid"],
  ["--pidfile=x.pid"],
];

/** Has the kernel do something at the first such call of each process. */
function inject(calls: string, what: string, options: string[]): string[] {
  return [
    ...["strace", "-f", "-o", "/dev/null", "-e", `inject=${calls}:${what}`],
    ...[TEND, ...options, "--", "sleep", "600"],
  ];
}

for (const options of MODES) {
  const title = ["tend", ...options].join(" ");

  Deno.test(`${title} exits with the status of a child that failed`, async () => {
    await using box = await Sandbox.create();
    await Deno.writeTextFile(box.path("script"), "#!/no/such/interpreter\n");
    await Deno.chmod(box.path("script"), 0o755);
    const finished = await box.tend(...options, "--", "./script");
    assertEquals(finished, {
      code: 127,
      stdout: "",
      stderr: "tend: ./script: exec failed (No such file or directory)\n",
    });
    assertEquals(box.processes(), []);
    assertEquals(box.runFiles(), []);
  });

  if (!options.some((option) => option.startsWith("--pidfile"))) continue;

  Deno.test(`${title} says once that a pidfile cannot be made`, async () => {
    await using box = await Sandbox.create();
    const others = options.filter((option) => !option.startsWith("--pid"));
    const args = [...others, "--pidfile=/no/dir/x.pid"];
    const finished = await box.tend(...args, "--", "sleep", "600");
    const first = options.includes("--exec") ? "x.pid.tmp" : "x.pid.monitor";
    assertEquals(finished, {
      code: 1,
      stdout: "",
      stderr:
        `tend: /no/dir/${first}: create failed (No such file or directory)\n`,
    });
    assertEquals(box.processes(), []);
  });

  Deno.test(`${title} says so when its child is killed before exec`, async () => {
    await using box = await Sandbox.create();
    // No process but the daemon renames anything.
    const { code, stderr } = await box.run(
      inject("/^rename", "signal=KILL", options),
    );
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /fork child died before signaling startup \(killed \(Killed\)\)/,
    );
    assertMatch(stderr, /\ntend: could not [^\n]*\n$/);
    assertEquals(box.processes(), []);
    assertEquals(box.runFiles(), []);
  });
}

Deno.test("tend --detach says so when its child is killed at setsid", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.run(
    inject("setsid", "signal=KILL", ["--detach", "--monitor"]),
  );
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /fork child died before signaling startup \(killed \(Killed\)\)/,
  );
  assertEquals(box.processes(), []);
});

for (
  const [calls, reason] of [["setsid", "setsid"], ["chdir", "chdir"]] as const
) {
  Deno.test(`tend --detach fails when ${calls} does`, async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.run(
      inject(calls, "error=EPERM", ["--detach", "--pidfile=x.pid"]),
    );
    assertEquals(code, 1);
    assertMatch(
      stderr,
      new RegExp(
        `^tend: could not detach from foreground session: .*${reason}.*` +
          "\\(Operation not permitted\\)\n$",
      ),
    );
    assertEquals(box.processes(), []);
    assertEquals(box.runFiles(), []);
  });
}

Deno.test("tend --detach fails when there is no process to be had", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.run(
    inject("/^(fork|clone3?)$", "error=EAGAIN", ["--detach", "--monitor"]),
  );
  assertEquals(code, 1);
  assertMatch(stderr, /^tend: could not detach from foreground session: /);
  assertEquals(box.processes(), []);
});

Deno.test("tend --detach returns when COMMAND was exec'ed, no sooner", async () => {
  await using box = await Sandbox.create();
  for (let i = 0; i < 10; i++) {
    await box.tend("--detach", "--", "sleep", "600");
    const titles = box.processes().map(titleOf);
    assertEquals(titles, Array(i + 1).fill("sleep 600"));
  }
});

Deno.test("tend --detach waits for an exec that takes its time", async () => {
  await using box = await Sandbox.create();
  // Held up as long as somebody else makes the same pidfile.
  const holder = holdTmpfile(box);
  const tend = box.start([
    ...[TEND, "--detach", "--monitor", "--pidfile=x.pid", "--"],
    ...["sleep", "600"],
  ]);
  const monitor = await box.until(
    "there is a monitor",
    () => childrenOf(tend.pid)[0],
  );
  await box.until("there is a daemon to be", () => childrenOf(monitor)[0]);
  assert(isAlive(tend.pid));
  assertEquals(box.pidfile("x.pid"), undefined);

  Deno.removeSync(box.runPath("x.pid.tmp"));
  close(holder);
  assertEquals((await tend.finished()).code, 0);
  assertEquals(titleOf(box.pidfile("x.pid")!), "sleep 600");
});

for (const options of MODES) {
  if (!options.includes("--pidfile=x.pid")) continue;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const title = ["tend", ...options].join(" ");
    Deno.test(`${title} ends with all of its own on ${signal} during start-up`, async () => {
      await using box = await Sandbox.create();
      const holder = holdTmpfile(box);
      const argv = [TEND, ...options, "--", "sleep", "600"];
      const tend = box.start(argv);
      // The daemon to be waits for the holder, on an inotify descriptor.
      const waiting = await box.until(
        "the daemon waits",
        () => box.processes().find((pid) => watches(pid)),
      );
      Deno.kill(tend.pid, signal);
      const { code } = await tend.finished();
      assertEquals(code, signal === "SIGTERM" ? 143 : 130);
      await box.until("the daemon has ended", () => !isAlive(waiting));
      assertEquals(box.processes(), []);
      assertEquals(box.runFiles(), ["x.pid.tmp"]);
      close(holder);
    });
  }
}

/** Locks the temporary pidfile as a tend in the middle of its start does. */
function holdTmpfile(box: Sandbox): number {
  Deno.mkdirSync(box.path("run"));
  const fd = open(box.runPath("x.pid.tmp"), O_RDWR | O_CREAT, 0o644);
  fcntlSetlk(fd);
  return fd;
}

function watches(pid: number): boolean {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) =>
      Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === "anon_inode:inotify"
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
