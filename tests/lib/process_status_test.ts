import { assertEquals } from "@std/assert/equals";
import type { WaitStatus } from "../../ffi/wait_status.ts";
import { processStatusMsg } from "../../lib/process_status.ts";
import "../open_libc.ts";

const MESSAGES: readonly [WaitStatus, string][] = [
  [{ kind: "exited", code: 0 }, "exit status 0"],
  [{ kind: "exited", code: 255 }, "exit status 255"],
  [
    { kind: "signaled", signal: 11, coreDumped: false },
    "killed (Segmentation fault)",
  ],
  [
    { kind: "signaled", signal: 6, coreDumped: true },
    "killed (Aborted), core dumped",
  ],
  [
    { kind: "signaled", signal: 34, coreDumped: false },
    "killed (Real-time signal 0)",
  ],
  [{ kind: "stopped", signal: 19 }, "stopped (Stopped (signal))"],
  [{ kind: "continued" }, "continued"],
];

for (const [status, message] of MESSAGES) {
  Deno.test(`processStatusMsg() is "${message}" for ${JSON.stringify(status)}`, () => {
    assertEquals(processStatusMsg(status), message);
  });
}
