/** How long verbs take, and what waiting costs. */
import { close } from "../../ffi/descriptor.ts";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import { waitReadable } from "../../ffi/wait.ts";
import { readMonitorFile } from "../../lib/monitor_file.ts";
import { Failure } from "../failure.ts";
import { endMarked, marked, switchesOf } from "./processes.ts";
import { figure, median } from "./table.ts";
import { type Verdict, verdict } from "./verdict.ts";
import { sleep, until } from "./wait.ts";
import { fallAsleep } from "./weight.ts";

/** What verbs are to reach. */
const TARGETS = {
  daemons: 100,
  /** The time of `tend status` of all of them to that of `tend --version`. */
  statusRatio: 1.5,
  /** From the end of the last process to the return of `tend stop`. */
  stopMs: 20,
  switches: 0,
};
const PATIENCE_MS = 60_000;

export interface VerbOptions {
  readonly rounds: number;
  readonly idleMs: number;
  /** The program to look after. */
  readonly sleep: string;
}

/**
 * Measures verbs on a hundred daemons.
 *
 * @param directory One that does not exist.
 * @param tend The program.
 */
export async function measureVerbs(
  directory: string,
  tend: string,
  { rounds, idleMs, sleep: program }: VerbOptions,
): Promise<Verdict[]> {
  Deno.mkdirSync(directory);
  // By it is told what is a daemon.
  const payload = `${directory}/sleep`;
  Deno.linkSync(program, payload);
  const call = (...args: string[]) =>
    new Deno.Command(tend, {
      args,
      cwd: directory,
      env: { ...marked(directory), TEND_RUNDIR: `${directory}/run` },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
  const run = (...args: string[]) => {
    const begin = performance.now();
    const { success } = call(...args).outputSync();
    if (!success) throw new Failure(`this failed: tend ${args.join(" ")}`);
    return performance.now() - begin;
  };
  try {
    const names = Array.from({ length: TARGETS.daemons }, (_, i) => `d${i}`);
    for (const name of names) {
      const options = ["--detach", "--monitor", `--pidfile=${name}.pid`];
      run(...options, "--", payload, "100000");
    }
    if (!await fallAsleep(directory, names.length, PATIENCE_MS)) {
      throw new Failure("not all monitors fell asleep");
    }
    const [version, status]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      version.push(run("--version"));
      status.push(run("status", "--all"));
    }
    const waiting = call("wait", "--timeout=1h", ...names).spawn();
    const switches = await switchesWhile(waiting.pid, idleMs);
    const late: number[] = [];
    for (const name of names.slice(0, rounds)) {
      const pidfile = `${directory}/run/${name}.pid`;
      late.push(await lateness(call("stop", name), pidfile));
    }
    const all = run("stop", "--all");
    const { success } = await waiting.status;
    return [
      judgeStatus(version, status),
      judgeStop(late),
      verdict(
        switches <= TARGETS.switches && success,
        `tend wait for ${names.length} daemons: ${switches} context switches ` +
          `in ${idleMs / 1000} s`,
      ),
      verdict(
        [...Deno.readDirSync(`${directory}/run`)].length === 0,
        `tend stop --all of ${names.length - rounds} daemons: ` +
          `${figure(all)} ms`,
      ),
    ];
  } finally {
    endMarked(directory);
  }
}

/** How often a process is taken off a CPU, once it waits. */
async function switchesWhile(pid: number, ms: number): Promise<number> {
  const total = () =>
    [...switchesOf(pid).values()].reduce((sum, count) => sum + count, 0);
  let last = -1;
  const isQuiet = () => last === (last = total());
  await until(isQuiet, PATIENCE_MS, 500);
  const before = total();
  await sleep(ms);
  return total() - before;
}

/** How long a stop takes from the end of daemon and monitor on, in ms. */
async function lateness(stop: Deno.Command, pidfile: string): Promise<number> {
  const file = readMonitorFile(pidfile);
  if (file.kind !== "held" || file.record === undefined) {
    throw new Failure(`${pidfile} has no monitor`);
  }
  const ends = [file.record.monitor, file.record.pid].map(pidfdOpen);
  const child = stop.spawn();
  const own = pidfdOpen(child.pid);
  // Without the event loop, which would be late itself.
  for (const end of ends) waitReadable([end]);
  const begin = performance.now();
  waitReadable([own]);
  const ms = performance.now() - begin;
  [...ends, own].forEach(close);
  const { success } = await child.status;
  if (!success) throw new Failure(`tend stop of ${pidfile} failed`);
  return ms;
}

function judgeStatus(version: number[], status: number[]): Verdict {
  const [all, alone] = [median(status), median(version)];
  const best = Math.min(...status) / Math.min(...version);
  return verdict(
    all / alone <= TARGETS.statusRatio,
    `tend status of ${TARGETS.daemons} daemons: ${figure(all)} ms, ` +
      `tend --version ${figure(alone)} ms: ${
        (all / alone).toFixed(2)
      } times, ` +
      `may be ${TARGETS.statusRatio} (the best of each: ${best.toFixed(2)})`,
  );
}

function judgeStop(late: number[]): Verdict {
  return verdict(
    median(late) <= TARGETS.stopMs,
    `tend stop: returns ${figure(median(late))} ms after the last process's ` +
      `end (at most ${figure(Math.max(...late))}), may be ${TARGETS.stopMs}`,
  );
}
