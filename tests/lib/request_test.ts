import { assertEquals } from "@std/assert/equals";
import type { ReceivedSignal } from "../../ffi/signal.ts";
import { requestOf } from "../../lib/request.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

const fromKernel = false;

for (const signal of [1, 9, 15, 64]) {
  Deno.test(`requestOf() is what came with value ${signal}`, () => {
    const value = BigInt(signal);
    assertEquals(
      [35, 36].map((number) =>
        requestOf({ signal: number, fromKernel, value })
      ),
      [{ kind: "stop", signal }, { kind: "restart", signal }],
    );
  });
}

Deno.test("requestOf() is what came with a time", () => {
  assertEquals(
    requestOf({ signal: 35, fromKernel, value: 15n + (60_000n << 8n) }),
    { kind: "stop", signal: 15, timeout: 60_000 },
  );
});

const NONE: readonly [what: string, received: ReceivedSignal][] = [
  ["signal that was not queued", { signal: 35, fromKernel }],
  ["signal of the kernel's", { signal: 36, fromKernel: true }],
  ["value of 0", { signal: 35, fromKernel, value: 0n }],
  ["value above all signals", { signal: 36, fromKernel, value: 65n }],
  ["pointer", { signal: 35, fromKernel, value: 0x7fff_0000_000fn }],
  ["negative number", { signal: 35, fromKernel, value: 2n ** 64n - 15n }],
  ["queued SIGTERM", { signal: 15, fromKernel, value: 15n }],
  ["queued SIGRTMIN+3", { signal: 37, fromKernel, value: 15n }],
];

for (const [what, received] of NONE) {
  Deno.test(`requestOf() is undefined for a ${what}`, () => {
    assertEquals(requestOf(received), undefined);
  });
}

Deno.test("sendRequest() sends what requestOf() reads", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { pidfdOpen } from "${ROOT}/ffi/pidfd.ts";
    import { readSignalfd, signalfd } from "${ROOT}/ffi/signal.ts";
    import { catchSignals } from "${ROOT}/lib/pass_on.ts";
    import { requestOf, sendRequest } from "${ROOT}/lib/request.ts";
    const fd = catchSignals();
    const self = pidfdOpen(Deno.pid);
    for (const kind of ["restart", "stop"]) {
      sendRequest(self, { kind, signal: 10 });
      console.log(JSON.stringify(requestOf(readSignalfd(fd))));
    }`,
    // In all of Deno's threads from the first moment.
    { under: ["env", "--block-signal=RTMIN+1,RTMIN+2"] },
  );
  assertEquals(answer.split("\n").map((line) => JSON.parse(line)), [
    { kind: "restart", signal: 10 },
    { kind: "stop", signal: 10 },
  ]);
});
