/**
 * Who makes a call, by what a process does: how its role changes, and from where
 * on its calls are ours and not those of Deno's runtime.
 *
 * @module
 */
import { GETCWD, matters, nameOf, pathArgument, POLL } from "./calls.ts";
import type { Role } from "./life.ts";
import { type Stop, textAt, wordAt } from "./ptrace.ts";

/** The runtime asks so often for the directory, last before any code of ours. */
const RUNTIME_GETCWDS = 3;
/** What `self_daemon.ts` looks for first: `deno run` asks for it less often. */
const BEGINNING = "/no/such/file/but/it/begins";
/** What the image is called that a monitor becomes to sleep. */
const SLEEPER = "tend";
/** `CLONE_THREAD`, in the flags that `struct clone_args` begins with. */
const THREAD = 0x10000n;

/** A process of tend's, or a thread of the runtime's. */
export class Actor {
  #getcwds = 0;

  /** @param role Who it is; a thread of the runtime's is nobody. */
  constructor(public role: Role | undefined) {}

  /** One that has been forked: it is in the midst of our code. */
  static forked(role: Role | undefined): Actor {
    const actor = new Actor(role);
    actor.#getcwds = RUNTIME_GETCWDS;
    return actor;
  }

  /**
   * Follows what it is now that it has become another program of tend's.
   *
   * @param exe The program.
   * @param isMonitor Whether it is the monitor's process.
   */
  becomes(exe: string, isMonitor: boolean): void {
    const isImage = exe.startsWith("/memfd:");
    this.#getcwds = isImage ? RUNTIME_GETCWDS : 0;
    if (exe.startsWith("/memfd:tend-logger")) this.role = "logger";
    else if (isMonitor) {
      this.role = isImage ? "monitor sleeping" : "monitor waking";
    }
  }

  /**
   * Follows what it is by a call that it is about to make.
   *
   * @returns Who makes the call, if that is one that matters.
   */
  calls({ pid, number, args }: Stop & { kind: "call" }): Role | undefined {
    if (number === GETCWD) this.#getcwds++;
    const at = pathArgument(number);
    if (at !== undefined && this.#getcwds < RUNTIME_GETCWDS) {
      if (textAt(pid, args[at]!) === BEGINNING) {
        this.#getcwds = RUNTIME_GETCWDS;
      }
    }
    const isOurs = this.#getcwds >= RUNTIME_GETCWDS;
    if (isOurs && this.role === "monitor waking") this.role = "monitor";
    if (this.role === "monitor" && nameOf(number) === "memfd_create") {
      const isSleepers = textAt(pid, args[0]!) === SLEEPER;
      if (isSleepers) this.role = "monitor falling asleep";
    }
    // It has come to nothing.
    if (this.role === "monitor falling asleep" && number === POLL) {
      this.role = "monitor";
    }
    const { role } = this;
    if (role === undefined || !isOurs && role !== "monitor waking") return;
    if (!matters(number, role === "logger")) return;
    // A thread is the runtime's.
    const isThread = nameOf(number) === "clone3" &&
      (wordAt(pid, args[0]!) & THREAD) !== 0n;
    return isThread ? undefined : role;
  }
}
