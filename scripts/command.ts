/** What became of a command. */
export interface Outcome {
  success: boolean;
  stdout: string;
  /** Standard output and standard error, in this order, trimmed. */
  output: string;
}

/** What a command may be given beside its arguments. */
export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** The command is ended after this many seconds, and has failed then. */
  seconds?: number;
}

/**
 * Runs a command to its end without a terminal or input, and collects what it
 * says. A command that can't be started or takes too long has failed like any
 * other: `output` says why.
 */
export async function run(
  command: string,
  args: string[],
  { cwd, env, seconds = 600 }: CommandOptions = {},
): Promise<Outcome> {
  const signal = AbortSignal.timeout(seconds * 1000);
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, {
      args,
      ...(cwd === undefined ? {} : { cwd }),
      // A backtrace of Deno's own Rust code says nothing to who reads this.
      env: { NO_COLOR: "1", RUST_BACKTRACE: "0", ...env },
      stdin: "null",
      signal,
    }).output();
    if (signal.aborted) return failed(`it took more than ${seconds} seconds`);
    const decoder = new TextDecoder();
    const out = decoder.decode(stdout);
    const output = `${out}${decoder.decode(stderr)}`.trim();
    return { success, stdout: out, output };
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.PermissionDenied
    ) {
      return failed(error.message);
    }
    throw error;
  }
}

function failed(reason: string): Outcome {
  return { success: false, stdout: "", output: reason };
}
