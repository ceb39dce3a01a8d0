/**
 * The ways in which a user's program runs, each with the package as it is
 * published.
 *
 * @module
 */
import { dirname } from "@std/path/dirname";
import config from "../../deno.json" with { type: "json" };

const ROOT = new URL("../..", import.meta.url).pathname;
const PROGRAMS = new URL("programs", import.meta.url).pathname;
/** What the package needs, and what the programs do besides. */
const PERMISSIONS = [
  "--no-prompt",
  "--allow-ffi",
  "--allow-env",
  "--allow-net=127.0.0.1",
  "--allow-read=/tmp,/proc",
  "--allow-write=/tmp",
  "--allow-run=true,sh",
];
/** For one thread, and a garbage collection when the program wants it. */
const SINGLE_THREADED = "--v8-flags=--single-threaded,--expose-gc";
const THREADED = "--v8-flags=--expose-gc";

/** A way to run a program. */
export interface Way {
  /** What the user does. */
  readonly name: string;
  /** Whether the program forks in place. */
  readonly forks: boolean;
  /** The command line that runs a program of `programs/`, without arguments. */
  command(program: string): Promise<string[]>;
}

let app: Promise<string> | undefined;

/** All ways that this Deno has. */
export const WAYS: readonly Way[] = [
  { name: "deno run", forks: false, command: (name) => run(THREADED, name) },
  {
    name: "deno run --v8-flags=--single-threaded",
    forks: false,
    command: (name) => run(SINGLE_THREADED, name),
  },
  ...(canCompile()
    ? [{
      name: "deno compile",
      forks: false,
      command: (name: string) => compile(THREADED, name),
    }, {
      name: "deno compile --v8-flags=--single-threaded",
      forks: true,
      command: (name: string) => compile(SINGLE_THREADED, name),
    }]
    : []),
];

/** A base runtime is to be had for the Deno that the project is built with. */
function canCompile(): boolean {
  return Deno.version.deno === "2.4.2";
}

async function run(flag: string, program: string): Promise<string[]> {
  const dir = await makeApp();
  return [Deno.execPath(), "run", "--quiet", flag, ...PERMISSIONS]
    .concat(`${dir}/${program}.ts`);
}

const compiled = new Map<string, Promise<string[]>>();

function compile(flag: string, program: string): Promise<string[]> {
  const key = `${flag} ${program}`;
  const command = compiled.get(key) ?? compileAnew(flag, program);
  compiled.set(key, command);
  return command;
}

async function compileAnew(flag: string, program: string): Promise<string[]> {
  const dir = await makeApp();
  const { findDenort } = await import("../../scripts/denort.ts");
  const output = `${dir}/${program}-${compiled.size}`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", "--quiet", "--no-check", "--no-code-cache", flag]
      .concat(PERMISSIONS, "--output", output, `${dir}/${program}.ts`),
    env: await findDenort(dir),
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return [output];
}

/** Makes the directory of a user who has the package, and programs of it. */
export function makeApp(): Promise<string> {
  return app ??= copyPackage();
}

async function copyPackage(): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "tend-test-" });
  addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
  for (const file of await publishedFiles()) {
    const copy = `${dir}/package/${file}`;
    await Deno.mkdir(dirname(copy), { recursive: true });
    const text = await Deno.readTextFile(`${ROOT}/${file}`);
    await Deno.writeTextFile(copy, withFullSpecifiers(text));
  }
  for (const { name } of Deno.readDirSync(PROGRAMS)) {
    await Deno.copyFile(`${PROGRAMS}/${name}`, `${dir}/${name}`);
  }
  await Deno.writeTextFile(
    `${dir}/task.json`,
    JSON.stringify({
      imports: { "@tend/daemon": "./package/lib/mod.ts" },
      tasks: { serve: "deno run -A server.ts --detach --pidfile=task.pid" },
      lock: false,
    }),
  );
  await Deno.writeTextFile(
    `${dir}/deno.json`,
    JSON.stringify({
      imports: { "@tend/daemon": "./package/lib/mod.ts" },
      lock: false,
    }),
  );
  return dir;
}

async function publishedFiles(): Promise<string[]> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout) +
    new TextDecoder().decode(stderr);
  const files = [...text.matchAll(/^\s+file:\/\/(\S+) \(/gm)]
    .map(([, path]) => path!.slice(ROOT.length));
  if (!files.includes("lib/mod.ts")) {
    throw new Error(`deno publish lists no files:\n${text}`);
  }
  return files;
}

/** As publishing does it: the package's import map is not its user's. */
function withFullSpecifiers(text: string): string {
  const map: Record<string, string> = config.scopes["./"];
  return text.replace(
    /from "(@[^"]+)"/g,
    (whole, name: string) => name in map ? `from "${map[name]}"` : whole,
  );
}
