import { run } from "../command.ts";
import { findDenort } from "../denort.ts";
import { Failure } from "../failure.ts";
import { figure, median, table } from "./table.ts";
import { type Verdict, verdict } from "./verdict.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/**
 * A server that detaches if it is told to, and ends once it has started unless
 * it is told to stay.
 */
const SERVER = `
import {
  daemonizeComplete,
  daemonizeStart,
  parseDaemonOptions,
} from "${ROOT}lib/mod.ts";

const { options, rest } = parseDaemonOptions(Deno.args);
daemonizeStart(options);
Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: () => {} },
  () => new Response("hello"),
);
daemonizeComplete();
if (!rest.includes("--stay")) Deno.exit(0);
`;

/** Forks in place. */
export const LIBRARY_COMPILED = "library, compiled";
/** Starts again. */
export const LIBRARY_RUN = "library, deno run";

const PERMISSIONS = ["--allow-ffi", "--allow-env", "--allow-net=127.0.0.1"];

/** A server that becomes a daemon itself, in one of the two ways. */
export interface LibraryProgram {
  readonly name: string;
  readonly argv: readonly string[];
  /** How many times its plain start the detached one may take. */
  readonly target: number;
}

/**
 * Measures how long a Deno server that uses the library keeps its caller
 * waiting: its plain start, and with `--detach`, in turn.
 *
 * @param programs In which ways.
 * @param rounds How often.
 */
export async function measureLibrary(
  programs: readonly LibraryProgram[],
  rounds: number,
): Promise<Verdict[]> {
  const rows: string[][] = [];
  const verdicts: Verdict[] = [];
  for (const { name, argv, target } of programs) {
    const times: { plain: number[]; detached: number[] } = {
      plain: [],
      detached: [],
    };
    for (let round = -1; round < rounds; round++) {
      const plain = await time(argv);
      const detached = await time([...argv, "--detach"]);
      // The first fills caches.
      if (round < 0) continue;
      times.plain.push(plain);
      times.detached.push(detached);
    }
    const [plain, detached] = [median(times.plain), median(times.detached)];
    const ratio = detached / plain;
    rows.push([name, figure(plain), figure(detached), figure(ratio)]);
    verdicts.push(verdict(
      ratio <= target,
      `${name}: detached in ${figure(ratio)} times its plain start, ` +
        `may be ${target}`,
    ));
  }
  console.log("\nA server with the library, until its caller goes on.");
  console.log(table(["", "plain ms", "--detach ms", "ratio"], rows));
  return verdicts;
}

/**
 * Makes the servers.
 *
 * @param directory Where they are put.
 */
export async function makeLibraryPrograms(
  directory: string,
): Promise<LibraryProgram[]> {
  const source = `${directory}/server.ts`;
  const program = `${directory}/server`;
  await Deno.writeTextFile(source, SERVER);
  const config = `--config=${ROOT}deno.json`;
  const bundle = `${directory}/server.js`;
  await deno(["bundle", "--quiet", config, "--output", bundle, source]);
  await deno(
    ["compile", "--quiet", "--no-config", "--no-check", "--no-code-cache"]
      .concat("--v8-flags=--single-threaded", PERMISSIONS)
      .concat("--output", program, bundle),
    await findDenort(directory),
  );
  return [
    {
      name: LIBRARY_COMPILED,
      argv: [program],
      target: 1.5,
    },
    {
      name: LIBRARY_RUN,
      argv: [Deno.execPath(), "run", "--quiet", config, ...PERMISSIONS, source],
      target: 3,
    },
  ];
}

async function deno(
  args: string[],
  env: Record<string, string> = {},
): Promise<void> {
  const { success, output } = await run(Deno.execPath(), args, { env });
  if (!success) throw new Failure(`deno ${args[0]} failed.\n${output}`);
}

async function time([command, ...args]: readonly string[]): Promise<number> {
  const start = performance.now();
  const { success, output } = await run(command!, args);
  const milliseconds = performance.now() - start;
  if (!success) throw new Failure(`${command} failed.\n${output}`);
  return milliseconds;
}
