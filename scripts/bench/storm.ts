/** What happens when all daemons crash at once, and when all are stopped. */
import { holderOf } from "../../lib/pidfile_contention.ts";
import { procStat } from "../../ffi/proc.ts";
import { kill } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { Failure } from "../failure.ts";
import { pidIn } from "./pidfile.ts";
import { exeOf, pidsMarked } from "./processes.ts";
import { figure } from "./table.ts";
import { type Verdict, verdict } from "./verdict.ts";
import { until } from "./wait.ts";
import { fallAsleep, weigh } from "./weight.ts";

/** How long each step may take. */
const PATIENCE_MS = 180_000;

/** A daemon as its pidfile names it. */
interface Daemon {
  readonly pidfile: string;
  readonly pid: number;
  readonly monitor: number;
}

/** What became of them. */
export interface Storm {
  readonly count: number;
  /** How many came back: another process, below the same monitor. */
  readonly back: number;
  /** How many pidfiles named it and were locked by it. */
  readonly right: number;
  readonly backSeconds: number;
  /** What the monitors weighed when all slept again; `NaN` if not all did. */
  readonly pssKib: number;
  /** How many processes and pidfiles were there after the stop. */
  readonly processesLeft: number;
  readonly pidfilesLeft: number;
  readonly stopSeconds: number;
}

/**
 * Has all of tend's daemons in a directory crash at once, and stops them when
 * they are back.
 *
 * @throws {Failure} They were not all well before.
 */
export async function storm(directory: string, count: number): Promise<Storm> {
  const pids = `${directory}/pids`;
  const daemons = Array.from(
    { length: count },
    (_, i) => daemonOf(`${pids}/${i}`),
  );

  let begin = performance.now();
  for (const { pid } of daemons) kill(pid, Signal.SIGSEGV);
  const isBack = ({ pidfile, pid, monitor }: Daemon) => {
    const now = pidIn(pidfile);
    return now !== undefined && now !== pid && parentOf(now) === monitor &&
      exeOf(now) === `${directory}/sleep`;
  };
  const isRight = (daemon: Daemon) =>
    isBack(daemon) && holderOf(daemon.pidfile) === pidIn(daemon.pidfile);
  await until(() => daemons.every(isRight), PATIENCE_MS, 100);
  const backSeconds = (performance.now() - begin) / 1000;
  const back = daemons.filter(isBack).length;
  const right = daemons.filter(isRight).length;
  const isAsleep = await fallAsleep(directory, count, PATIENCE_MS);
  const pssKib = isAsleep ? weigh(directory) : NaN;

  begin = performance.now();
  // One that has died may have left its number to somebody else.
  const alive = new Set(pidsMarked(directory));
  for (const { monitor } of daemons) {
    if (alive.has(monitor)) kill(monitor, Signal.SIGTERM);
  }
  await until(() => pidsMarked(directory).length === 0, PATIENCE_MS, 100);
  return {
    count,
    back,
    right,
    backSeconds,
    pssKib,
    processesLeft: pidsMarked(directory).length,
    pidfilesLeft: [...Deno.readDirSync(pids)].length,
    stopSeconds: (performance.now() - begin) / 1000,
  };
}

function daemonOf(pidfile: string): Daemon {
  const pid = pidIn(pidfile);
  const monitor = pid === undefined ? undefined : parentOf(pid);
  if (
    pid === undefined || monitor === undefined || holderOf(pidfile) !== pid
  ) {
    throw new Failure(`${pidfile} was not right from the beginning`);
  }
  return { pidfile, pid, monitor };
}

function parentOf(pid: number): number | undefined {
  const ppid = procStat(pid)?.[1];
  return ppid === undefined ? undefined : Number(ppid);
}

/** Says whether it went as it should. */
export function judgeStorm(seen: Storm): Verdict[] {
  const { count, back, right, pssKib, processesLeft, pidfilesLeft } = seen;
  return [
    verdict(
      back === count && right === count,
      `${count} daemons killed at once: ${back} back, ${right} pidfiles right ` +
        `and locked, after ${figure(seen.backSeconds)} s`,
    ),
    verdict(
      !Number.isNaN(pssKib),
      `${count} daemons back: their monitors sleep again and weigh ` +
        `${pssKib} KiB PSS`,
    ),
    verdict(
      processesLeft === 0 && pidfilesLeft === 0,
      `${count} daemons stopped at once: ${processesLeft} processes and ` +
        `${pidfilesLeft} pidfiles left after ${figure(seen.stopSeconds)} s`,
    ),
  ];
}
