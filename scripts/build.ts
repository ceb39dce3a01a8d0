/**
 * Builds `dist/tend`: everything bundled into one file, which starts faster
 * than many, and compiled.
 *
 * `deno run -A scripts/build.ts [--if-needed]`
 */
import { buildInputs } from "./build_inputs.ts";
import { run } from "./command.ts";
import { findDenort } from "./denort.ts";
import { replaceEntry } from "./entry.ts";
import { Failure, runScript } from "./failure.ts";
import { withLock } from "./lock.ts";
import { replaceReadlink } from "./readlink.ts";
import { removeIfThere } from "./remove_if_there.ts";
import { replaceTempDir } from "./temp_dir.ts";

const ROOT = `${import.meta.dirname}/..`;
const DIST = `${ROOT}/dist`;
const PROGRAM = `${DIST}/tend`;
/** Says what `dist/tend` was built from. */
const RECORD = `${DIST}/tend.inputs`;

/** All that tend may do: call libc. Its environment it reads there too. */
const PERMISSIONS = ["--allow-ffi"];

/**
 * Builds `dist/tend`. It is replaced in one step: nobody ever sees half of it.
 *
 * @throws {Failure} It could not be built; a former one stays as it was.
 */
export async function build(): Promise<void> {
  await withBuildLock(buildUnlocked);
}

/**
 * Builds `dist/tend` unless it is there and what it was built from is what is
 * there now. Of several at once, one builds and the others wait for it.
 *
 * @throws {Failure} It could not be built.
 */
export async function buildIfNeeded(): Promise<void> {
  if (!await isStale()) return;
  await withBuildLock(async () => {
    if (await isStale()) await buildUnlocked();
  });
}

async function withBuildLock(work: () => Promise<void>): Promise<void> {
  await Deno.mkdir(DIST, { recursive: true });
  await withLock(`${DIST}/lock`, work);
}

async function isStale(): Promise<boolean> {
  try {
    const { isFile } = await Deno.stat(PROGRAM);
    const record = await Deno.readTextFile(RECORD);
    return !isFile || record !== await buildInputs(ROOT);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

async function buildUnlocked(): Promise<void> {
  const start = performance.now();
  // Before reading any of them: what changes meanwhile makes this one stale.
  const inputs = await buildInputs(ROOT);
  // Under the lock the name can be the same always, and so a build that was
  // killed leaves nothing behind that the next one does not clear.
  const work = `${DIST}/work`;
  await removeIfThere(work);
  await Deno.mkdir(work);
  try {
    await buildIn(work, inputs);
  } finally {
    await removeIfThere(work);
  }
  const mebibytes = (await Deno.stat(PROGRAM)).size / 2 ** 20;
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `build: dist/tend, ${mebibytes.toFixed(1)} MiB, in ${seconds.toFixed(1)} s`,
  );
}

async function buildIn(work: string, inputs: string): Promise<void> {
  const env = await findDenort(work);
  const bundle = `${work}/tend.js`;
  const program = `${work}/tend`;
  await deno("bundle", ["--minify", "--output", bundle, `${ROOT}/main.ts`]);
  // The time goes into the program: with this one, equal inputs make equal files.
  await Deno.utime(bundle, 0, 0);
  await deno("compile", compileOptions(program).concat(bundle), env);
  // Changes to the finished ELF file belong here, before anyone can see it.
  const elf = await Deno.readFile(program);
  replaceEntry(elf);
  replaceReadlink(elf);
  replaceTempDir(elf);
  await Deno.writeFile(program, elf);

  // The record goes first and comes last: it never speaks for another file.
  await removeIfThere(RECORD);
  await Deno.rename(program, PROGRAM);
  await Deno.writeTextFile(`${work}/inputs`, inputs);
  await Deno.rename(`${work}/inputs`, RECORD);
}

const V8_FLAGS = [
  // Only a process of one thread can fork and go on in the child.
  "--single-threaded",
  // Else the first Error compiles the whole bundle again: 5 ms in each process,
  // before any of its own work.
  "--no-enable-lazy-source-positions",
  // Nothing here runs long enough to be compiled, and without a compiler V8
  // starts a few milliseconds sooner and maps no memory to execute.
  "--jitless",
  // A monitor that stays awake makes a little garbage with each restart. V8
  // would double the room for new objects again and again, and let the old ones
  // lie: so there is no more room than at first, and lib/garbage.ts collects.
  "--max-semi-space-size=1",
  "--expose-gc",
];

function compileOptions(output: string): string[] {
  return [
    "--no-config",
    "--no-check",
    // The cache would be a file in /tmp under a name that anyone can take first.
    "--no-code-cache",
    `--v8-flags=${V8_FLAGS}`,
    // A missing permission is an error, not a question to whoever is there.
    "--no-prompt",
    ...PERMISSIONS,
    "--output",
    output,
  ];
}

async function deno(
  command: "bundle" | "compile",
  args: string[],
  env: Record<string, string> = {},
): Promise<void> {
  const { success, output } = await run(
    Deno.execPath(),
    [command, "--quiet", ...args],
    { env },
  );
  if (!success) throw new Failure(`deno ${command} failed.\n${output}`);
}

if (import.meta.main) {
  await runScript("build", async () => {
    const [option, ...more] = Deno.args;
    if (option === undefined) return await build();
    if (option === "--if-needed" && more.length === 0) {
      return await buildIfNeeded();
    }
    throw new Failure("The only argument that it takes is --if-needed.");
  });
}
