/**
 * Completion in bash. It needs nothing but bash 4.4.
 *
 * @module
 */
import { lettersWithWord, optionWords, wordLists } from "./completion_words.ts";
import { optionsOf, type Verb } from "./verb.ts";

/**
 * The script for bash.
 *
 * @param verbs The verbs that there are.
 * @returns The script.
 */
export function bashCompletion(verbs: readonly Verb[]): string {
  return String
    .raw`# Completion of tend's command line in bash; tend completions bash prints it.

# Adds those of the words behind it that begin with what is typed.
_tend_add() {
  local word
  for word; do
    if [[ $word == "$cur"* ]]; then COMPREPLY+=("$prefix$word"); fi
  done
}

# The names of the pidfiles in the run directory.
_tend_add_names() {
  local dir file name
  if [[ -n ${"$"}{TEND_RUNDIR-} ]]; then dir=$TEND_RUNDIR
  elif ((EUID == 0)); then dir=/run/tend
  elif [[ ${"$"}{XDG_RUNTIME_DIR-} == /* ]]; then dir=$XDG_RUNTIME_DIR/tend
  else dir=$HOME/.local/state/tend
  fi
  for file in "$dir"/*.pid; do
    if [[ ! -e $file ]]; then continue; fi
    name=${"$"}{file##*/}
    printf -v name %q "${"$"}{name%.pid}"
    _tend_add "$name"
  done
}

# What a word in capitals stands for.
_tend_add_word() {
  case $1 in
    FILE) compopt -o default ;;
    DIR) compopt -o dirnames ;;
    USER) _tend_add $(compgen -u) ;;
    TARGET) if [[ $cur == */* ]]; then compopt -o default; else _tend_add_names; fi ;;
    COMMAND)
      if [[ $cur == */* ]]; then compopt -o default
      else mapfile -t COMPREPLY < <(compgen -c -- "$cur" | sort -u)
      fi ;;
${
    wordLists(verbs).map(([placeholder, words]) =>
      `    ${placeholder}) _tend_add ${words.join(" ")} ;;\n`
    ).join("")
  }  esac
}

_tend() {
  local cur=${"$"}{COMP_WORDS[COMP_CWORD]} prefix='' option='' verb='' i=1 word
  local options values letters operand operands=0 ended=''
  COMPREPLY=()
  if ((COMP_CWORD > 1)); then
    verb=${"$"}{COMP_WORDS[1]}
    i=2
  fi
  case $verb in
${verbs.filter(({ name }) => name !== "run").map(verbCase).join("")}    *)
      if [[ $verb != run ]]; then i=1; fi
${verbWords(verbs.find(({ name }) => name === "run")!)}      ;;
  esac

  for ((; i < COMP_CWORD; i++)); do
    word=${"$"}{COMP_WORDS[i]}
    if [[ -n $ended ]]; then ((++operands))
    # The = before a value is a word of its own here.
    elif [[ $word == = ]]; then ((++i))
    elif [[ $word == -- ]]; then ended=yes
    elif [[ $letters == *" $word "* ]]; then ((++i))
    elif [[ $word != -?* ]]; then
      ((++operands))
      if [[ $operand == COMMAND ]]; then ended=yes; fi
    fi
  done

  if [[ $operand == COMMAND && $operands -gt 0 ]]; then
    compopt -o default
    return
  fi
  word=${"$"}{COMP_WORDS[COMP_CWORD - 1]}
  if [[ -n $ended ]]; then option=''
  elif [[ $cur == = ]]; then option=$word cur=''
  elif [[ $word == = ]]; then option=${"$"}{COMP_WORDS[COMP_CWORD - 2]}
  elif [[ $letters == *" $word "* ]]; then option=$word
  elif [[ $cur == -*=* ]]; then
    option=${"$"}{cur%%=*} prefix=${"$"}{cur%%=*}= cur=${"$"}{cur#*=}
  fi

  if [[ -n $option ]]; then
    if [[ $values =~ " $option:"([A-Z]+) ]]; then
      _tend_add_word "${"$"}{BASH_REMATCH[1]}"
    fi
  elif [[ $cur == -* && -z $ended ]]; then _tend_add $options
  elif ((COMP_CWORD == 1)); then
    # All programs that there are would hide the verbs.
    if [[ -n $cur ]]; then _tend_add_word COMMAND; fi
    _tend_add_word VERB
  else _tend_add_word "$operand"
  fi
  # A value is to follow it.
  if [[ ${"$"}{#COMPREPLY[@]} -eq 1 && $COMPREPLY == *= ]]; then compopt -o nospace; fi
}
complete -F _tend tend
`;
}

function verbCase(verb: Verb): string {
  return `    ${verb.name})\n${verbWords(verb)}      ;;\n`;
}

function verbWords(verb: Verb): string {
  const options = optionsOf(verb);
  const values = options.flatMap(({ name, letter, value, placeholder }) =>
    value === "none" ? [] : [
      `--${name}:${placeholder}`,
      ...(letter === undefined ? [] : [`-${letter}:${placeholder}`]),
    ]
  );
  return `      options='${options.flatMap(optionWords).join(" ")}'
      values=' ${values.join(" ")} '
      letters=' ${lettersWithWord(options).join(" ")} '
      operand=${verb.operands.placeholder}
`;
}
