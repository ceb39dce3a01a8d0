/**
 * Measures tend beside other supervisors, all in one run and in turn: how long
 * they take to start and to restart, what they cost while idle, and what with
 * hundreds of daemons; and what their loggers take. Says of each target whether tend has met it.
 *
 * `deno task bench [--rounds=N] [--quick] [--before=FILE]`
 *
 * `FILE` is an older tend, whose times are not to be exceeded. A run that is
 * not quick draws `scripts/bench/memory.svg` anew.
 */
import { parseArgs } from "@std/cli/parse-args";
import { getrlimit, RLIMIT_CORE, setrlimit } from "../ffi/limit.ts";
import { makeLibraryPrograms, measureLibrary } from "./bench/library.ts";
import { measureLoggers } from "./bench/loggers.ts";
import { measureMany } from "./bench/many.ts";
import { memoryChart } from "./bench/memory_chart.ts";
import { peers } from "./bench/peers.ts";
import { present, which } from "./bench/present.ts";
import {
  adoptOrphans,
  endMarked,
  marked,
  reapOrphans,
} from "./bench/processes.ts";
import { dropFromCache } from "./bench/page_cache.ts";
import { printTables } from "./bench/report.ts";
import { measureIdle, measureRounds } from "./bench/rounds.ts";
import type { Seen } from "./bench/seen.ts";
import { judge } from "./bench/targets.ts";
import { measureVerbs } from "./bench/verbs.ts";
import { printVerdicts } from "./bench/verdict.ts";
import { run } from "./command.ts";
import { findDenort } from "./denort.ts";
import { Failure, runScript } from "./failure.ts";

const BUILT = `${import.meta.dirname}/../dist/tend`;
const CHART = `${import.meta.dirname}/bench/memory.svg`;

interface Options {
  rounds: number;
  settleMs: number;
  idleMs: number;
  /** How many daemons there are when there are many. */
  counts: number[];
  /** How much loggers are given at once, in MiB. */
  mebibytes: number;
  /** An older tend. */
  before: string | undefined;
  isQuick: boolean;
}

function readOptions(): Options {
  const args = parseArgs(Deno.args, {
    boolean: ["quick"],
    string: ["rounds", "before"],
    unknown: (arg) => {
      throw new Failure(
        `${arg}: what it takes is --rounds=N, --quick and --before=FILE.`,
      );
    },
  });
  const rounds = Number(args.rounds ?? (args.quick ? 5 : 15));
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Failure(`--rounds=${args.rounds}: not a number of rounds.`);
  }
  const common = {
    rounds,
    before: args.before === undefined ? undefined : String(args.before),
    isQuick: args.quick === true,
  };
  return args.quick
    ? {
      ...common,
      settleMs: 2000,
      idleMs: 5000,
      counts: [1, 10, 100],
      mebibytes: 256,
    }
    : {
      ...common,
      settleMs: 5000,
      idleMs: 60_000,
      counts: [1, 10, 100, 500],
      mebibytes: 1024,
    };
}

