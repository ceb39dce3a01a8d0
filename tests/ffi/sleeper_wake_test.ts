import { assertEquals } from "@std/assert/equals";
import { Signal } from "../../ffi/signal.ts";
import { freeze, look, signalsIn } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { fifo, NAME, Sleeper, wake } from "../sleepers.ts";
import "../open_libc.ts";

/** What the default program of a sleeper writes. */
function awake(pid: number): string {
  return `awake as ${pid}\n`;
}

Deno.test("sleeperImage() wakes up in the same process when a pipe can be read", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box);
  wake(box);
  const { code, stdout, stderr } = await sleeper.finished();
  assertEquals([code, stdout, stderr], [0, awake(sleeper.pid), ""]);
});

Deno.test("sleeperImage() leaves in a pipe what has woken it up", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box, {
    argv: ["sh", "-c", "head -c 1 <>wake | od -An -tx1"],
    env: [`PATH=${Deno.env.get("PATH")}`],
  });
  wake(box);
  assertEquals((await sleeper.finished()).stdout, " 00\n");
});

Deno.test("sleeperImage() wakes up when the other end of a pipe is closed", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box);
  Deno.openSync(box.path("wake"), { write: true }).close();
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});

for (const name of ["first", "second", "third"]) {
  Deno.test(`sleeperImage() wakes up when the ${name} of three pipes can be read`, async () => {
    await using box = await Sandbox.create();
    const watched = ["first", "second", "third"].map(fifo);
    const sleeper = await Sleeper.start(box, { watched });
    wake(box, name);
    assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
  });
}

Deno.test("sleeperImage() wakes up when one of a thousand descriptors can be read", async () => {
  await using box = await Sandbox.create();
  const watched = `...Array(1000).fill(${fifo("never")}), ${fifo("wake")}`;
  const sleeper = await Sleeper.start(box, { watched: [watched] });
  wake(box);
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});

Deno.test("sleeperImage() wakes up when a timer rings", async () => {
  await using box = await Sandbox.create();
  const timer = `(() => {
    const fd = timerfd();
    setTimerfd(fd, bootTime() + 50);
    return fd;
  })()`;
  const sleeper = await Sleeper.startOnly(box, { watched: [timer] });
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});

Deno.test("sleeperImage() wakes up when a process has ended", async () => {
  await using box = await Sandbox.create();
  const other = box.start(["sleep", "600"]);
  const watched = [`pidfdOpen(${other.pid})`];
  const sleeper = await Sleeper.start(box, { watched });
  Deno.kill(other.pid, "SIGKILL");
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});

Deno.test("sleeperImage() wakes up with a blocked signal, which is blocked and pending still", async () => {
  await using box = await Sandbox.create();
  const { SIGHUP, SIGTERM } = Signal;
  const sleeper = await Sleeper.start(box, {
    watched: ["signalfd([Signal.SIGTERM])"],
    under: ["env", "--block-signal=HUP,TERM"],
    // A shell would let all signals through.
    path: "/bin/grep",
    argv: ["grep", "^S", "/proc/self/status"],
  });
  assertEquals(signalsIn(sleeper.pid, "SigBlk"), [SIGHUP, SIGTERM]);
  // One that nobody listens to first: it wakes nobody.
  Deno.kill(sleeper.pid, "SIGHUP");
  await sleeper.asleep();
  Deno.kill(sleeper.pid, "SIGTERM");
  const { stdout } = await sleeper.finished();
  const bits = (...signals: number[]) =>
    signals.reduce((mask, signal) => mask | 1n << BigInt(signal - 1), 0n)
      .toString(16).padStart(16, "0");
  const lines = new Map(
    stdout.trim().split("\n").map((line) =>
      line.split(":\t") as [string, string]
    ),
  );
  assertEquals(lines.get("ShdPnd"), bits(SIGHUP, SIGTERM));
  assertEquals(lines.get("SigBlk"), bits(SIGHUP, SIGTERM));
});

Deno.test("sleeperImage() wakes up at once when there was something to read before", async () => {
  await using box = await Sandbox.create();
  const watched = ["signalfd([Signal.SIGTERM])"];
  const sleeper = await Sleeper.startOnly(box, {
    watched: [`(Deno.kill(Deno.pid, "SIGTERM"), ${watched})`],
    under: ["env", "--block-signal=TERM"],
  });
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});

Deno.test("sleeperImage() sleeps on after SIGSTOP and SIGCONT", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box);
  for (let i = 0; i < 3; i++) {
    await freeze(box, sleeper.pid);
    Deno.kill(sleeper.pid, "SIGCONT");
    await box.until("it goes on", () => look(sleeper.pid)?.state === "S");
    assertEquals(sleeper.status("Name"), NAME);
  }
  wake(box);
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});

/** Has `ppoll()` fail: which times, and how. Deno itself makes no such call. */
function failing(times: string, errno: string): string[] {
  const inject = `inject=ppoll:error=${errno}:when=${times}`;
  return ["strace", "-qq", "-o", "trace", "-e", inject];
}

Deno.test("sleeperImage() sleeps on when a call is interrupted", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box, { under: failing("1..3", "EINTR") });
  const calls = () => box.read(box.path("trace"))?.match(/^ppoll\(/gm)?.length;
  await box.until("it sleeps for the fourth time", () => calls() === 4);
  assertEquals(sleeper.status("Name"), NAME);
  wake(box);
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});

Deno.test("sleeperImage() wakes up when it cannot sleep", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.startOnly(box, {
    under: failing("1", "ENOMEM"),
  });
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});

Deno.test("sleeperImage() sleeps on when a tracer comes and goes", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box);
  const tracer = box.start(["strace", "-o", "trace", "-p", `${sleeper.pid}`]);
  await box.until(
    "it is traced",
    () => sleeper.status("TracerPid") === `${tracer.pid}`,
  );
  Deno.kill(tracer.pid, "SIGINT");
  await tracer.finished();
  await sleeper.asleep();
  assertEquals(sleeper.status("TracerPid"), "0");
  wake(box);
  assertEquals((await sleeper.finished()).stdout, awake(sleeper.pid));
});
