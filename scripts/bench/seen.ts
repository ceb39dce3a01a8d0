import type { Peer } from "./peers.ts";
import { median } from "./table.ts";

/** What was seen of one supervisor. */
export interface Seen {
  readonly peer: Peer;
  /** For each round. */
  readonly startMs: number[];
  /** For each round, of those with a pidfile. */
  readonly pidfiles: { right: boolean; locked: boolean }[];
  /** For each round, of those that restart; `undefined` if it did not. */
  readonly gapMs: (number | undefined)[];
  /** Of those that stay. */
  idle?: Idle;
  /** It could not be used once, and is left alone since. */
  failed?: true;
}

/** What a supervisor with nothing to do costs. */
export interface Idle {
  readonly processes: number;
  readonly pssKib: number;
  readonly switches: number;
}

/** What was seen of the one with a name. */
export function seenOf(all: readonly Seen[], name: string): Seen | undefined {
  return all.find(({ peer }) => peer.name === name);
}

/** The median of its starts; `NaN` if there are none. */
export function startOf(all: readonly Seen[], name: string): number {
  return median(seenOf(all, name)?.startMs ?? []);
}

/** The median of its gaps; `NaN` if there are none. */
export function gapOf(all: readonly Seen[], name: string): number {
  const seen = seenOf(all, name);
  return seen === undefined ? NaN : median(gapsOf(seen));
}

/** The gaps of the rounds in which it has restarted. */
export function gapsOf({ gapMs }: Seen): number[] {
  return gapMs.filter((ms) => ms !== undefined);
}

/** How many of all are so. */
export function share(values: readonly boolean[]): string {
  if (values.length === 0) return "-";
  return `${values.filter((value) => value).length}/${values.length}`;
}
