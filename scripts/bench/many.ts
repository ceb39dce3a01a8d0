/** What it costs to look after many daemons. */
import { Failure } from "../failure.ts";
import { removeIfThere } from "../remove_if_there.ts";
import { type Fleet, fleets, TEND_FLEET } from "./fleets.ts";
import { present } from "./present.ts";
import { endMarked, marked, pidsRunning, reapOrphans } from "./processes.ts";
import { judgeStorm, storm } from "./storm.ts";
import { figure, table } from "./table.ts";
import { type Verdict, verdict } from "./verdict.ts";
import { sleep, until } from "./wait.ts";
import { fallAsleep, weigh } from "./weight.ts";

/** How long a command of many daemons may take, and then all of them. */
const PATIENCE_MS = 180_000;
/** What a monitor of tend may weigh when there are many, in KiB. */
const EACH_KIB = 10 * 1024 / 500;
/** What each may take while all of them are awake, in KiB. */
const AWAKE_KIB = 32 * 1024;

/** What a supervisor of so many daemons weighs. */
export interface Weight {
  readonly count: number;
  /** All its processes together, without the daemons. */
  readonly pssKib: number;
  /** How long it took until all daemons ran. */
  readonly startSeconds: number;
}

/** What was weighed of one supervisor. */
export interface Weighed {
  readonly name: string;
  readonly weights: Weight[];
  /** With so many it failed, and no more were tried. */
  failedWith?: number;
}

export interface ManyOptions {
  /** For how many daemons, ascending. */
  readonly counts: readonly number[];
  /** How long a supervisor has to come to rest. */
  readonly settleMs: number;
  /** The program to look after. */
  readonly sleep: string;
}

/**
 * Weighs the supervisors with more and more daemons, one at a time, and prints
 * a table. With the most, all of tend's daemons crash at once and are stopped.
 *
 * @param directory One that does not exist.
 * @param tend The program.
 */
export async function measureMany(
  directory: string,
  tend: string,
  options: ManyOptions,
): Promise<{ weighed: Weighed[]; verdicts: Verdict[] }> {
  const counts = countsThatFit(options.counts, availableKib());
  const weighed: Weighed[] = [];
  const verdicts: Verdict[] = options.counts
    .filter((count) => !counts.includes(count))
    .map((count) => verdict(undefined, `${count} daemons: too little memory`));
  for (const fleet of present(fleets(tend))) {
    const seen: Weighed = { name: fleet.name, weights: [] };
    weighed.push(seen);
    for (const count of counts) {
      const isStorm = fleet.name === TEND_FLEET && count === counts.at(-1);
      try {
        await withFleet(fleet, count, directory, options, async (weight) => {
          seen.weights.push(weight);
          if (isStorm) {
            verdicts.push(
              judgeWeight(weight),
              ...judgeStorm(await storm(directory, count)),
            );
          }
        });
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const what = `${fleet.name}, ${count} daemons: ${error.message}`;
        // What is left out of the table is not left out of the targets.
        if (fleet.name === TEND_FLEET) verdicts.push(verdict(false, what));
        else console.log(what);
        seen.failedWith = count;
        break;
      }
    }
  }
  printMany(weighed, counts);
  return { weighed, verdicts };
}

/** As many daemons as could all be awake at once. */
export function countsThatFit(
  counts: readonly number[],
  kib: number,
): number[] {
  return counts.filter((count) => count * AWAKE_KIB <= kib);
}

function availableKib(): number {
  const text = Deno.readTextFileSync("/proc/meminfo");
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1] ?? NaN);
}

/** Starts them all, weighs, and ends them when the work is done. */
async function withFleet(
  fleet: Fleet,
  count: number,
  directory: string,
  options: ManyOptions,
  work: (weight: Weight) => Promise<void>,
): Promise<void> {
  Deno.mkdirSync(directory);
  Deno.linkSync(options.sleep, `${directory}/sleep`);
  const staying: Deno.ChildProcess[] = [];
  try {
    fleet.prepare?.(directory, count);
    const begin = performance.now();
    await start(fleet, count, directory, staying);
    const payload = `${directory}/sleep`;
    const run = () => pidsRunning(payload).length;
    if (!await until(() => run() >= count, PATIENCE_MS, 50)) {
      throw new Failure(`no more than ${run()} of them were started`);
    }
    const startSeconds = (performance.now() - begin) / 1000;
    if (!fleet.sleeps) {
      await sleep(options.settleMs);
    } else if (!await fallAsleep(directory, count, PATIENCE_MS)) {
      throw new Failure("not all fell asleep");
    }
    await work({ count, pssKib: weigh(directory), startSeconds });
  } finally {
    endMarked(directory);
    for (const child of staying) await child.status;
    reapOrphans();
    await removeIfThere(directory);
  }
}

async function start(
  fleet: Fleet,
  count: number,
  directory: string,
  staying: Deno.ChildProcess[],
): Promise<void> {
  const commands = fleet.commands(directory, count);
  for (const [i, [program = "", ...args]] of commands.entries()) {
    const isLast = i === commands.length - 1;
    const child = new Deno.Command(program, {
      args,
      cwd: directory,
      env: { ...marked(directory), ...fleet.env?.(directory) },
      stdin: "null",
      stdout: "null",
      stderr: "null",
      ...(fleet.stays ? {} : { signal: AbortSignal.timeout(PATIENCE_MS) }),
    }).spawn();
    if (isLast && fleet.stays) {
      staying.push(child);
    } else if (!(await child.status).success) {
      throw new Failure(`this failed: ${[program, ...args].join(" ")}`);
    }
  }
}

function judgeWeight({ count, pssKib }: Weight): Verdict {
  const most = Math.floor(count * EACH_KIB);
  return verdict(
    pssKib <= most,
    `${count} daemons: their monitors weigh ${pssKib} KiB PSS, may be ${most}`,
  );
}

function printMany(
  weighed: readonly Weighed[],
  counts: readonly number[],
): void {
  const most = counts.at(-1);
  const rows = weighed.map(({ name, weights, failedWith }) => {
    const last = weights.find(({ count }) => count === most);
    return [
      name,
      ...counts.map((count) => {
        const weight = weights.find((weight) => weight.count === count);
        if (count === failedWith) return "failed";
        return weight === undefined ? "-" : `${weight.pssKib}`;
      }),
      figure((last?.pssKib ?? NaN) / (last?.count ?? NaN)),
      figure(last?.startSeconds ?? NaN),
    ];
  });
  console.log(
    `\nMemory of a supervisor of so many daemons, all but the daemons, in KiB of PSS.`,
  );
  console.log(table(
    ["daemons", ...counts.map(String), "each", `${most} started in s`],
    rows,
  ));
}
