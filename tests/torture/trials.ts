/**
 * Many trials, as many as there is time for.
 *
 * @module
 */
import { Random } from "../random.ts";
import type { Budget, Row } from "./row.ts";
import type { Trial } from "./trial.ts";

/**
 * So many are tried at once, whoever asks: a machine of few cores is shared with
 * others, and half of a life is waiting.
 */
const AT_ONCE = 4;

/** So many of each row are tried however short the time. */
const LEAST = 1;

/** How far it has come is said after so many. */
const EACH = 100;

/** Something to be tried, under the row of the table where it is counted. */
export interface Case {
  readonly what: string;
  /** Tries it. */
  readonly run: () => Promise<Trial>;
}

/** A row of the table in the making. */
interface Making {
  /** What is not tried yet. */
  readonly left: Case[];
  readonly all: number;
  /** How many were tried, or are right now. */
  begun: number;
  tried: number;
  readonly failures: string[][];
}

/**
 * Tries cases in random order, those of the row that was tried least first,
 * until there are none or no more time. However short that is, there are
 * {@linkcode LEAST} of each row; and all when it is to go through all.
 *
 * @param cases What there is to be tried.
 * @param budget How long, and which order.
 * @returns A row for each `what`.
 */
export async function tryCases(
  cases: readonly Case[],
  { seconds, seed, extent }: Budget,
): Promise<Row[]> {
  const random = new Random(seed);
  const deadline = extent === "through"
    ? Infinity
    : performance.now() + seconds * 1000;
  const rows = new Map<string, Making>();
  for (const [what, own] of Map.groupBy(cases, ({ what }) => what)) {
    rows.set(what, {
      left: random.shuffled(own),
      all: own.length,
      begun: 0,
      tried: 0,
      failures: [],
    });
  }
  const draw = (): Making | undefined => {
    const least = [...rows.values()].filter(({ left }) => left.length > 0)
      .sort((a, b) => a.begun - b.begun)[0];
    return least === undefined || least.begun < LEAST ||
        performance.now() < deadline
      ? least
      : undefined;
  };
  const tryNext = async (): Promise<boolean> => {
    const row = draw();
    if (row === undefined) return false;
    row.begun++;
    const { life, failures } = await row.left.pop()!.run();
    if (extent === "through") tell(failures, [...rows.values()]);
    // A call that was not made this time: threads and timers differ.
    if (failures.length === 0 && life?.done === undefined) {
      row.begun--;
    } else {
      row.tried++;
      if (failures.length > 0) row.failures.push([...failures]);
    }
    return true;
  };
  const work = async () => {
    while (await inTurn(tryNext));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return [...rows].map(([what, { tried, all, failures }]) => ({
    what,
    tried,
    all,
    held: tried - failures.length,
    failures: failures.flat(),
  }));
}

/** Says how far it has come, and what it has found: it goes on for hours. */
function tell(failures: readonly string[], rows: readonly Making[]): void {
  failures.forEach((text) => console.error(text));
  const sum = (of: (row: Making) => number) =>
    rows.reduce((all, row) => all + of(row), 0);
  const left = sum(({ left }) => left.length);
  if (left % EACH === 0) {
    console.error(`torture: ${sum(({ all }) => all)} cases, ${left} left`);
  }
}

const UNDISTURBED = new Map<string, Promise<Trial>>();

/**
 * What is seen when nothing is done: once, for all that want to know which calls
 * there are.
 *
 * @param what What is looked at, in words that nothing else has.
 * @param run Looks at it.
 */
export function undisturbed(
  what: string,
  run: () => Promise<Trial>,
): Promise<Trial> {
  const trial = UNDISTURBED.get(what) ?? inTurn(run);
  UNDISTURBED.set(what, trial);
  return trial;
}

let free = AT_ONCE;
const waiting: (() => void)[] = [];

/** Runs something when fewer than {@linkcode AT_ONCE} others run. */
async function inTurn<T>(run: () => Promise<T>): Promise<T> {
  if (free > 0) free--;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    return await run();
  } finally {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  }
}
