import { isAsleep, pidsMarked, pidsRunning, pssOf } from "./processes.ts";
import { until } from "./wait.ts";

/** The processes of a directory's supervisor, without what it looks after. */
export function supervisorsOf(directory: string): number[] {
  const daemons = new Set(pidsRunning(`${directory}/sleep`));
  return pidsMarked(directory).filter((pid) => !daemons.has(pid));
}

/** What they weigh together, in KiB of PSS. */
export function weigh(directory: string): number {
  return supervisorsOf(directory).map(pssOf).reduce((a, b) => a + b, 0);
}

/** Waits until there are so many, and all sleep; says whether they do. */
export function fallAsleep(
  directory: string,
  count: number,
  patienceMs: number,
): Promise<boolean> {
  return until(
    () => {
      const pids = supervisorsOf(directory);
      return pids.length === count && pids.every(isAsleep);
    },
    patienceMs,
    250,
  );
}
