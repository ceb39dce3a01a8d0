/**
 * Words for how a process ended.
 *
 * @module
 */
import { strsignal } from "../ffi/signal.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";

/**
 * Says how a process ended. Port of `process_status_msg()` in process.c.
 *
 * @param status What `waitpid()` said.
 * @returns `exit status 1`, `killed (Segmentation fault), core dumped`.
 */
export function processStatusMsg(status: WaitStatus): string {
  switch (status.kind) {
    case "exited":
      return `exit status ${status.code}`;
    case "signaled": {
      const dumped = status.coreDumped ? ", core dumped" : "";
      return `killed (${strsignal(status.signal)})${dumped}`;
    }
    case "stopped":
      return `stopped (${strsignal(status.signal)})`;
    case "continued":
      return "continued";
  }
}
