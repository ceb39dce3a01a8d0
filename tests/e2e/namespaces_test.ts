import { assertEquals } from "@std/assert/equals";
import { startBackingOff, untilShown } from "../monitored.ts";
import { childrenOf, isAlive, look, parentOf } from "../proc.ts";
import {
  START,
  startInside,
  UNSHARE,
  WITHOUT_NAMESPACES,
} from "../pid_namespace.ts";
import { type Finished, Sandbox, TEND } from "../sandbox.ts";

/** The process that is PID 1 for another. */
function firstOfNamespace(pid: number): number {
  const isFirst = look(pid)?.status.get("NSpid")?.endsWith("\t1");
  return isFirst ? pid : firstOfNamespace(parentOf(pid));
}

/** Asserts that a start failed because of a daemon in another namespace. */
function assertRefused(box: Sandbox, finished: Finished): void {
  assertEquals(finished, {
    code: 1,
    stdout: "",
    stderr: `tend: ${
      box.runPath("web.pid")
    }: already running (in another PID namespace), aborting\n`,
  });
}

Deno.test({
  name: "tend --pidfile refuses beside a daemon in a PID namespace below",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    await startInside(box);
    const text = box.read(box.runPath("web.pid"));
    assertRefused(box, await box.tend(...START));
    assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
    assertEquals(box.read(box.runPath("web.pid")), text);
  },
});

Deno.test({
  name: "tend --pidfile refuses beside a daemon in a PID namespace above",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    await box.tend(...START);
    const pid = box.pidfile("web.pid");
    assertRefused(box, await box.run([...UNSHARE, TEND, ...START]));
    assertEquals(box.holder("web.pid"), pid);
    assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
  },
});

Deno.test({
  name: "tend --pidfile refuses beside a daemon in a PID namespace beside",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    await startInside(box);
    assertRefused(box, await box.run([...UNSHARE, TEND, ...START]));
    assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
  },
});

Deno.test({
  name:
    "tend --pidfile refuses beside a monitor that backs off in a PID namespace above",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    await startBackingOff(box);
    await untilShown(box, "that", ({ phase }) => phase === "backingOff");
    const { code, stderr } = await box.run([...UNSHARE, TEND, ...START]);
    assertEquals([code, stderr], [
      1,
      `tend: ${
        box.runPath("web.pid")
      }: already monitored (in another PID namespace), aborting\n`,
    ]);
  },
});

Deno.test({
  name: "tend --overwrite-pidfile replaces one from another PID namespace",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    await startInside(box);
    const { code } = await box.tend("--overwrite-pidfile", ...START);
    assertEquals(code, 0);
    assertEquals(box.holder("web.pid"), box.pidfile("web.pid"));
  },
});

Deno.test({
  name: "tend --pidfile takes over when the other PID namespace has ended",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    await startInside(box);
    const daemon = box.holder("web.pid")!;
    Deno.kill(firstOfNamespace(daemon), "SIGKILL");
    await box.until("the daemon has ended", () => !isAlive(daemon));
    const { code } = await box.tend(...START);
    assertEquals(code, 0);
    assertEquals(box.holder("web.pid"), box.pidfile("web.pid"));
  },
});

Deno.test({
  name: "tend --monitor passes SIGTERM on when it is PID 1",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    const script = "kill -TERM 1; sleep 600";
    const argv = ["--monitor", "--pidfile=web.pid", "--", "sh", "-c", script];
    const { code } = await box.run([...UNSHARE, TEND, ...argv]);
    assertEquals(code, 128 + 15);
    assertEquals(box.runFiles(), []);
  },
});

Deno.test({
  name: "tend --monitor waits for orphans when it is PID 1",
  ignore: WITHOUT_NAMESPACES,
  fn: async () => {
    await using box = await Sandbox.create();
    const done = box.path("done");
    const script = `(sh -c 'sleep 0.1; : >"$1"' sh "$1" &); exec sleep 600`;
    const argv = ["--monitor", "--pidfile=web.pid", "--"];
    box.start([...UNSHARE, TEND, ...argv, "sh", "-c", script, "sh", done]);
    await box.until("the orphan has ended", () => box.read(done) !== undefined);
    const monitor = parentOf(box.holder("web.pid")!);
    await box.until("no zombie is left", () => {
      const text = Deno.readTextFileSync(
        `/proc/${monitor}/task/${monitor}/children`,
      );
      return text.trim() === String(childrenOf(monitor)[0]);
    });
  },
});
