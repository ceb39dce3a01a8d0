/**
 * Measures tend beside other supervisors, all in one run and in turn: how long
 * they take to start and to restart, and what they cost while idle. Says of
 * each target whether tend has met it.
 *
 * `deno task bench [--rounds=N] [--quick]`
 */
import { parseArgs } from "@std/cli/parse-args";
import { getrlimit, RLIMIT_CORE, setrlimit } from "../ffi/limit.ts";
import { measureLibrary } from "./bench/library.ts";
import { type Peer, peers } from "./bench/peers.ts";
import {
  adoptOrphans,
  endMarked,
  marked,
  reapOrphans,
} from "./bench/processes.ts";
import { dropFromCache } from "./bench/page_cache.ts";
import { printTables, printVerdicts } from "./bench/report.ts";
import { measureIdle, measureRounds, type Seen } from "./bench/rounds.ts";
import { run } from "./command.ts";
import { findDenort } from "./denort.ts";
import { Failure, runScript } from "./failure.ts";

const BUILT = `${import.meta.dirname}/../dist/tend`;

interface Options {
  rounds: number;
  settleMs: number;
  idleMs: number;
}

function readOptions(): Options {
  const args = parseArgs(Deno.args, {
    boolean: ["quick"],
    string: ["rounds"],
    unknown: (arg) => {
      throw new Failure(`${arg}: what it takes is --rounds=N and --quick.`);
    },
  });
  const rounds = Number(args.rounds ?? (args.quick ? 5 : 15));
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Failure(`--rounds=${args.rounds}: not a number of rounds.`);
  }
  return args.quick
    ? { rounds, settleMs: 2000, idleMs: 5000 }
    : { rounds, settleMs: 5000, idleMs: 60_000 };
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
  const tend = await copyTend(directory);
  const empty = await compileEmpty(directory);
  const all = present(peers(tend, empty))
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
  printVerdicts(all, options.idleMs);
  await measureLibrary(directory, options.rounds);
  const load = Deno.loadavg()[0] ?? 0;
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
async function copyTend(directory: string): Promise<string> {
  const tend = `${directory}/tend`;
  await Deno.copyFile(BUILT, tend);
  dropFromCache(tend);
  return tend;
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

/** Those peers whose programs are there; a line for each other. */
function present(all: Peer[]): Peer[] {
  return all.filter(({ name, needs, from }) => {
    const missing = needs.find((program) => which(program) === undefined);
    if (missing === undefined) return true;
    console.log(`${name}: not measured, there is no ${missing} (${from})`);
    return false;
  });
}

function which(program: string): string | undefined {
  if (program.startsWith("/")) return program;
  return (Deno.env.get("PATH") ?? "").split(":")
    .map((directory) => `${directory}/${program}`)
    .find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        // Whatever it is, it is no program to be run.
        return false;
      }
    });
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
