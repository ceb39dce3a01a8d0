/**
 * Small programs that tests run in processes of their own: what ends a
 * process, holds a lock or changes who it is cannot be tried in the tests' own.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { run as runCommand } from "../scripts/command.ts";
import { findDenort } from "../scripts/denort.ts";
import type { Finished, Running, Sandbox } from "./sandbox.ts";

/** The tree's top, for the imports of programs: `${ROOT}/ffi/file.ts`. */
export const ROOT: string = new URL("..", import.meta.url).href.slice(0, -1);

/** The tree's configuration, for programs elsewhere that import of it. */
export const CONFIG: string = new URL("../deno.json", import.meta.url).pathname;

/** How a program is run. */
export interface ProgramOptions {
  /** Its arguments. */
  readonly args?: readonly string[];
  /** More environment. */
  readonly env?: Record<string, string>;
  /** What stands before the program on its command line, as `["env", "-i"]`. */
  readonly under?: readonly string[];
  /** Deno's options; all permissions by default. */
  readonly deno?: readonly string[];
}

let count = 0;

/**
 * Starts a program in a Deno process of its own.
 *
 * @param box Where; what it leaves running ends with the sandbox.
 * @param source The program.
 */
export function startProgram(
  box: Sandbox,
  source: string,
  { args = [], env = {}, under = [], deno = ["-A"] }: ProgramOptions = {},
): Running {
  // Programs are named after their file, and say that name in messages.
  const dir = box.path(`program${count++}`);
  Deno.mkdirSync(dir);
  const file = `${dir}/tend.ts`;
  Deno.writeTextFileSync(file, source);
  const quiet = ["run", "--quiet", "--no-prompt", `--config=${CONFIG}`];
  return box.start(
    [...under, Deno.execPath(), ...quiet, ...deno, file, ...args],
    { env: { NO_COLOR: "1", RUST_BACKTRACE: "0", ...env } },
  );
}

/** Runs a program in a Deno process of its own, to its end. */
export function runProgram(
  box: Sandbox,
  source: string,
  options?: ProgramOptions,
): Promise<Finished> {
  return startProgram(box, source, options).finished();
}

/** Runs a program that has to end well, and returns what it says. */
export async function ask(
  box: Sandbox,
  source: string,
  options?: ProgramOptions,
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(box, source, options);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  return stdout.trimEnd();
}

/** Starts a program and waits for its first line, which it returns. */
export async function startUntilLine(
  box: Sandbox,
  source: string,
  options?: ProgramOptions,
): Promise<Running & { readonly line: string }> {
  const running = startProgram(box, source, options);
  const line = await box.until(`${source} has written a line`, () => {
    const [first, ...rest] = running.stdout().split("\n");
    return rest.length > 0 && first;
  });
  return { ...running, line };
}

/** At the end of a program that is to stay until the sandbox ends. */
export const STAY = "\nsetInterval(() => {}, 1e6);\n";

/**
 * Starts a process that holds the write lock of a file.
 *
 * @param path The file; made if it is not there.
 * @param content Makes its new content from the holder's pid; by default it is
 * left as it is.
 * @param under What stands before the holder on its command line.
 */
export async function holdLock(
  box: Sandbox,
  path: string,
  content?: (pid: number) => string,
  under: readonly string[] = [],
): Promise<number> {
  const { pid } = await startUntilLine(
    box,
    `
    import { O_CREAT, O_RDWR, open } from "${ROOT}/ffi/file.ts";
    import { fcntlSetlk } from "${ROOT}/ffi/lock.ts";
    fcntlSetlk(open(Deno.args[0], O_RDWR | O_CREAT, 0o644));
    console.log("locked");
    ${STAY}`,
    { args: [path], under },
  );
  if (content !== undefined) Deno.writeTextFileSync(path, content(pid));
  return pid;
}

/** Whether no program of one thread can be compiled: for want of a denort. */
export const CANNOT_COMPILE: boolean = Deno.version.deno !== "2.4.2" &&
  !Deno.env.get("DENORT_BIN");

/**
 * Compiles a program whose processes have one thread, as `dist/tend`'s have.
 *
 * @param box Where.
 * @param entry The program's file.
 * @returns The executable.
 */
export async function compileSingleThreaded(
  box: Sandbox,
  entry: string,
): Promise<string> {
  const [bundle, output] = [box.path("bundle.js"), box.path("program")];
  const deno = async (args: string[], env: Record<string, string>) => {
    const outcome = await runCommand(Deno.execPath(), args, { env });
    assertEquals(outcome.success, true, outcome.output);
  };
  const quiet = `--config=${CONFIG}`;
  await deno(["bundle", "--quiet", quiet, "--output", bundle, entry], {});
  await deno(
    ["compile", "--quiet", "--no-config", "--no-check", "--no-code-cache", "-A"]
      .concat("--v8-flags=--single-threaded,--expose-gc")
      .concat("--output", output, bundle),
    await findDenort(box.dir),
  );
  return output;
}

/** Whether namespaces cannot be made here; where CI is they can. */
export const CANNOT_UNSHARE: boolean = !Deno.env.get("CI") &&
  !new Deno.Command("unshare", { args: ["-Urmpf", "true"] }).outputSync()
    .success;
