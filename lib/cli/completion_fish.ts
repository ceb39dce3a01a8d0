/**
 * Completion in fish, of 3.1 and later.
 *
 * Not by an option's own `complete -l`: fish would put a required value into a
 * word of its own.
 *
 * @module
 */
import type { Option } from "../options.ts";
import { lettersWithWord, optionWords, wordLists } from "./completion_words.ts";
import { optionsOf, type Verb } from "./verb.ts";

/**
 * The script for fish.
 *
 * @param verbs The verbs that there are.
 * @returns The script.
 */
export function fishCompletion(verbs: readonly Verb[]): string {
  const names = verbs.map(({ name }) => name);
  return String
    .raw`# Completion of tend's command line in fish; tend completions fish prints it.

# The names of the pidfiles in the run directory.
function __tend_names
    set -l dir $HOME/.local/state/tend
    if set -q TEND_RUNDIR[1]; and test -n "$TEND_RUNDIR"
        set dir $TEND_RUNDIR
    else if test (id -u) -eq 0
        set dir /run/tend
    else if string match -q -- '/*' "$XDG_RUNTIME_DIR"
        set dir $XDG_RUNTIME_DIR/tend
    end
    for file in $dir/*.pid
        string replace -r -- '.*/(.*)\.pid$' '$1' $file
    end
end

# What a word in capitals stands for: the word, and what of it is typed.
function __tend_word
    switch $argv[1]
        case FILE
            __fish_complete_path $argv[2]
        case DIR
            __fish_complete_directories $argv[2]
        case USER
            __fish_complete_users
        case TARGET
            if string match -q -- '*/*' $argv[2]
                __fish_complete_path $argv[2]
            else
                __tend_names
            end
        case COMMAND
            complete -C $argv[2]
${
    wordLists(verbs).map(([placeholder, words]) =>
      `        case ${placeholder}\n            printf '%s\\n' ${
        words.join(" ")
      }\n`
    ).join("")
  }    end
end

function __tend_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    set -l verb run
    set -l is_first yes
    if set -q words[1]
        set is_first no
        if contains -- $words[1] ${names.join(" ")}
            set verb $words[1]
            set -e words[1]
        end
    end
    set -l options
    set -l values
    set -l letters
    set -l operand
    switch $verb
${verbs.map(verbCase).join("")}    end

    set -l ended no
    set -l command
    set -l option
    for word in $words
        if set -q command[1]
            set -a command $word
        else if test -n "$option"
            set option
        else if test $ended = no; and test "$word" = --
            set ended yes
        else if test $ended = no; and contains -- $word $letters
            set option $word
        else if test $operand = COMMAND; and begin; test $ended = yes; or not string match -q -- '-?*' $word; end
            set command $word
        end
    end

    if set -q command[1]
        complete -C (string join ' ' -- (string escape -- $command) "$current")
        return
    end
    if test $ended = no; and string match -q -- '-*=*' "$current"
        set option (string replace -r -- '=.*' '' $current)
        for pair in $values
            if string match -q -- "$option:*" $pair
                string replace -r -- '^' $option= (__tend_word (string split -- : $pair)[2] (string replace -r -- '^[^=]*=' '' $current))
            end
        end
    else if test -n "$option"
        for pair in $values
            if string match -q -- "$option:*" $pair
                __tend_word (string split -- : $pair)[2] "$current"
            end
        end
    else if test $ended = no; and string match -q -- '-*' "$current"
        printf '%s\t%s\n' $options
    else
        if test $is_first = yes
            printf '%s\t%s\n' ${
    verbs.map(({ name, summary }) => `${name} ${fishQuoted(summary)}`).join(" ")
  }
        end
        # All programs that there are would hide the verbs.
        if test $is_first = no; or test -n "$current"
            __tend_word $operand "$current"
        end
    end
end

complete -c tend -f -a '(__tend_complete)'
`;
}

function verbCase(verb: Verb): string {
  const options = optionsOf(verb);
  const described = options.flatMap((option) =>
    optionWords(option).map((word) => `${word} ${fishQuoted(helpOf(option))}`)
  );
  const values = options.flatMap(({ name, letter, value, placeholder }) =>
    value === "none" ? [] : [
      `--${name}:${placeholder}`,
      ...(letter === undefined ? [] : [`-${letter}:${placeholder}`]),
    ]
  );
  return `        case ${verb.name}
            set options ${described.join(" ")}
            set values ${values.join(" ")}
            set letters ${lettersWithWord(options).join(" ")}
            set operand ${verb.operands.placeholder || "NOTHING"}
`;
}

function helpOf({ help }: Option): string {
  return help.replaceAll("\n", " ");
}

function fishQuoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
