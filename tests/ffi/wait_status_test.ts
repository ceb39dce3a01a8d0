import { assertEquals } from "@std/assert/equals";
import { decodeWaitStatus, exitStatusOf } from "../../ffi/wait_status.ts";
import { kill } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { Child } from "../children.ts";
import "../open_libc.ts";

for (const code of [0, 1, 127, 128, 255]) {
  Deno.test(`decodeWaitStatus() says "exited" of a child that exits with ${code}`, () => {
    using child = new Child("sh", "-c", `exit ${code}`);
    assertEquals(child.wait(), { kind: "exited", code });
  });
}

for (const name of ["SIGHUP", "SIGKILL", "SIGTERM"] as const) {
  Deno.test(`decodeWaitStatus() says "signaled" of a child that ${name} killed`, () => {
    using child = new Child("sleep", "600");
    kill(child.pid, Signal[name]);
    const signal = Signal[name];
    assertEquals(child.wait(), { kind: "signaled", signal, coreDumped: false });
  });
}

Deno.test("decodeWaitStatus() says that no core was dumped where none may be", () => {
  using child = new Child("sh", "-c", "ulimit -c 0; kill -ABRT $$");
  const signal = Signal.SIGABRT;
  assertEquals(child.wait(), { kind: "signaled", signal, coreDumped: false });
});

Deno.test("decodeWaitStatus() says that a core was dumped when bit 7 is set", () => {
  // Whether a real one dumps core is up to the machine.
  const signal = Signal.SIGSEGV;
  assertEquals(
    decodeWaitStatus(0x80 | signal),
    { kind: "signaled", signal, coreDumped: true },
  );
});

Deno.test("decodeWaitStatus() says when a child stops and when it goes on", () => {
  using child = new Child("sleep", "600");
  kill(child.pid, SIGSTOP);
  assertEquals(child.waitForChange(), { kind: "stopped", signal: SIGSTOP });
  kill(child.pid, SIGCONT);
  assertEquals(child.waitForChange(), { kind: "continued" });
});

Deno.test("exitStatusOf() is the exit status of a process that exited", () => {
  assertEquals(exitStatusOf({ kind: "exited", code: 3 }), 3);
});

Deno.test("exitStatusOf() is 128 and the signal when one killed the process", () => {
  const signal = Signal.SIGKILL;
  const killed = { kind: "signaled", signal, coreDumped: true } as const;
  assertEquals(exitStatusOf(killed), 137);
});

Deno.test("exitStatusOf() is 128 and the signal when one stopped the process", () => {
  assertEquals(exitStatusOf({ kind: "stopped", signal: SIGSTOP }), 147);
});

Deno.test("exitStatusOf() is 0 for a process that goes on", () => {
  assertEquals(exitStatusOf({ kind: "continued" }), 0);
});

const SIGCONT = 18;
const SIGSTOP = 19;
