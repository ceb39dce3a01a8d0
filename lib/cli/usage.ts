/**
 * Help texts, for a terminal of 80 columns.
 *
 * @module
 */
import { describeOptions, explain } from "../options.ts";
import { meaningsIn } from "./meanings.ts";
import { runVerb } from "./run.ts";
import { optionGroups, type Verb } from "./verb.ts";

/**
 * The help text of tend.
 *
 * @param verbs The verbs that it has.
 * @returns The text.
 */
export function usage(verbs: readonly Verb[]): string {
  return withMeanings([
    `tend: run any program as a daemon and keep it running
usage: tend [OPTION]... ${runVerb.operands.synopsis}
       tend VERB [OPTION]... [OPERAND]...
`,
    `${section("Verbs", verbs.map(({ name, summary }) => [name, summary]))}
'tend help VERB' tells more of a verb. 'tend -- COMMAND' runs a command that is
called as a verb is.
`,
    ...optionSections(runVerb),
    section("Exit status", runVerb.statuses),
  ]);
}

/**
 * The help text of a verb.
 *
 * @param verb The verb.
 * @returns The text.
 */
export function verbUsage(verb: Verb): string {
  const { name, summary, description, statuses, examples } = verb;
  return withMeanings([
    `tend ${name}: ${summary}\nusage: ${synopsisOf(verb)}\n`,
    `${description}\n`,
    ...optionSections(verb),
    section("Exit status", statuses),
    ["Examples:\n", ...examples.map(exampleOf)].join(""),
  ]);
}

/**
 * How a verb is called.
 *
 * @param verb The verb.
 * @returns A line without its end.
 */
export function synopsisOf({ name, operands }: Verb): string {
  return `tend ${name} [OPTION]... ${operands.synopsis}`.trimEnd();
}

function optionSections(verb: Verb): string[] {
  return optionGroups(verb).map(({ title, options }) =>
    `${title}:\n${describeOptions(options)}`
  );
}

function exampleOf([command, does]: readonly [string, string]): string {
  return `  ${command}\n      ${does}\n`;
}

function section(
  title: string,
  entries: readonly (readonly [string, string])[],
): string {
  if (entries.length === 0) return "";
  const lines = entries.map(([word, help]) => explain(word, help));
  return `${title}:\n${lines.join("")}`;
}

/** Puts paragraphs together, and one that explains their words behind them. */
function withMeanings(paragraphs: readonly string[]): string {
  const words = section("Words", meaningsIn(paragraphs.join("\n"), "here"));
  return [...paragraphs, words].filter((part) => part !== "").join("\n");
}
