/** What is started by the benchmark, and need not be on each machine. */
export interface Wanted {
  readonly name: string;
  /** The programs that it needs, the one to be started first. */
  readonly needs: readonly string[];
  /** Where they come from. */
  readonly from: string;
}

/** Those whose programs are there; a line for each other. */
export function present<T extends Wanted>(all: readonly T[]): T[] {
  return all.filter(({ name, needs, from }) => {
    const missing = needs.find((program) => which(program) === undefined);
    if (missing === undefined) return true;
    console.log(`${name}: not measured, there is no ${missing} (${from})`);
    return false;
  });
}

/** Where a program is; `undefined` if it is not to be found. */
export function which(program: string): string | undefined {
  const candidates = program.startsWith("/")
    ? [program]
    : (Deno.env.get("PATH") ?? "").split(":")
      .map((directory) => `${directory}/${program}`);
  return candidates.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      // Whatever it is, it is no program to be run.
      return false;
    }
  });
}
