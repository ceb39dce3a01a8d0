/**
 * The command line of `tend`.
 *
 * @module
 */
import { writeFully } from "../../ffi/descriptor.ts";
import { readArgs } from "../../ffi/argv.ts";
import { fromBytes, fromUtf8 } from "../../ffi/c_string.ts";
import { LibcError } from "../../ffi/libc.ts";
import { exit } from "../fatal_signal.ts";
import { parseOptions, UsageError } from "../options.ts";
import { setProgramName } from "../program_name.ts";
import { takeStage } from "../stage.ts";
import { VERSION } from "../version.ts";
import { oneLine, type Vlog, vlogModule } from "../vlog.ts";
import { writeConsole } from "../vlog_sinks.ts";
import { CommandError } from "./command.ts";
import { useLogtape } from "./logtape.ts";
import { resume, run } from "./run.ts";
import { OPTIONS, usage } from "./usage.ts";

const vlog: Vlog = vlogModule("tend");
const STDOUT = 1;

/**
 * Does what the command line says. The process ends in here.
 */
export function main(): void {
  setProgramName("tend");
  useLogtape();
  try {
    const stage = takeStage();
    if (stage?.role === "woken") resume(stage.state);
    // As bytes: what is not UTF-8 has to reach the command as it is.
    dispatch(readArgs());
  } catch (error) {
    if (error instanceof UsageError) {
      const message = oneLine(error.message);
      writeConsole(`tend: ${message}. Try 'tend --help'.\n`);
      exit(2);
    }
    if (error instanceof CommandError) vlog.fatal(error.message, error.status);
    if (error instanceof Error) vlog.fatal(error.message);
    throw error;
  }
}

function dispatch(argv: readonly Uint8Array[]): void {
  const words = argv.map(fromBytes);
  const { given, length } = parseOptions(OPTIONS, words);
  argv.slice(0, length).forEach(checkUtf8);
  const names = given.map(({ name }) => name);
  if (names.includes("help")) print(usage());
  if (names.includes("version")) print(`tend ${VERSION}\n`);
  const [command, ...rest] = argv.slice(length);
  if (command === undefined) throw new UsageError("COMMAND is missing");
  if (command.length === 0) throw new UsageError("COMMAND is empty");
  run(given, [command, ...rest]);
}

/** An option is told apart as text, and its value is often a file's name. */
function checkUtf8(word: Uint8Array): void {
  try {
    fromUtf8(word, "option");
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

function print(text: string): never {
  try {
    writeFully(STDOUT, text);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw new Error(`standard output: ${error.message}`, { cause: error });
  }
  exit(0);
}
