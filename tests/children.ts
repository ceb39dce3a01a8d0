/**
 * Children that nobody but the test waits for: `Deno.Command` waits for its own.
 *
 * @module
 */
import { CStringArray } from "../ffi/c_string.ts";
import { waitpid } from "../ffi/child.ts";
import { bind, LibcError, uninterrupted } from "../ffi/libc.ts";
import { kill } from "../ffi/process.ts";
import { Signal } from "../ffi/signal.ts";
import { decodeWaitStatus, type WaitStatus } from "../ffi/wait_status.ts";

const libc = bind({
  posix_spawnp: {
    parameters: [
      "buffer", // pid_t *
      "buffer", // const char *file
      "pointer", // const posix_spawn_file_actions_t *
      "pointer", // const posix_spawnattr_t *
      "buffer", // char *const argv[]
      "buffer", // char *const envp[]
    ],
    result: "i32",
  },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
});

const WUNTRACED = 2;
const WCONTINUED = 8;

/** A child of this process that is killed and waited for when it is disposed. */
export class Child implements Disposable {
  /** Its pid. */
  readonly pid: number;
  #waitedFor = false;

  /** @param argv What it runs, looked up in `PATH`, with its arguments. */
  constructor(...argv: [string, ...string[]]) {
    const pid = new Int32Array(1);
    const args = new CStringArray(argv);
    const env = new CStringArray([`PATH=${Deno.env.get("PATH")}`]);
    const error = libc.posix_spawnp(
      new Uint8Array(pid.buffer),
      new TextEncoder().encode(`${argv[0]}\0`),
      null,
      null,
      new Uint8Array(args.pointers.buffer),
      new Uint8Array(env.pointers.buffer),
    );
    if (error !== 0) throw new LibcError("posix_spawnp", error);
    this.pid = pid[0]!;
  }

  /** Waits for its end. */
  wait(): WaitStatus {
    this.#waitedFor = true;
    return waitpid(this.pid);
  }

  /** Waits for a change: its end, a stop, or that it goes on. */
  waitForChange(): WaitStatus {
    const status = new Int32Array(1);
    uninterrupted("waitpid", () =>
      libc.waitpid(
        this.pid,
        new Uint8Array(status.buffer),
        WUNTRACED | WCONTINUED,
      ));
    const decoded = decodeWaitStatus(status[0]!);
    this.#waitedFor = decoded.kind === "exited" || decoded.kind === "signaled";
    return decoded;
  }

  /** Kills it, unless it was waited for: the number may be another's by now. */
  [Symbol.dispose](): void {
    if (this.#waitedFor) return;
    kill(this.pid, Signal.SIGKILL);
    this.wait();
  }
}

/** A pid that was just waited for: the kernel gives it to nobody so soon. */
export function endedPid(): number {
  using child = new Child("true");
  child.wait();
  return child.pid;
}
