/** What becomes of a start when the processes that wait for it are told to end. */
import { close } from "../../ffi/descriptor.ts";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { O_CREAT, O_RDWR, open } from "../../ffi/file.ts";
import { fcntlSetlk } from "../../ffi/lock.ts";
import {
  childrenOf,
  freeze,
  isAlive,
  look,
  parentOf,
  titleOf,
} from "../proc.ts";
import { lacks } from "../binutils.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const DETACHED = [
  ["--detach", "--pidfile=x.pid"],
  ["--detach", "--exec", "--pidfile=x.pid"],
  ["--detach", "--monitor", "--pidfile=x.pid"],
];
const STATUSES = { SIGTERM: 143, SIGINT: 130 } as const;

for (const options of DETACHED) {
  for (const [signal, status] of Object.entries(STATUSES)) {
    const title = ["tend", ...options].join(" ");
    Deno.test(`${title} says the truth when it finds ${signal} and a ready daemon at once`, async () => {
      await using box = await Sandbox.create();
      Deno.mkdirSync(box.path("run"));
      // Held up as long as somebody else makes the same pidfile.
      const tmpfile = box.runPath("x.pid.tmp");
      const fd = open(tmpfile, O_RDWR | O_CREAT, 0o644);
      fcntlSetlk(fd);
      const tend = box.start([TEND, ...options, "--", "sleep", "600"]);
      await box.until("it waits", () => childWaits(box, tend.pid));
      await freeze(box, tend.pid);
      Deno.removeSync(tmpfile);
      close(fd);
      await box.until("COMMAND runs", () => {
        const pid = box.pidfile("x.pid");
        return pid !== undefined && isAlive(pid) &&
          titleOf(pid) === "sleep 600";
      });
      Deno.kill(tend.pid, signal as Deno.Signal);
      Deno.kill(tend.pid, "SIGCONT");
      const { code } = await tend.finished();
      if (options.includes("--monitor")) assertEquals(code, status);
      await assertTruth(box, code, status);
    });
  }
}

/** That a start says 0 of a daemon that runs, and else leaves none. */
async function assertTruth(
  box: Sandbox,
  code: number,
  status: number,
): Promise<void> {
  const runs = () =>
    box.processes().some((pid) => look(pid)?.status.get("Name") === "sleep");
  if (code === 0) return assertEquals(runs(), true);
  assertEquals(code, status);
  await box.until("COMMAND has ended, as the status says", () => !runs());
}

for (const options of [["--detach"], DETACHED[0]!, DETACHED[2]!]) {
  Deno.test({
    name: `tend ${
      options.join(" ")
    } says the truth of the daemon, whenever SIGTERM comes`,
    ignore: await lacks(["strace"]),
    fn: async () => {
      const trace = async (...more: string[]) => {
        const box = await Sandbox.create();
        const { code } = await box.run([
          ...["strace", "-qq", "-o", box.path("trace"), ...more],
          ...[TEND, ...options, "--", "sleep", "600"],
        ]);
        return { box, code, calls: namesIn(box.read(box.path("trace"))!) };
      };
      const { box, code, calls } = await trace();
      await using _box = box;
      assertEquals(code, 0);
      // All that the caller's process does after its child is there.
      const last = calls.lastIndexOf("clone");
      const told = new Set<number>();
      for (const [i, name] of calls.entries()) {
        if (i <= last || name === "exit_group") continue;
        const when = calls.slice(0, i + 1).filter((one) => one === name).length;
        const inject = `inject=${name}:signal=TERM:when=${when}`;
        const { box, code } = await trace("-e", inject);
        await using _box = box;
        await assertTruth(box, code, 143);
        told.add(code);
      }
      // It has not come too late each time.
      assertEquals(told.has(143), true);
    },
  });
}

