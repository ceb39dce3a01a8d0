/**
 * `tend completions SHELL`: has a shell complete tend's command lines.
 *
 * @module
 */
import { fromBytes } from "../../ffi/c_string.ts";
import { UsageError } from "../options.ts";
import { bashCompletion } from "./completion_bash.ts";
import { fishCompletion } from "./completion_fish.ts";
import { type Shell, SHELLS } from "./completion_words.ts";
import { zshCompletion } from "./completion_zsh.ts";
import { print } from "./print.ts";
import type { Verb } from "./verb.ts";

/** The script for each shell. */
const SCRIPTS: Record<Shell, (verbs: readonly Verb[]) => string> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** `tend completions`. */
export const completionsVerb: Verb<never> = {
  name: "completions",
  summary: "print what has a shell complete tend's words",
  description:
    `Prints a script that has SHELL, which is bash, zsh or fish, complete verbs,
options, their values, and the names of daemons in the run directory.`,
  groups: [],
  operands: { synopsis: "SHELL", placeholder: "SHELL", least: 1, most: 1 },
  statuses: [],
  examples: [
    [
      "tend completions bash >/etc/bash_completion.d/tend",
      "bash, for all users, where the package bash-completion is",
    ],
    [
      "tend completions zsh >/usr/local/share/zsh/site-functions/_tend",
      "zsh, for all users",
    ],
    [
      "tend completions fish >~/.config/fish/completions/tend.fish",
      "fish, for one user",
    ],
  ],
  run: ({ operands: [word], verbs }) => {
    const name = word && fromBytes(word);
    const shell = SHELLS.find((shell) => shell === name);
    if (shell === undefined) {
      throw new UsageError(
        `no completions for ${name}, only for ${SHELLS.join(", ")}`,
        { word: name ?? "", words: SHELLS },
      );
    }
    print(SCRIPTS[shell](verbs));
    return 0;
  },
};
