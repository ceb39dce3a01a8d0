/**
 * The manual page, in troff with the macros of man(7).
 *
 * @module
 */
import { type Option, optionForms } from "../options.ts";
import { VERSION } from "../version.ts";
import { meaningsIn } from "./meanings.ts";
import { runVerb } from "./run.ts";
import { synopsisOf } from "./usage.ts";
import { OTHER_OPTIONS, type Verb } from "./verb.ts";

/**
 * The manual page. It is the same for each user and on each machine.
 *
 * @param verbs The verbs that there are.
 * @returns Its source.
 */
export function manPage(verbs: readonly Verb[]): string {
  const others = verbs.filter(({ name }) => name !== runVerb.name);
  const body = [
    ".SH NAME",
    "tend \\- run any program as a daemon and keep it running",
    ".SH SYNOPSIS",
    synopsis(`tend [OPTION]... ${runVerb.operands.synopsis}`),
    ...verbs.flatMap((verb) => [".br", synopsis(synopsisOf(verb))]),
    ".SH DESCRIPTION",
    ...paragraphs(DESCRIPTION),
    ...paragraphs(runVerb.description),
    ".SH OPTIONS",
    ...paragraphs(OPTIONS),
    ...optionEntries(runVerb, ".SS "),
    ".SH EXIT STATUS",
    ...runVerb.statuses.map(statusEntry),
    ".SH VERBS",
    ...paragraphs(VERBS),
    ...OTHER_OPTIONS.map(optionEntry),
    ...others.flatMap((verb) => [
      `.SS ${verb.name}`,
      synopsis(synopsisOf(verb)),
      ...paragraphs(verb.description),
      ...optionEntries(verb, ".PP\n"),
      ...verb.statuses.length === 0 ? [] : paragraphs("Exit status:"),
      ...verb.statuses.map(statusEntry),
      ...paragraphs("Examples:"),
      ...verb.examples.map(exampleEntry),
    ]),
  ];
  const text = body.join("\n").replace(/\\f[BIR]/g, " ");
  const meanings = meaningsIn(text, "everywhere");
  return [
    `.TH TEND 8 "" "tend ${VERSION}" "System Administration"`,
    ...body,
    ".SH WORDS",
    ...meanings.map(([word, meaning]) => entry(formatted(word), meaning)),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.map(([name, meaning]) => entry(bold(name), meaning)),
    ".SH EXAMPLES",
    ...runVerb.examples.map(exampleEntry),
    ".SH SEE ALSO",
    "\\fBdaemon\\fR(7), \\fBsignal\\fR(7), \\fBfcntl\\fR(2)",
  ].join("\n").replace(/(?<=^\.S[HS].*\n)\.PP\n/gm, "") + "\n";
}

const DESCRIPTION =
  `tend runs any program as a well-behaved daemon and keeps it running: it
detaches, holds a locked pidfile, tells its caller the truth about start-up,
and restarts what crashes.

A pidfile names a running daemon if and only if that process holds a lock on
it. A stale one is replaced, never believed.`;

const OPTIONS = `The value of an option stands behind =. The value of a letter
stands behind =, or at once behind the letter, or, where there has to be one,
in the next word.`;

const VERBS = `A first word that is a verb is a verb. To run a command of such
a name, write -- before it. Options stand anywhere behind a verb, but for run,
and after -- there are none.

The exit status of a verb is 1 when tend failed, 2 for wrong usage, and else 0
where nothing is said of it. Each verb has these options:`;

const ENVIRONMENT = [
  ["TEND_RUNDIR", "the directory of pidfiles, an absolute path"],
  ["TEND_LOGDIR", "the directory of logs, an absolute path"],
] as const;

function optionEntries(verb: Verb, heading: string): string[] {
  return verb.groups.flatMap(({ title, options }) => [
    `${heading}${title}`,
    ...options.map(optionEntry),
  ]);
}

function optionEntry(option: Option): string {
  const forms = optionForms(option).map((form) =>
    form.replace(
      /^(-[-\w]+)(.*)$/,
      (_, name, value) => bold(name) + formatted(value),
    )
  );
  return entry(forms.join(", "), option.help);
}

/** A paragraph behind a word, which is in troff already. */
function entry(head: string, text: string): string {
  return `.TP\n${head}\n${filled(text)}`;
}

function statusEntry([status, meaning]: readonly [string, string]): string {
  return entry(formatted(status), meaning);
}

function exampleEntry([command, does]: readonly [string, string]): string {
  return entry(bold(command), does);
}

function paragraphs(text: string): string[] {
  return text.split("\n\n").map((part) => `.PP\n${filled(part)}`);
}

function synopsis(line: string): string {
  return line.replace(
    /^tend( [a-z]+)?(.*)$/,
    (_, verb = "", rest) => bold(`tend${verb}`) + formatted(rest),
  );
}

function bold(text: string): string {
  return `\\fB${escaped(text)}\\fR`;
}

/** Text whose words in capitals are in italics. */
function formatted(text: string): string {
  return escaped(text).replace(/\b[A-Z]{2,}\b/g, "\\fI$&\\fR");
}

/** Text that the reader's terminal breaks into lines. */
function filled(text: string): string {
  // A line that begins with a dot would be a request.
  return escaped(text).replace(/^\./gm, "\\&.");
}

/** Text as troff shows it: what is typed must come out as it is typed. */
function escaped(text: string): string {
  const names: Record<string, string> = {
    "\\": "\\e",
    "-": "\\-",
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
    '"': "\\(dq",
  };
  return text.replace(/[-\\'`^~"]/g, (character) => names[character]!);
}
