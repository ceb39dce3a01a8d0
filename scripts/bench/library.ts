import { run } from "../command.ts";
import { findDenort } from "../denort.ts";
import { Failure } from "../failure.ts";
import { figure, median, table } from "./table.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** A server that detaches if it is told to, and ends once it has started. */
const SERVER = `
import {
  daemonizeComplete,
  daemonizeStart,
  parseDaemonOptions,
} from "${ROOT}lib/mod.ts";

daemonizeStart(parseDaemonOptions(Deno.args).options);
Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: () => {} },
  () => new Response("hello"),
);
daemonizeComplete();
Deno.exit(0);
`;

const PERMISSIONS = ["--allow-ffi", "--allow-env", "--allow-net=127.0.0.1"];

interface Way {
  name: string;
  argv: string[];
  /** How many times its plain start the detached one may take. */
  target: number;
}

/**
 * Measures how long a Deno server that uses the library keeps its caller
 * waiting: its plain start, and with `--detach`, in turn.
 *
 * @param directory Where its program is put.
 * @param rounds How often.
 */
export async function measureLibrary(
  directory: string,
  rounds: number,
): Promise<void> {
  const ways = await makeWays(directory);
  const rows: string[][] = [];
  const verdicts: string[] = [];
  for (const { name, argv, target } of ways) {
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
    const met = ratio <= target ? "met" : "MISSED";
    verdicts.push(
      `${name}: detached in ${figure(ratio)} times its plain start, ` +
        `the target is ${target}: ${met}`,
    );
  }
  console.log();
  console.log(table(["server", "plain ms", "--detach ms", "ratio"], rows));
  console.log();
  console.log(verdicts.join("\n"));
}

async function makeWays(directory: string): Promise<Way[]> {
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
    { name: "forks in place (compiled)", argv: [program], target: 1.5 },
    {
      name: "starts again (deno run)",
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

async function time([command, ...args]: string[]): Promise<number> {
  const start = performance.now();
  const { success, output } = await run(command!, args);
  const milliseconds = performance.now() - start;
  if (!success) throw new Failure(`${command} failed.\n${output}`);
  return milliseconds;
}
