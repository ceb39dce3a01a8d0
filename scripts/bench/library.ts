import { waitpid } from "../../ffi/child.ts";
import { close, pipe2, read } from "../../ffi/descriptor.ts";
import { environment } from "../../ffi/environment.ts";
import { posixSpawn } from "../../ffi/spawn.ts";
import { exitStatusOf } from "../../ffi/wait_status.ts";
import { run } from "../command.ts";
import { findDenort } from "../denort.ts";
import { Failure } from "../failure.ts";
import { endMarked, reapOrphans } from "./processes.ts";
import { figure, median, table } from "./table.ts";
import { type Verdict, verdict } from "./verdict.ts";
import { sleep } from "./wait.ts";

const STDOUT = 1;
const ROOT = new URL("../..", import.meta.url).pathname;

/** A server that says when it listens. */
const SERVER = `
import {
  daemonizeComplete,
  daemonizeStart,
  parseDaemonOptions,
} from "${ROOT}lib/mod.ts";

const { options } = parseDaemonOptions(Deno.args);
daemonizeStart(options);
Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: () => console.log("listening") },
  () => new Response("hello"),
);
daemonizeComplete();
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

/** How it is started, beside plainly. */
const WAYS: readonly (readonly string[])[] = [
  ["--detach"],
  ["--detach", "--pidfile"],
  ["--detach", "--monitor", "--pidfile"],
];

/**
 * Measures how long a Deno server that uses the library keeps its caller
 * waiting when it becomes a daemon, and how long its plain start takes until it
 * listens, in turn.
 *
 * @param programs In which ways it becomes one.
 * @param rounds How often.
 * @param directory Whose mark this process carries; the pidfile is there.
 */
export async function measureLibrary(
  programs: readonly LibraryProgram[],
  rounds: number,
  directory: string,
): Promise<Verdict[]> {
  let count = 0;
  // What was killed has left its own behind.
  const newPidfile = () => `${directory}/library${count++}.pid`;
  const rows: string[][] = [];
  const verdicts: Verdict[] = [];
  for (const { name, argv, target } of programs) {
    const plain: number[] = [];
    const detached = WAYS.map((options) => ({ options, ms: [] as number[] }));
    // The first fills caches.
    for (let round = -1; round < rounds; round++) {
      // For Ctrl-C to be heard.
      await sleep(1);
      const plainMs = time(argv, directory, "listens");
      if (round >= 0) plain.push(plainMs);
      for (const { options, ms } of detached) {
        const words = options.map((option) =>
          option === "--pidfile" ? `${option}=${newPidfile()}` : option
        );
        const detachedMs = time([...argv, ...words], directory, "ends");
        if (round >= 0) ms.push(detachedMs);
      }
    }
    for (const { options, ms } of detached) {
      const what = `${name} ${options.join(" ")}`;
      const ratio = median(ms) / median(plain);
      rows.push([
        what,
        figure(median(plain)),
        figure(median(ms)),
        figure(ratio),
      ]);
      verdicts.push(verdict(
        ratio <= target,
        `${what}: the caller waits ${figure(ratio)} times its plain start, ` +
          `may be ${target}`,
      ));
    }
  }
  console.log("\nA server with the library, until its caller goes on.");
  console.log(table(["", "plain ms", "ms", "ratio"], rows));
  return verdicts;
}

/**
 * Starts a server, and ends all that is left of it. Without `Deno.Command`,
 * which takes as long as a third of what is measured.
 *
 * @param directory Whose mark it carries.
 * @param event How far its process has to come.
 * @returns How long that took, in milliseconds.
 */
function time(
  argv: readonly string[],
  directory: string,
  event: "listens" | "ends",
): number {
  const { readFd, writeFd } = pipe2();
  const pass = { fd: writeFd, as: STDOUT };
  const begin = performance.now();
  const pid = posixSpawn(argv[0] ?? "", argv, {
    env: environment(),
    pass,
    unblockSignals: false,
  });
  close(writeFd);
  const success = event === "listens"
    ? read(readFd, new Uint8Array(1)) === 1
    : exitStatusOf(waitpid(pid)) === 0;
  const milliseconds = performance.now() - begin;
  endMarked(directory);
  reapOrphans();
  close(readFd);
  if (success) return milliseconds;
  throw new Failure(`this failed: ${argv.join(" ")}`);
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
