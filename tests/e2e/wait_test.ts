import { assertEquals } from "@std/assert/equals";
import {
  MONITORED,
  shown,
  startAsleep,
  startBackingOff,
  successorOf,
  untilShown,
} from "../monitored.ts";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { fdsOf, look } from "../proc.ts";
import { type Running, Sandbox, TEND } from "../sandbox.ts";
import { json } from "../verb_calls.ts";

const SLEEP = ["--", "sleep", "600"];
const DONE = { code: 0, stdout: "", stderr: "" };

/** The numbers of poll() and, on aarch64, of ppoll(). */
const POLL = ["7", "73"];

/** Waits until a verb waits for so many processes. */
async function untilWaiting(
  box: Sandbox,
  { pid }: Running,
  processes: number,
): Promise<void> {
  await box.until(`pid ${pid} waits for ${processes} processes`, () => {
    const held = look(pid) === undefined ? [] : [...fdsOf(pid).values()]
      .filter((file) => file.includes("pidfd"));
    const call = box.read(`/proc/${pid}/syscall`)?.split(" ")[0] ?? "";
    return held.length >= processes && POLL.includes(call);
  });
}

/** Starts a verb, and returns when it waits for so many processes. */
async function startWaiting(
  box: Sandbox,
  processes: number,
  ...args: string[]
): Promise<Running> {
  const running = box.start([TEND, ...args]);
  await untilWaiting(box, running, processes);
  return running;
}

Deno.test("tend wait returns at once when there is nothing", async () => {
  await using box = await Sandbox.create();
  assertEquals(await box.tend("wait", "web"), DONE);
});

for (
  const options of [MONITORED, ["--detach", "--exec", "--pidfile=web.pid"]]
) {
  Deno.test(`tend wait returns when what tend ${options.slice(1).join(" ")} began has ended`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...options, ...SLEEP);
    const waiting = await startWaiting(box, 1, "wait", "web");
    Deno.kill(box.pidfile("web.pid")!, "SIGTERM");
    assertEquals(await waiting.finished(), DONE);
    assertEquals(box.processes(), []);
  });
}

Deno.test("tend wait goes on when the daemon crashes, and ends with the monitor", async () => {
  await using box = await Sandbox.create();
  const { daemon } = await startAsleep(box);
  const waiting = await startWaiting(box, 2, "wait", "web");
  Deno.kill(daemon, "SIGSEGV");
  const next = await successorOf(daemon, box);
  await untilShown(box, "that it runs", ({ phase }) => phase === "running");
  await untilWaiting(box, waiting, 2);
  Deno.kill(next, "SIGTERM");
  assertEquals(await waiting.finished(), DONE);
});

Deno.test("tend wait of several returns when all have ended", async () => {
  await using box = await Sandbox.create();
  for (const name of ["a", "b"]) {
    await box.tend("--detach", `--pidfile=${name}.pid`, ...SLEEP);
  }
  const waiting = await startWaiting(box, 4, "wait", "a", "b");
  await box.tend("stop", "a");
  await untilWaiting(box, waiting, 2);
  await box.tend("stop", "b");
  assertEquals(await waiting.finished(), DONE);
});

Deno.test("tend wait --timeout says what runs still, and exits 1", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...SLEEP);
  const pid = box.pidfile("web.pid");
  assertEquals(await box.tend("wait", "--timeout=50ms", "web"), {
    code: 1,
    stdout: "",
    stderr: `tend: web: pid ${pid} runs still after 0.05 s\n`,
  });
});

Deno.test("tend wait --ready returns at once when the daemon is ready", async () => {
  await using box = await Sandbox.create();
  const { monitor, daemon } = await startAsleep(box);
  const { done, state, pid, ...others } = await json(
    box,
    "wait",
    "--ready",
    "web",
  );
  assertEquals([done, state, pid], ["ready", "running", daemon]);
  assertEquals(others.monitor, monitor);
});

Deno.test("tend wait --ready returns when one that backs off has been started", async () => {
  await using box = await Sandbox.create();
  await startBackingOff(box);
  await untilShown(box, "that", ({ phase }) => phase === "backingOff");
  const waiting = await startWaiting(box, 1, "wait", "--ready", "web");
  assertEquals((await box.tend("restart", "web")).code, 0);
  assertEquals(await waiting.finished(), DONE);
});

Deno.test("tend wait --ready fails when the monitor ends meanwhile", async () => {
  await using box = await Sandbox.create();
  const { monitor } = await startBackingOff(box);
  await untilShown(box, "that", ({ phase }) => phase === "backingOff");
  const waiting = await startWaiting(box, 1, "wait", "--ready", "web");
  Deno.kill(monitor, "SIGTERM");
  assertEquals(await waiting.finished(), {
    code: 1,
    stdout: "",
    stderr: "tend: web: not running\n",
  });
});

Deno.test("tend wait --ready --timeout says that it is not, and exits 1", async () => {
  await using box = await Sandbox.create();
  await startBackingOff(box);
  await untilShown(box, "that", ({ phase }) => phase === "backingOff");
  assertEquals(await box.tend("wait", "--ready", "--timeout=50ms", "web"), {
    code: 1,
    stdout: "",
    stderr: "tend: web: is not ready after 0.05 s\n",
  });
});

Deno.test("tend wait --ready says that the daemon does not run", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.tend("wait", "--ready", "web");
  assertEquals([code, stderr], [1, "tend: web: not running\n"]);
});

Deno.test("tend wait is not woken while it waits", async () => {
  await using box = await Sandbox.create();
  await startAsleep(box);
  const waiting = await startWaiting(box, 2, "wait", "--timeout=1h", "web");
  const switches = () =>
    look(waiting.pid)!.status.get("voluntary_ctxt_switches");
  const before = switches();
  // What others do with the same files does not concern it.
  for (const name of ["a", "b"]) {
    await box.tend("--detach", `--pidfile=${name}.pid`, ...SLEEP);
    await box.tend("stop", name);
  }
  assertEquals(switches(), before);
  assertEquals(shown(box)?.phase, "running");
});

Deno.test({
  name: "tend wait returns when a real ovsdb-server --monitor has ended",
  ignore: WITHOUT_OVSDB,
  fn: async () => {
    await using box = await Sandbox.create();
    const ovsdb = await Ovsdb.create(box);
    await ovsdb.start(box.runPath("web.pid"), "--monitor");
    const waiting = await startWaiting(box, 2, "wait", "web");
    assertEquals(await box.tend("stop", "web"), DONE);
    assertEquals(await waiting.finished(), DONE);
    assertEquals(box.processes(), []);
  },
});
