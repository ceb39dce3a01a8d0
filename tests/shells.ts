/**
 * Shells at a terminal, to which tests type.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { run } from "../scripts/command.ts";
import type { Shell } from "../lib/cli/completion_words.ts";
import { makeFifo } from "./sleepers.ts";
import type { Sandbox } from "./sandbox.ts";

/** How each shell is started, without anything of the user's. */
const COMMANDS: Record<Shell, string> = {
  bash: "bash --norc --noprofile -i",
  zsh: "zsh -f -i",
  fish: "fish --no-config -i",
};

/** What each is told first; it has the completions at `$SCRIPT`. */
const SETUP: Record<Shell, string> = {
  bash: "source $SCRIPT",
  zsh: "autoload -Uz compinit; compinit -D -u; source $SCRIPT",
  fish: "source $SCRIPT",
};

/** Whether a test in this shell is to be left out: never where CI is. */
export async function lacksShell(shell: Shell): Promise<boolean> {
  if (Deno.env.get("CI")) return false;
  return !(await run(shell, ["--version"])).success;
}

/** A shell at a terminal. */
export class TypedShell implements Disposable {
  readonly #box: Sandbox;
  readonly #keys: Deno.FsFile;
  #count = 0;

  private constructor(box: Sandbox, keys: Deno.FsFile) {
    this.#box = box;
    this.#keys = keys;
  }

  /**
   * Starts one. Its `tend` writes down what it is called with.
   *
   * @param script The completions.
   */
  static async start(
    box: Sandbox,
    shell: Shell,
    script: string,
  ): Promise<TypedShell> {
    await Deno.mkdir(box.path("bin"), { recursive: true });
    await Deno.writeTextFile(
      box.path("bin/tend"),
      '#!/bin/sh\n{ printf "[%s]" "$@"; echo; } >>"$CALLS"\n',
      { mode: 0o755 },
    );
    await Deno.writeTextFile(box.path("script"), script);
    await makeFifo(box, "keys");
    // Open for both: else opening it would wait for the shell.
    const keys = Deno.openSync(box.path("keys"), { read: true, write: true });
    const typed = new TypedShell(box, keys);
    box.start(
      ["sh", "-c", `exec script -qec '${COMMANDS[shell]}' /dev/null <keys`],
      {
        env: {
          CALLS: box.path("calls"),
          HOME: box.dir,
          INPUTRC: "/dev/null",
          PATH: `${box.path("bin")}:${Deno.env.get("PATH")}`,
          SCRIPT: box.path("script"),
          TERM: "xterm",
          XDG_CONFIG_HOME: box.path("config"),
          XDG_DATA_HOME: box.path("data"),
        },
      },
    );
    const ready = await typed.type(`${SETUP[shell]}\ntend ready`);
    assertEquals(ready, "[ready]");
    return typed;
  }

  /** Types a command line, and returns the words that tend is called with. */
  async type(line: string): Promise<string> {
    this.#keys.writeSync(new TextEncoder().encode(`${line}\n`));
    const index = this.#count++;
    return await this.#box.until(`"${line}" has called tend`, () => {
      const calls = this.#box.read(this.#box.path("calls"))?.split("\n") ?? [];
      return calls.length > index + 1 && calls[index];
    });
  }

  /** Lets go of the keyboard. */
  [Symbol.dispose](): void {
    this.#keys.close();
  }
}
