/**
 * Doing something with many processes at the same time, and waiting for all of
 * them in one place.
 *
 * @module
 */
import { bootTime, waitReadable } from "../ffi/wait.ts";

/** What a job waits for. */
export interface Pause {
  /** Descriptors; that one of them can be read ends it. */
  readonly fds: readonly number[];
  /** Until when, in milliseconds since boot; `Infinity` for as long as it takes. */
  readonly until: number;
}

/** Something that is done from one wait to the next. */
export type Job<T> = Generator<Pause, T, void>;

/**
 * Does jobs side by side: each goes on as soon as what it waits for is there.
 * Nothing runs between that.
 *
 * @param jobs The jobs. None may throw before it has cleaned up.
 * @returns What came out of each, in their order.
 */
export function runTogether<T>(jobs: readonly Job<T>[]): T[] {
  const results: T[] = [];
  const pauses = new Map<number, Pause>();
  const goOn = (index: number) => {
    const { done, value } = jobs[index]!.next();
    if (done) {
      results[index] = value;
      pauses.delete(index);
    } else {
      pauses.set(index, value);
    }
  };
  jobs.forEach((_, index) => goOn(index));
  while (pauses.size > 0) {
    const waiting = [...pauses];
    const earliest = Math.min(...waiting.map(([, { until }]) => until));
    const timeout = earliest === Infinity
      ? -1
      : Math.max(0, Math.ceil(earliest - bootTime()));
    const fds = waiting.flatMap(([, { fds }]) => fds);
    const ready = new Set(waitReadable(fds, timeout) ?? []);
    const now = bootTime();
    for (const [index, { fds, until }] of waiting) {
      if (until <= now || fds.some((fd) => ready.has(fd))) goOn(index);
    }
  }
  return results;
}

/**
 * Waits until all of some processes have ended.
 *
 * @param pidfds Their descriptors.
 * @param until Until when, in milliseconds since boot.
 * @returns Whether they have.
 */
export function* allEnd(
  pidfds: readonly number[],
  until: number,
): Job<boolean> {
  // Those that have ended would wake us again at once.
  let left = pidfds;
  for (;;) {
    left = stillRunning(left);
    if (left.length === 0) return true;
    if (bootTime() >= until) return false;
    yield { fds: left, until };
  }
}

function stillRunning(pidfds: readonly number[]): readonly number[] {
  if (pidfds.length === 0) return [];
  const ended = waitReadable(pidfds, 0) ?? [];
  return pidfds.filter((pidfd) => !ended.includes(pidfd));
}
