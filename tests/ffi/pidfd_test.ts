import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { closesOnExec } from "../../ffi/descriptor.ts";
import { LibcError } from "../../ffi/libc.ts";
import { pidfdOpen, pidfdSendSignal } from "../../ffi/pidfd.ts";
import { setTimerfd, timerfd, waitReadable } from "../../ffi/wait.ts";
import { Child } from "../children.ts";
import { disposable } from "../descriptors.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("pidfdOpen() can be read when the process has ended, and not before", () => {
  using child = new Child("sleep", "600");
  using watch = disposable(pidfdOpen(child.pid));
  using timer = disposable(timerfd());
  setTimerfd(timer.number, 1);
  assertEquals(waitReadable([watch.number, timer.number]), [timer.number]);
  Deno.kill(child.pid, "SIGKILL");
  assertEquals(waitReadable([watch.number]), [watch.number]);
});

Deno.test("pidfdOpen() throws ESRCH when the process is gone", () => {
  using child = new Child("true");
  child.wait();
  const error = assertThrows(() => pidfdOpen(child.pid), LibcError);
  assertEquals(error.message, "pidfd_open failed (No such process)");
});

Deno.test("pidfdOpen() makes a descriptor that is closed on exec", () => {
  using self = disposable(pidfdOpen(Deno.pid));
  assertEquals(closesOnExec(self.number), true);
});

Deno.test("pidfdSendSignal() sends a signal", () => {
  using child = new Child("sleep", "600");
  using pidfd = disposable(pidfdOpen(child.pid));
  pidfdSendSignal(pidfd.number, 15);
  assertEquals(child.wait(), {
    kind: "signaled",
    signal: 15,
    coreDumped: false,
  });
});

Deno.test("pidfdSendSignal() throws ESRCH when the process was waited for, whoever has its number", () => {
  using child = new Child("true");
  using pidfd = disposable(pidfdOpen(child.pid));
  child.wait();
  for (const value of [undefined, 1]) {
    const error = assertThrows(
      () => pidfdSendSignal(pidfd.number, 15, value),
      LibcError,
    );
    assertEquals(error.message, "pidfd_send_signal failed (No such process)");
  }
});

Deno.test("pidfdSendSignal() queues each signal with its value", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { pidfdOpen, pidfdSendSignal } from "${ROOT}/ffi/pidfd.ts";
    import { readSignalfd, signalfd } from "${ROOT}/ffi/signal.ts";
    const fd = signalfd([35, 36]);
    const self = pidfdOpen(Deno.pid);
    pidfdSendSignal(self, 36, 9);
    pidfdSendSignal(self, 35, 15);
    pidfdSendSignal(self, 35, Number.MAX_SAFE_INTEGER);
    pidfdSendSignal(self, 35);
    for (;;) {
      const received = readSignalfd(fd);
      if (received === undefined) break;
      const { signal, value } = received;
      console.log(signal, value);
    }`,
    // In all of Deno's threads from the first moment.
    { under: ["env", "--block-signal=RTMIN+1,RTMIN+2"] },
  );
  assertEquals(answer.split("\n"), [
    "35 15n",
    `35 ${Number.MAX_SAFE_INTEGER}n`,
    "35 undefined",
    "36 9n",
  ]);
});
