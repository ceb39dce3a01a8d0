import { Failure } from "../failure.ts";
import { removeIfThere } from "../remove_if_there.ts";
import { ASLEEP, AWAKE } from "./peers.ts";
import { pssOf, reapOrphans, switchesOf } from "./processes.ts";
import { Running } from "./running.ts";
import type { Seen } from "./seen.ts";
import { sleep } from "./wait.ts";

/**
 * How long a payload has run before it crashes. Several supervisors hold
 * back, as they should, if it was less than a second.
 */
const UPTIME_MS = 1500;

/** The places and the program that the rounds use. */
export interface Place {
  readonly directory: string;
  readonly sleep: string;
}

/**
 * Starts all supervisors and has their payloads crash, in turn, again and
 * again. All are fresh in each round: the first crash is the one that is not
 * held back. The first round of starts is for warming up alone.
 *
 * @throws {Failure} tend failed. Any other is left out from there on, and a
 * line says so.
 */
export async function measureRounds(
  all: Seen[],
  rounds: number,
  place: Place,
): Promise<void> {
  for (let round = 0; round <= rounds; round++) {
    const isWarmUp = round === 0;
    // Nobody always comes first, or after the same one.
    const turn = round % all.length;
    const inTurn = [...all.slice(turn), ...all.slice(0, turn)];
    await withStarted(inTurn, place, async (started) => {
      if (isWarmUp) return;
      for (const [seen, running] of started) {
        seen.startMs.push(running.startMs);
        if (running.pidfile) seen.pidfiles.push(running.pidfile);
      }
      const restarting = started.filter(([{ peer }]) => peer.executes);
      await sleep(UPTIME_MS);
      for (const [seen, running] of await resting(restarting)) {
        seen.gapMs.push(await running.crash());
      }
    });
  }
}

/**
 * Leaves those that stay alone for a while, all at the same time.
 *
 * @param settleMs How long they have to come to rest before.
 */
export async function measureIdle(
  all: Seen[],
  settleMs: number,
  idleMs: number,
  place: Place,
): Promise<void> {
  const staying = all.filter(({ peer }) => peer.executes);
  await withStarted(staying, place, async (started) => {
    await sleep(settleMs);
    const rested = await resting(started);
    const before = rested.map(([, running]) => switches(running));
    await sleep(idleMs);
    rested.forEach(([seen, running], i) => {
      // A thread that was not there before counts from its beginning.
      const counts = [...switches(running)]
        .map(([thread, count]) => count - (before[i]?.get(thread) ?? 0));
      const pids = running.processes();
      seen.idle = {
        processes: pids.length,
        pssKib: sum(pids.map(pssOf)),
        switches: sum(counts),
      };
    });
  });
}

/** Without those that should sleep and do not. */
async function resting(
  started: [Seen, Running][],
): Promise<[Seen, Running][]> {
  const rested: [Seen, Running][] = [];
  for (const [seen, running] of started) {
    if (!seen.peer.sleeps || await running.fallsAsleep()) {
      rested.push([seen, running]);
    } else {
      leaveOut(seen, "it stays awake");
    }
  }
  return rested;
}

function leaveOut(seen: Seen, why: string): void {
  seen.failed = true;
  console.log(`${seen.peer.name}: left out, ${why}`);
}

function switches(running: Running): Map<string, number> {
  return new Map(running.processes().flatMap((pid) => [...switchesOf(pid)]));
}

function sum(numbers: number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

/** Ends what it has started, and clears the place for the next. */
async function withStarted(
  all: Seen[],
  { directory, sleep: payload }: Place,
  work: (started: [Seen, Running][]) => Promise<void>,
): Promise<void> {
  const started: [Seen, Running][] = [];
  const names: string[] = [];
  try {
    for (const seen of all.filter(({ failed }) => !failed)) {
      const name = `${directory}/${names.length}`;
      names.push(name);
      try {
        started.push([seen, await Running.start(seen.peer, name, payload)]);
      } catch (error) {
        const isTend = [AWAKE, ASLEEP].includes(seen.peer.name);
        if (isTend || !(error instanceof Failure)) throw error;
        leaveOut(seen, error.message);
      }
    }
    await work(started);
  } finally {
    for (const [, running] of started) await running.end();
    reapOrphans();
    for (const name of names) await removeIfThere(name);
  }
}
