/** Something that can go wrong in a script and is not a bug in it. */
export class Failure extends Error {
  override name = "Failure";
}

/**
 * Runs a script's main function. A `Failure` is printed as the sentences it
 * is, after the script's name, and ends the process with status 1; any other
 * error is a bug and keeps its stack.
 */
export async function runScript(
  name: string,
  main: () => Promise<void>,
): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(`${name}: ${error.message}`);
    Deno.exit(1);
  }
}
