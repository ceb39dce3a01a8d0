import { EMPTY, RIVALS, TEND } from "./peers.ts";
import type { Seen } from "./rounds.ts";
import { figure, median, table } from "./table.ts";

/** What tend is to reach. */
const TARGETS = { startRatio: 1.5, switches: 0, idleSeconds: 60, pssMib: 24 };

/** Prints what was seen as tables, medians with what they are made from. */
export function printTables(all: Seen[], idleMs: number): void {
  const empty = startOf(all, EMPTY);
  print(
    "Start, in ms: until the command returns or, of those that stay in the foreground, until they execute.",
    ["", "until", "median", "min", "max", "/ empty", "pidfile right", "locked"],
    all.filter(({ startMs }) => startMs.length > 0).map((seen) => [
      seen.peer.name,
      seen.peer.started,
      ...spread(seen.startMs),
      figure(median(seen.startMs) / empty),
      share(seen.pidfiles.map(({ right }) => right)),
      share(seen.pidfiles.map(({ locked }) => locked)),
    ]),
  );

  const gap = gapOf(all, TEND);
  print(
    "Gap, in ms: from a crash, the first of a fresh supervisor, to the successor's exec.",
    ["", "median", "min", "max", "/ tend", "restarted"],
    all.filter(({ gapMs }) => gapMs.length > 0).map((seen) => [
      seen.peer.name,
      ...spread(gapsOf(seen)),
      figure(median(gapsOf(seen)) / gap),
      share(seen.gapMs.map((ms) => ms !== undefined)),
    ]),
  );

  const pss = idleOf(all)?.pssKib ?? NaN;
  print(
    "Idle, all but the payload.",
    ["", "processes", "PSS KiB", "/ tend", `switches in ${idleMs / 1000} s`],
    all.flatMap(({ peer, idle }) =>
      idle === undefined ? [] : [[
        peer.name,
        `${idle.processes}`,
        `${idle.pssKib}`,
        figure(idle.pssKib / pss),
        `${idle.switches}`,
      ]]
    ),
  );
}

/** Prints for each target whether tend has met it. */
export function printVerdicts(all: Seen[], idleMs: number): void {
  console.log("\nTargets");
  const starts = seenOf(all, TEND)?.startMs ?? [];
  const empties = seenOf(all, EMPTY)?.startMs ?? [];
  const ratio = median(starts) / median(empties);
  // What other work on the machine spoils least, and no verdict is made from.
  const best = Math.min(...starts) / Math.min(...empties);
  verdict(
    ratio <= TARGETS.startRatio,
    `start: ${figure(median(starts))} ms, an empty compiled program ${
      figure(median(empties))
    } ms: ${ratio.toFixed(2)} times, may be ${TARGETS.startRatio}` +
      ` (the best of each: ${best.toFixed(2)})`,
  );

  const pidfiles = seenOf(all, TEND)?.pidfiles ?? [];
  verdict(
    pidfiles.length > 0 && pidfiles.every(({ locked }) => locked),
    `pidfile: there, right and locked on return in ${
      share(pidfiles.map(({ locked }) => locked))
    } rounds`,
  );

  const gap = gapOf(all, TEND);
  const restarts = seenOf(all, TEND)?.gapMs ?? [];
  for (const rival of RIVALS) {
    const theirs = gapOf(all, rival);
    const what = `gap: ${figure(gap)} ms, ${rival} ${figure(theirs)} ms`;
    if (Number.isNaN(theirs)) console.log(`  not measured  ${what}`);
    else verdict(gap <= theirs && !restarts.includes(undefined), what);
  }

  const idle = idleOf(all);
  const seconds = idleMs / 1000;
  verdict(
    (idle?.switches ?? NaN) <= TARGETS.switches,
    `idle: ${idle?.switches} context switches in ${seconds} s` +
      (seconds < TARGETS.idleSeconds
        ? `; the target is none in ${TARGETS.idleSeconds} s`
        : ""),
  );
  const mebibytes = (idle?.pssKib ?? NaN) / 1024;
  verdict(
    mebibytes <= TARGETS.pssMib,
    `idle: ${figure(mebibytes)} MiB PSS, may be ${TARGETS.pssMib}`,
  );
}

function print(title: string, head: string[], rows: string[][]): void {
  console.log(`\n${title}\n${table(head, rows)}`);
}

/** No number at all is a target missed: comparing with NaN is false. */
function verdict(isMet: boolean, what: string): void {
  console.log(`  ${isMet ? "met           " : "MISSED        "}${what}`);
}

function seenOf(all: Seen[], name: string): Seen | undefined {
  return all.find(({ peer }) => peer.name === name);
}

function startOf(all: Seen[], name: string): number {
  return median(seenOf(all, name)?.startMs ?? []);
}

function gapOf(all: Seen[], name: string): number {
  const seen = seenOf(all, name);
  return seen === undefined ? NaN : median(gapsOf(seen));
}

function idleOf(all: Seen[]): Seen["idle"] {
  return seenOf(all, TEND)?.idle;
}

function gapsOf({ gapMs }: Seen): number[] {
  return gapMs.filter((ms) => ms !== undefined);
}

function spread(values: number[]): string[] {
  return [median(values), Math.min(...values), Math.max(...values)].map(figure);
}

function share(values: boolean[]): string {
  if (values.length === 0) return "-";
  return `${values.filter((value) => value).length}/${values.length}`;
}