async function bench(directory: string, options: Options): Promise<void> {
  // Where daemons are installed, and not in the PATH of each user.
  Deno.env.set(
    "PATH",
    `${Deno.env.get("PATH")}:/usr/local/sbin:/usr/sbin:/sbin`,
  );
  // Nobody's crash is to leave a core or to wait for one to be written. 1, for
  // with 0 the kernel still feeds a program that `core_pattern` may name.
  setrlimit(RLIMIT_CORE, { ...getrlimit(RLIMIT_CORE), soft: 1n });

  printMachine();
  const tend = await copyTend(BUILT, `${directory}/tend`);
  const programs = {
    tend,
    before: options.before === undefined
      ? undefined
      : await copyTend(options.before, `${directory}/before`),
    empty: await compileEmpty(directory),
    library: await makeLibraryPrograms(directory),
  };
  const all = present(peers(programs))
    .map((peer): Seen => ({ peer, startMs: [], pidfiles: [], gapMs: [] }));
  const place = {
    directory: `${directory}/round`,
    sleep: `${directory}/sleep`,
  };
  await Deno.mkdir(place.directory);
  await Deno.copyFile(which("sleep") ?? "", place.sleep);

  console.log(`measuring start and gap, ${options.rounds} rounds`);
  await measureRounds(all, options.rounds, place);
  console.log(`measuring idleness, ${options.idleMs / 1000} s`);
  await measureIdle(all, options.settleMs, options.idleMs, place);

  printTables(all, options.idleMs);

  const library = await measureLibrary(
    programs.library,
    options.rounds,
    directory,
  );
  console.log("measuring verbs");
  const verbs = await measureVerbs(
    `${directory}/verbs`,
    tend,
    { ...options, sleep: place.sleep },
  );
  console.log("measuring loggers");
  const loggers = await measureLoggers(`${directory}/loggers`, options);
  // Before hundreds of daemons crash: from here on there are no more ratios.
  const load = Deno.loadavg()[0] ?? 0;
  console.log(`\nweighing many daemons, up to ${options.counts.at(-1)}`);
  const many = await measureMany(
    `${directory}/many`,
    tend,
    { ...options, sleep: place.sleep },
  );
  if (!options.isQuick) await draw(memoryChart(many.weighed));
  printVerdicts([
    ...judge(all, options.idleMs),
    ...library,
    ...verbs,
    ...loggers,
    ...many.verdicts,
  ]);
  if (load > navigator.hardwareConcurrency / 2) {
    console.log(`The load is ${load.toFixed(1)}: other work spoils the times.`);
  }
}

function printMachine(): void {
  const cpus = Deno.readTextFileSync("/proc/cpuinfo");
  const model = /^(?:model name|CPU part)\s*: (.*)$/m.exec(cpus)?.[1];
  const load = Deno.loadavg()[0]?.toFixed(1);
  console.log(
    `${navigator.hardwareConcurrency} × ${model}, Linux ${Deno.osRelease()}, ` +
      `Deno ${Deno.version.deno}, load ${load}`,
  );
}

/**
 * A copy: nobody replaces it meanwhile, and no other tend on this machine
 * shares its pages, which would make this one look lighter.
 */
async function copyTend(from: string, to: string): Promise<string> {
  try {
    await Deno.copyFile(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Failure(`${from}: there is no such tend.`);
  }
  dropFromCache(to);
  return to;
}

/** Compiles a program that does nothing, with the runtime that tend has. */
async function compileEmpty(directory: string): Promise<string> {
  const source = `${directory}/empty.js`;
  const program = `${directory}/empty`;
  await Deno.writeTextFile(source, "");
  const { success, output } = await run(
    Deno.execPath(),
    // The code cache would be a file in /tmp that stays.
    ["compile", "--quiet", "--no-config", "--no-check", "--no-code-cache"]
      .concat("--output", program, source),
    { env: await findDenort(directory) },
  );
  if (!success) throw new Failure(`deno compile failed.\n${output}`);
  dropFromCache(program);
  return program;
}

/** In the form that the check of all files wants. */
async function draw(chart: string): Promise<void> {
  await Deno.writeTextFile(CHART, chart);
  const { success, output } = await run(Deno.execPath(), ["fmt", CHART]);
  if (!success) throw new Failure(`deno fmt failed.\n${output}`);
  console.log(`drawn: ${Deno.realPathSync(CHART)}`);
}

if (import.meta.main) {
  await runScript("bench", async () => {
    const options = readOptions();
    // Below TMPDIR. Programs must be executable there.
    const directory = await Deno.makeTempDir({ prefix: "tend-bench-" });
    // For what is started here; it is not seen in this process's own /proc.
    for (const [name, value] of Object.entries(marked(directory))) {
      Deno.env.set(name, value);
    }
    adoptOrphans();
    const cleanUp = () => {
      try {
        endMarked(directory);
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    };
    for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15]] as const) {
      Deno.addSignalListener(signal, () => {
        cleanUp();
        reapOrphans();
        Deno.exit(128 + number);
      });
    }
    try {
      await bench(directory, options);
    } finally {
      cleanUp();
    }
    // The listeners would keep it waiting for a signal.
    Deno.exit();
  });
}
