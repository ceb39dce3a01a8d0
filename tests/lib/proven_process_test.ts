import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { Signal } from "../../ffi/signal.ts";
import {
  DaemonHold,
  hasEnded,
  hold,
  prove,
  sendSignal,
  SignalRefused,
} from "../../lib/proven_process.ts";
import { openFdCount } from "../descriptors.ts";
import { MONITORED } from "../monitored.ts";
import { isAlive } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { close } from "../../ffi/descriptor.ts";
import "../open_libc.ts";

Deno.test("DaemonHold.take() has daemon and monitor, and lets go of them", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  const before = openFdCount();
  const held = DaemonHold.take(box.runPath("web.pid"));
  assertEquals(
    [held.daemon?.pid, held.monitor?.pid, held.bystander],
    [box.holder("web.pid"), box.holder("web.pid.monitor"), undefined],
  );
  held.release();
  assertEquals(openFdCount(), before);
});

Deno.test("DaemonHold.take() has nobody whom no lock proves", async () => {
  await using box = await Sandbox.create();
  const other = box.start(["sleep", "600"]);
  Deno.mkdirSync(box.path("run"));
  Deno.writeTextFileSync(box.runPath("web.pid"), `${other.pid}\n`);
  const before = openFdCount();
  const held = DaemonHold.take(box.runPath("web.pid"));
  assertEquals([held.daemon, held.monitor, held.pidfds], [
    undefined,
    undefined,
    [],
  ]);
  assertEquals(openFdCount(), before);
});

Deno.test("prove() lets go of a process that is another by now", async () => {
  await using box = await Sandbox.create();
  const { pid } = box.start(["sleep", "600"]);
  const before = openFdCount();
  assertEquals(prove(pid, () => false), undefined);
  assertEquals(openFdCount(), before);
});

Deno.test("prove() asks when it has its hand on the process", async () => {
  await using box = await Sandbox.create();
  const { pid } = box.start(["sleep", "600"]);
  const before = openFdCount();
  let during = 0;
  const proven = prove(pid, () => (during = openFdCount()) > 0);
  assertEquals([proven?.pid, during], [pid, before + 1]);
  close(proven!.pidfd);
});

Deno.test("sendSignal() reaches nobody when the process has ended", async () => {
  await using box = await Sandbox.create();
  const running = box.start(["sleep", "600"]);
  const held = hold(running.pid)!;
  sendSignal(held, Signal.SIGKILL);
  await running.finished();
  assertEquals([hasEnded(held), isAlive(running.pid)], [true, false]);
  sendSignal(held, Signal.SIGKILL);
  assertEquals(hold(running.pid), undefined);
  close(held.pidfd);
});

Deno.test({
  name: "sendSignal() says whose process takes no signal from us",
  // As root we may.
  ignore: Deno.uid() === 0,
  fn: () => {
    const held = hold(1)!;
    try {
      const send = () => sendSignal(held, Signal.SIGUSR1);
      const { message } = assertThrows(send, SignalRefused);
      assertEquals(message, "pid 1 belongs to user 0");
    } finally {
      close(held.pidfd);
    }
  },
});
