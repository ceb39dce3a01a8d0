/**
 * For how long nothing has happened, for a monitor that sleeps when that is long
 * enough.
 *
 * @module
 */
import { bootTime } from "../ffi/wait.ts";

/** So long a monitor stays awake for a daemon that has something to say. */
const TALKATIVE_MS = 60_000;

/** What has happened, as far as it matters for sleep. */
export type Happening =
  /** The daemon, which is ready, has said something. */
  | "said"
  /** It has said that it works, and nothing else. */
  | "ping"
  /** Anything else. */
  | "other";

/** How quiet it is. */
export class Quiet {
  #since: number | undefined;
  #saidAt = -Infinity;
  #isNew = true;

  /**
   * How long to wait still, until it has been quiet for so long.
   *
   * @param milliseconds So long; -1 for ever.
   * @returns Milliseconds; -1 for as long as it takes.
   */
  left(milliseconds: number): number {
    this.#since ??= bootTime();
    if (milliseconds === -1) return -1;
    return Math.max(0, Math.ceil(this.#since + milliseconds - bootTime()));
  }

  /**
   * How long it has to be quiet before a monitor sleeps. A daemon that has more
   * to say from time to time is not to wake it up each time.
   *
   * @param sleepAfter As somebody wants it, in milliseconds.
   * @returns Milliseconds.
   */
  needed(sleepAfter: number): number {
    return bootTime() < this.#saidAt + TALKATIVE_MS
      ? Math.max(sleepAfter, TALKATIVE_MS)
      : sleepAfter;
  }

  /**
   * Something has happened. That a daemon works is nothing to stay awake for,
   * since nobody is woken up by it; but for what has woken us, the first thing.
   *
   * @param what What has happened.
   */
  note(what: Happening): void {
    const isFirst = this.#isNew;
    this.#isNew = false;
    if (what === "ping" && !isFirst) return;
    this.#since = bootTime();
    if (what !== "other") this.#saidAt = this.#since;
  }

  /** Sleep was tried and is not to be had: it is tried after as long a time. */
  beginAnew(): void {
    this.#since = undefined;
  }
}
