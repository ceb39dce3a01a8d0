/**
 * The life of a daemon with its monitor: what happens in it, what is done to one
 * of its calls, and what is seen.
 *
 * @module
 */
import type { Held } from "./descriptors.ts";
import type { Swept } from "./sweep.ts";

/**
 * Who makes a call. A monitor falls asleep from the image on that it makes for
 * that, sleeps once it has become it, and wakes up while Deno's runtime starts.
 */
export type Role =
  | "parent"
  | "monitor"
  | "monitor falling asleep"
  | "monitor sleeping"
  | "monitor waking"
  | "daemon"
  | "logger"
  | "verb";

/** What happens in a life, by SIGSEGV, by requests, or by SIGTERM. */
export type Step = "crash" | "restart" | "stop" | "terminate";

/** Who may be sent a signal while another makes a call. */
export type Struck = "parent" | "monitor" | "daemon";

/** A signal that comes to one at a call of another's, or of its own. */
export interface Strike {
  readonly signal: number;
  readonly to: Struck;
}

/** What is done at which call. */
export interface Plan {
  readonly role: Role;
  /** Which of the role's calls, from 0; of all its processes. */
  readonly index: number;
  /**
   * Which call that has to be: threads and timers differ from one life to the
   * next, and not every call can fail in the same ways.
   */
  readonly call?: {
    readonly number: number;
    readonly file?: string | undefined;
  };
  /**
   * SIGKILL, an errno, half of the length that was asked for, that it is held
   * back until a rival was started and has come to its end, or waits; or a
   * signal.
   */
  readonly what: "kill" | "half" | "rival" | number | Strike;
  /** What is started as the rival, if that is not PROGRAM. */
  readonly rival?: readonly string[];
  /** So long the rival may take that does not wait; in milliseconds. */
  readonly patience?: number;
  /** To how many calls like it in turn; to one without it. */
  readonly times?: number;
}

/** A call that was made. */
export interface Made {
  readonly role: Role;
  readonly number: number;
  /** Its path, or its first arguments. */
  readonly text: string;
  /** What its first argument refers to, if that is a descriptor. */
  readonly file: string | undefined;
  /** Its second argument. */
  readonly second: string;
  /** How many steps had been made. */
  readonly stage: number;
  /** Who was there then; told where nothing is done. */
  readonly there?: readonly Struck[];
}

/** What was seen. */
export interface Life {
  /** The calls that matter, in their order. */
  readonly calls: readonly Made[];
  /** The call to which it was done, unless there were not so many. */
  readonly done: Made | undefined;
  /** How many steps had been made then. */
  readonly doneAt: number;
  /** How many steps were made. */
  readonly stage: number;
  /** The exit status of the program as its caller sees it; -SIGNAL. */
  readonly code: number;
  /** What the monitor held when the last step was due. */
  readonly held?: Held | undefined;
  /** Signals that ended a process of tend's, but for ours. */
  readonly deaths: readonly string[];
  /** The exit status of the other start, if there was one. */
  readonly rival?: number | undefined;
  /** What came of a sweep. */
  readonly swept?: Swept | undefined;
}
