import { LIBRARY_COMPILED, LIBRARY_RUN } from "./library.ts";
import { ASLEEP, AWAKE, BEFORE, EMPTY, RIVALS } from "./peers.ts";
import { gapOf, type Seen, seenOf, share, startOf } from "./seen.ts";
import { figure } from "./table.ts";
import { type Verdict, verdict } from "./verdict.ts";

/** What tend is to reach. */
const TARGETS = {
  /** Its start to that of an empty compiled program. */
  startRatio: 1.5,
  /** Its gap while asleep, to the same. */
  asleepGapRatio: 1.8,
  /** Any time to that of an older tend: "no slower", and what noise there is. */
  beforeRatio: 1.05,
  switches: 0,
  idleSeconds: 60,
  asleepPssKib: 16,
};

/** Says of each target of a single daemon whether tend has met it. */
export function judge(all: readonly Seen[], idleMs: number): Verdict[] {
  const isPresent = (name: string) => seenOf(all, name) !== undefined;
  return [
    judgeStart(all),
    judgePidfiles(all),
    ...RIVALS.map((rival) => judgeAwakeGap(all, rival)),
    judgeAsleepGap(all),
    ...(isPresent(BEFORE) ? judgeAgainstBefore(all) : []),
    // Its memory is in the table: who wants it small lets it sleep.
    judgeIdle(all, AWAKE, Infinity, idleMs),
    ...[ASLEEP, LIBRARY_COMPILED, LIBRARY_RUN].map((name) =>
      judgeIdle(all, name, TARGETS.asleepPssKib, idleMs)
    ),
  ];
}

function judgeStart(all: readonly Seen[]): Verdict {
  const [start, empty] = [startOf(all, ASLEEP), startOf(all, EMPTY)];
  const ratio = start / empty;
  // What other work on the machine spoils least, and no verdict is made from.
  const [best, bestEmpty] = [ASLEEP, EMPTY]
    .map((name) => Math.min(...seenOf(all, name)?.startMs ?? []));
  return verdict(
    ratio <= TARGETS.startRatio,
    `start: ${figure(start)} ms, an empty compiled program ${figure(empty)} ` +
      `ms: ${ratio.toFixed(2)} times, may be ${TARGETS.startRatio} ` +
      `(the best of each: ${((best ?? NaN) / (bestEmpty ?? NaN)).toFixed(2)})`,
  );
}

function judgePidfiles(all: readonly Seen[]): Verdict {
  const locked = [AWAKE, ASLEEP]
    .flatMap((name) => seenOf(all, name)?.pidfiles ?? [])
    .map(({ locked }) => locked);
  return verdict(
    locked.length > 0 && locked.every((value) => value),
    `pidfile: there, right and locked on return in ${share(locked)} starts`,
  );
}

function judgeAwakeGap(all: readonly Seen[], rival: string): Verdict {
  const [gap, theirs] = [gapOf(all, AWAKE), gapOf(all, rival)];
  return verdict(
    Number.isNaN(theirs) ? undefined : gap <= theirs && restarts(all, AWAKE),
    `gap, awake: ${figure(gap)} ms, ${rival} ${figure(theirs)} ms`,
  );
}

function judgeAsleepGap(all: readonly Seen[]): Verdict {
  const [gap, empty] = [gapOf(all, ASLEEP), startOf(all, EMPTY)];
  const ratio = gap / empty;
  return verdict(
    ratio <= TARGETS.asleepGapRatio && restarts(all, ASLEEP),
    `gap, asleep: ${figure(gap)} ms, an empty compiled program takes ` +
      `${figure(empty)} ms: ${ratio.toFixed(2)} times, may be ` +
      TARGETS.asleepGapRatio,
  );
}

function restarts(all: readonly Seen[], name: string): boolean {
  return !(seenOf(all, name)?.gapMs.includes(undefined) ?? true);
}

function judgeAgainstBefore(all: readonly Seen[]): Verdict[] {
  const compare = (what: string, now: number, before: number) =>
    verdict(
      now / before <= TARGETS.beforeRatio,
      `${what}: ${figure(now)} ms, before ${figure(before)} ms: ` +
        `${(now / before).toFixed(2)} times, may be ${TARGETS.beforeRatio}`,
    );
  return [
    compare("start", startOf(all, ASLEEP), startOf(all, BEFORE)),
    compare("gap, awake", gapOf(all, AWAKE), gapOf(all, BEFORE)),
  ];
}

function judgeIdle(
  all: readonly Seen[],
  name: string,
  mostKib: number,
  idleMs: number,
): Verdict {
  const { pssKib = NaN, switches = NaN } = seenOf(all, name)?.idle ?? {};
  const seconds = idleMs / 1000;
  const target = seconds < TARGETS.idleSeconds
    ? `; the target is none in ${TARGETS.idleSeconds} s`
    : "";
  return verdict(
    pssKib <= mostKib && switches <= TARGETS.switches,
    `idle, ${name}: ${pssKib} KiB PSS` +
      (mostKib === Infinity ? "; " : `, may be ${mostKib}; `) +
      `${switches} context switches in ${seconds} s${target}`,
  );
}
