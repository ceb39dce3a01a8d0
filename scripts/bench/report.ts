import { ASLEEP, AWAKE, EMPTY } from "./peers.ts";
import { gapOf, gapsOf, type Seen, seenOf, share, startOf } from "./seen.ts";
import { figure, median, table } from "./table.ts";

/** Prints what was seen as tables, medians with what they are made from. */
export function printTables(all: readonly Seen[], idleMs: number): void {
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

  const gap = gapOf(all, AWAKE);
  print(
    "Gap, in ms: from a crash, the first of a fresh supervisor, to the successor's exec.",
    ["", "median", "min", "max", "/ awake", "/ empty", "restarted"],
    all.filter(({ gapMs }) => gapMs.length > 0).map((seen) => [
      seen.peer.name,
      ...spread(gapsOf(seen)),
      figure(median(gapsOf(seen)) / gap),
      figure(median(gapsOf(seen)) / empty),
      share(seen.gapMs.map((ms) => ms !== undefined)),
    ]),
  );

  const pss = seenOf(all, ASLEEP)?.idle?.pssKib ?? NaN;
  print(
    "Idle, all but the payload.",
    ["", "processes", "PSS KiB", "/ asleep", `switches in ${idleMs / 1000} s`],
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

function print(title: string, head: string[], rows: string[][]): void {
  console.log(`\n${title}\n${table(head, rows)}`);
}

function spread(values: number[]): string[] {
  return [median(values), Math.min(...values), Math.max(...values)].map(figure);
}
