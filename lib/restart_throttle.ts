/**
 * How fast a daemon that crashes is restarted, and when that is given up.
 *
 * @module
 */

/** What somebody wants of it. Lengths of time are milliseconds. */
export interface Throttle {
  /** Restarts are at least so far apart. The first one is at once. */
  readonly delay: number;
  /** They get twice as far apart each time, up to this. */
  readonly maxDelay: number;
  /**
   * After so long a daemon counts as healthy, and all begins anew; without it,
   * after as long as restarts are apart then.
   */
  readonly reset: number | undefined;
  /** So many ends within so long are too many, if there is a limit. */
  readonly limit:
    | { readonly ends: number; readonly within: number }
    | undefined;
}

/** That of the C. */
export const DEFAULT_THROTTLE: Throttle = {
  delay: 10_000,
  maxDelay: 10_000,
  reset: undefined,
  limit: undefined,
};

/** What is known when a daemon has crashed. Times are milliseconds since boot. */
export interface BeforeCrash {
  /** What somebody wants. */
  readonly throttle: Throttle;
  /** How far the next restart is from the last one. */
  readonly interval: number;
  /** When that was. */
  readonly lastRestart: number | undefined;
  /** When the last daemons ended, as far as a limit counts them. */
  readonly recentEnds: readonly number[];
  /** Since when the one that has crashed was ready. */
  readonly readySince: number | undefined;
}

/** What follows a crash. Times are milliseconds since boot. */
export interface AfterCrash {
  /** Not before that is the next start; at once without it. */
  readonly earliest: number | undefined;
  /** How far restarts are apart from now on. */
  readonly interval: number;
  /** When the last daemons ended, as many as a limit has to know of. */
  readonly recentEnds: readonly number[];
}

/**
 * When the next daemon may start after a crash.
 *
 * A daemon that was healthy for long enough forgives the crashes before it. Not
 * those of a limit: that counts ends, whatever came between.
 *
 * @param before What is known.
 * @param now Milliseconds since boot.
 * @returns It, and what the monitor is to remember.
 */
export function afterCrash(
  { throttle, interval, lastRestart, recentEnds, readySince }: BeforeCrash,
  now: number,
): AfterCrash {
  const { delay, maxDelay, reset = interval, limit } = throttle;
  const isHealthy = readySince !== undefined && now - readySince >= reset;
  const isFirst = isHealthy || lastRestart === undefined;
  const earliest = isFirst ? now : lastRestart + interval;
  return {
    earliest: earliest > now ? earliest : undefined,
    interval: isFirst ? delay : Math.min(interval * 2, maxDelay),
    recentEnds: limit === undefined
      ? []
      : [...recentEnds, now].slice(-limit.ends),
  };
}

/**
 * Whether a daemon has ended too often to be restarted once more.
 *
 * @param throttle What is wanted.
 * @param recentEnds When the last daemons ended, with the one of now.
 * @param now Milliseconds since boot.
 * @returns Whether the limit is reached.
 */
export function isTooOften(
  { limit }: Throttle,
  recentEnds: readonly number[],
  now: number,
): boolean {
  if (limit === undefined) return false;
  const counted = recentEnds.filter((end) => now - end < limit.within);
  return counted.length >= limit.ends;
}