/** The system calls in a trace of one thread. */
function namesIn(trace: string): string[] {
  return [...trace.matchAll(/^(\w+)\(/gm)].map(([, name]) => name!);
}

for (const options of [["--detach"], DETACHED[1]!]) {
  for (const [signal, status] of Object.entries(STATUSES)) {
    const title = ["tend", ...options].join(" ");
    Deno.test(`${title} says the truth of the daemon when ${signal} comes while it waits for its child's end`, async () => {
      await using box = await Sandbox.create();
      // Of the caller's process alone, which goes on waiting for a while.
      const inject = "inject=wait4:delay_enter=1000000";
      const strace = ["strace", "-qq", "-o", "/dev/null", "-e", inject];
      const traced = box.start(
        [...strace, TEND, ...options, "--", "sleep", "600"],
      );
      await box.until(
        "COMMAND runs",
        () =>
          box.processes().some((pid) =>
            look(pid)?.status.get("Name") === "sleep"
          ),
      );
      const caller = box.processes().find((pid) =>
        look(pid)?.ppid === traced.pid
      );
      Deno.kill(caller!, signal as Deno.Signal);
      await assertTruth(box, (await traced.finished()).code, status);
    });
  }
}

/** Whether tend has forked, and waits for its child. */
function childWaits(box: Sandbox, pid: number): boolean {
  return look(pid)?.state === "S" &&
    box.processes().some((other) => look(other)?.ppid === pid);
}

for (const options of [["--monitor", "--pidfile=x.pid"], ...DETACHED]) {
  const title = ["tend", ...options].join(" ");
  Deno.test(`${title} runs no COMMAND when its parent was killed before exec`, async () => {
    await using box = await Sandbox.create();
    // The last that a daemon asks before it becomes COMMAND.
    const inject = "inject=getppid:delay_enter=3000000";
    const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject];
    const script = ': >"$1"; exec sleep 600';
    const command = ["sh", "-c", script, "sh", box.path("ran")];
    const tend = box.start([...strace, TEND, ...options, "--", ...command]);
    const daemon = await box.until("it has its pidfile", () => {
      const pid = box.pidfile("x.pid");
      return pid !== undefined && pid > 0 && pid;
    });
    const parent = parentOf(daemon);
    Deno.kill(parent, "SIGKILL");
    const { code } = await tend.finished();
    assertEquals(code, options.includes("--detach") ? 1 : 137);
    await box.until("all have ended", () => box.processes().length === 0);
    // Detached, it may have been told to end before it had looked.
    const reason = options.includes("--detach")
      ? "could not detach from foreground session\n"
      : `: pid ${parent} is gone\n`;
    assertStringIncludes(tend.stderr(), reason);
    assertEquals(box.exists(box.path("ran")), false);
    // Of a monitor that was killed in the foreground nobody knows any more.
    const left = options.includes("--detach") ? [] : ["x.pid.monitor"];
    assertEquals(box.runFiles(), left);
  });
}

Deno.test("tend --detach --monitor leaves no COMMAND behind whose monitor was killed before the caller heard of it", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  // The daemon is held up as long as somebody else makes the same pidfile.
  const tmpfile = box.runPath("x.pid.tmp");
  const fd = open(tmpfile, O_RDWR | O_CREAT, 0o644);
  fcntlSetlk(fd);
  const options = ["--detach", "--monitor", "--pidfile=x.pid"];
  const tend = box.start([TEND, ...options, "--", "sleep", "600"]);
  const monitor = await box.until("the monitor has a daemon", () => {
    const [pid] = childrenOf(tend.pid);
    return pid !== undefined && childrenOf(pid).length > 0 && pid;
  });
  await freeze(box, monitor);
  Deno.removeSync(tmpfile);
  close(fd);
  await box.until("COMMAND runs", () => {
    const pid = box.pidfile("x.pid");
    return pid !== undefined && pid > 0 && isAlive(pid) &&
      titleOf(pid) === "sleep 600";
  });
  Deno.kill(monitor, "SIGKILL");
  assertEquals((await tend.finished()).code, 1);
  assertEquals([box.processes(), box.runFiles()], [[], []]);
});

for (const options of [[], ["--pidfile=x.pid"]]) {
  const title = ["tend --detach --monitor --ready", ...options].join(" ");
  Deno.test(`${title} leaves nothing of COMMAND behind whose monitor was killed before that is ready`, async () => {
    await using box = await Sandbox.create();
    const ready = `--ready=file=${box.path("nothing")}`;
    const command = ["sh", "-c", 'sleep 600 & echo $$ >"$1"; wait', "sh"];
    const tend = box.start([
      ...[TEND, "--detach", "--monitor", ready, ...options, "--"],
      ...[...command, box.path("there")],
    ]);
    const pid = await box.until(
      "COMMAND runs",
      () => box.pidIn(box.path("there")) || undefined,
    );
    Deno.kill(parentOf(pid), "SIGKILL");
    const { code, stderr } = await tend.finished();
    assertEquals([code, stderr.match(/.*still run.*/)], [1, null]);
    // What shows its stderr ends after the last that has it.
    await box.until("all have ended", () => box.processes().length === 0);
    assertEquals(isAlive(pid), false);
    assertEquals(box.runFiles(), []);
  });
}
