/**
 * Completion in zsh.
 *
 * @module
 */
import type { Option } from "../options.ts";
import { quoted, wordLists } from "./completion_words.ts";
import { optionsOf, type Verb } from "./verb.ts";

/**
 * The script for zsh.
 *
 * @param verbs The verbs that there are.
 * @returns The script.
 */
export function zshCompletion(verbs: readonly Verb[]): string {
  return String.raw`#compdef tend
# Completion of tend's command line in zsh; tend completions zsh prints it.

# The names of the pidfiles in the run directory.
_tend_TARGET() {
  local dir
  if [[ $PREFIX == */* ]]; then
    _files
    return
  fi
  if [[ -n ${"$"}{TEND_RUNDIR-} ]]; then dir=$TEND_RUNDIR
  elif ((EUID == 0)); then dir=/run/tend
  elif [[ ${"$"}{XDG_RUNTIME_DIR-} == /* ]]; then dir=$XDG_RUNTIME_DIR/tend
  else dir=$HOME/.local/state/tend
  fi
  compadd -- $dir/*.pid(N:t:r)
}

${
    wordLists(verbs).map(([placeholder, words]) =>
      `_tend_${placeholder}() {\n${compadd(words)}}\n`
    ).join("")
  }
_tend() {
  local -a verbs=(
${
    verbs.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}\n`)
      .join("")
  }  )
  if ((CURRENT == 2)) && [[ $PREFIX != -* ]]; then
    _describe -t verbs verb verbs
    # All programs that there are would hide the verbs.
    if [[ -n $PREFIX ]]; then _command_names -e; fi
    return
  fi
  case $words[2] in
${verbs.map((verb) => verbCase(verb, verb.name)).join("")}${
    verbCase(verbs.find(({ name }) => name === "run")!, "*")
  }  esac
}

# Read by compinit it is the function's body, and else it has to be bound.
if [[ ${"$"}{funcstack[1]-} == _tend ]]; then _tend "$@"; else compdef _tend tend; fi
`;
}

/** No blank follows a word that goes on. */
function compadd(words: readonly string[]): string {
  const [open, whole] = [true, false].map((goesOn) =>
    words.filter((word) => word.endsWith("=") === goesOn)
  );
  const line = (options: string, some: readonly string[]) =>
    some.length === 0 ? "" : `  compadd ${options}-- ${some.join(" ")}\n`;
  return line("", whole!) + line("-S '' ", open!);
}

/** The words of a verb; without one, they begin where the verb would stand. */
function verbCase(verb: Verb, pattern: string): string {
  const { operands } = verb;
  const specs = [
    ...optionsOf(verb).flatMap(optionSpecs),
    ...operands.isCommand
      ? ["(-)1:COMMAND:_command_names -e", "*:::ARG:_normal"]
      : operands.most === 0
      ? []
      : [
        `${operands.most === 1 ? "1" : "*"}:${operands.placeholder}:${
          actionOf(operands.placeholder)
        }`,
      ],
  ];
  const shift = pattern === "*" ? "" : "      shift words; ((CURRENT--))\n";
  const stop = operands.isCommand ? " -A '-*'" : "";
  return `    ${pattern})\n${shift}      _arguments -S${stop}${
    specs.map((spec) => ` \\\n        ${quoted(spec)}`).join("")
  } ;;\n`;
}

function optionSpecs(option: Option): string[] {
  const { name, letter, value, placeholder, help } = option;
  const text = help.replaceAll("\n", " ").replace(/[\[\]:\\]/g, "\\$&");
  const isOptional = value === "optional" ? ":" : "";
  const argument = value === "none"
    ? ""
    : `:${isOptional}${placeholder}:${actionOf(placeholder ?? "")}`;
  // `-` has the value in the same word, `+` has it there or in the next.
  const long = value === "none" ? "" : "=-";
  const short = value === "none" ? "" : value === "required" ? "+" : "-";
  return [
    `--${name}${long}[${text}]${argument}`,
    ...(letter === undefined ? [] : [`-${letter}${short}[${text}]${argument}`]),
  ];
}

/** What completes a word in capitals; a blank for nothing. */
function actionOf(placeholder: string): string {
  if (placeholder === "FILE") return "_files";
  if (placeholder === "DIR") return "_path_files -/";
  if (placeholder === "USER") return "_users";
  const isKnown = placeholder === "TARGET" ||
    wordLists([]).some(([known]) => known === placeholder);
  return isKnown ? `_tend_${placeholder}` : " ";
}
