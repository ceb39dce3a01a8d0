/**
 * Having V8 collect a monitor's garbage, where that can be asked for.
 *
 * @module
 */

/** How often something happens to a monitor between two collections. */
const ROUNDS = 1000;

let rounds = 0;

/**
 * Collects garbage every so many calls: for a monitor that has done what was to
 * be done.
 *
 * Each restart makes some, and V8 lets it lie until it has several times what is
 * used. A process that only waits has no better use for 10 ms now and then than
 * to stay small. One that sleeps begins anew each time.
 */
export function collectGarbage(): void {
  if (++rounds % ROUNDS !== 0) return;
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
}
