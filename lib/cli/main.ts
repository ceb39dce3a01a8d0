/**
 * The command line of `tend`.
 *
 * @module
 */
import { readArgs } from "../../ffi/argv.ts";
import { fromBytes } from "../../ffi/c_string.ts";
import { LibcError } from "../../ffi/libc.ts";
import { exit } from "../fatal_signal.ts";
import { CANNOT_TELL } from "../look_error.ts";
import { type Misspelt, UsageError } from "../options.ts";
import { setProgramName } from "../program_name.ts";
import { takeStage, TRIAL_STATUS } from "../stage.ts";
import { VERSION } from "../version.ts";
import { oneLine, type Vlog, vlogModule } from "../vlog.ts";
import { writeConsole } from "../vlog_sinks.ts";
import { CommandError } from "./find_command.ts";
import { helpVerb } from "./help.ts";
import { useLogtape } from "./logtape.ts";
import { print } from "./print.ts";
import { resume, runVerb } from "./run.ts";
import { usage, verbUsage } from "./usage.ts";
import { checkOperands, findVerb, parseCall } from "./verb.ts";
import { VERBS } from "./verbs.ts";

const vlog: Vlog = vlogModule("tend");

/**
 * Does what the command line says. The process ends in here.
 */
export async function main(): Promise<void> {
  setProgramName("tend");
  useLogtape();
  // As bytes: what is not UTF-8 has to reach the command as it is.
  let argv: readonly Uint8Array[] = [];
  try {
    const stage = takeStage();
    if (stage?.role === "trial") exit(TRIAL_STATUS);
    if (stage?.role === "woken") resume(stage.state);
    argv = givenArgs();
    exit(dispatch(argv));
  } catch (error) {
    const word = argv[0] && fromBytes(argv[0]);
    if (error instanceof UsageError) {
      const verb = findVerb(VERBS, word);
      const help = verb === undefined || verb === helpVerb
        ? "tend"
        : `tend ${verb.name}`;
      const message = oneLine(error.message);
      const hint = await didYouMean(error.misspelt);
      writeConsole(`tend: ${message}.${hint} Try '${help} --help'.\n`);
      exit(2);
    }
    if (error instanceof CommandError) {
      // It may have been meant as a verb, where one can stand.
      const hint = await didYouMean(
        error.status === 127 && word === error.command
          ? { word, words: VERBS.map(({ name }) => name) }
          : undefined,
      );
      vlog.fatal(`${error.message}${hint && `.${hint}`}`, error.status);
    }
    const { failure = 1 } = findVerb(VERBS, word) ?? runVerb;
    if (error instanceof Error) vlog.fatal(error.message, failure);
    throw error;
  }
}

/** Without them it is not even known what was asked. */
function givenArgs(): Uint8Array[] {
  try {
    return readArgs();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.fatal(`/proc/self/cmdline: ${error.message}`, CANNOT_TELL);
  }
}

/** The exit status of what the command line says. */
function dispatch(argv: readonly Uint8Array[]): number {
  const verb = findVerb(VERBS, argv[0] && fromBytes(argv[0]));
  const called = verb ?? runVerb;
  const words = verb === undefined ? argv : argv.slice(1);
  const call = parseCall(called, words, VERBS);
  const names = call.given.map(({ name }) => name);
  if (names.includes("help")) {
    print(verb === undefined ? usage(VERBS) : verbUsage(verb));
    return 0;
  }
  if (names.includes("version")) {
    print(`tend ${VERSION}\n`);
    return 0;
  }
  checkOperands(called, call);
  return called.run(call);
}

/** Asks whether another word was meant; nothing when none is like it. */
async function didYouMean(misspelt: Misspelt | undefined): Promise<string> {
  if (misspelt === undefined) return "";
  const { suggestion } = await import("./suggestion.ts");
  const word = suggestion(misspelt);
  return word === undefined ? "" : ` Did you mean ${word}?`;
}
