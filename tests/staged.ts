/**
 * Programs that begin with a stage of a test's own. A shell cannot hand one
 * over: it drops what is no variable.
 *
 * @module
 */
import { ROOT, runProgram } from "./program.ts";
import type { Finished, Sandbox } from "./sandbox.ts";

/**
 * Runs a program to its end.
 *
 * @param box Where.
 * @param stage The stage's text, with OWN where the program's pid is to be.
 * @param argv The program's path and its arguments.
 */
export function runStaged(
  box: Sandbox,
  stage: string,
  argv: readonly string[],
): Promise<Finished> {
  const file = box.path("stage");
  Deno.writeTextFileSync(file, stage);
  return runProgram(
    box,
    `import { environment } from "${ROOT}/ffi/environment.ts";
     import { execve } from "${ROOT}/ffi/exec.ts";
     const [file, ...argv] = Deno.args;
     const stage = Deno.readTextFileSync(file).replace("OWN", Deno.pid);
     execve(argv[0], argv, [...environment(), \`TEND_STAGE:\${stage}\`]);`,
    { args: [file, ...argv] },
  );
}
