/**
 * The command line of `tend`.
 *
 * @module
 */
import { readArgv } from "../../ffi/argv.ts";
import { fromBytes } from "../../ffi/c_string.ts";
import { writeFully } from "../../ffi/file.ts";
import { LibcError } from "../../ffi/libc.ts";
import { exit } from "../fatal_signal.ts";
import { parseOptions, UsageError } from "../options.ts";
import { VERSION } from "../version.ts";
import { type Vlog, vlogModule } from "../vlog.ts";
import { writeConsole } from "../vlog_sinks.ts";
import { CommandError } from "./command.ts";
import { run } from "./run.ts";
import { OPTIONS, usage } from "./usage.ts";

const vlog: Vlog = vlogModule("tend");
const STDOUT = 1;

/**
 * Does what the command line says. The process ends in here.
 *
 * @param args The arguments, as Deno has them.
 */
export function main(args: readonly string[]): void {
  try {
    // As bytes: what is not UTF-8 has to reach the command as it is.
    const raw = readArgv();
    dispatch(raw.slice(raw.length - args.length));
  } catch (error) {
    if (error instanceof UsageError) {
      writeConsole(`tend: ${error.message}. Try 'tend --help'.\n`);
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
  run(given, [command, ...rest]);
}

/** An option's value that was changed in decoding would name another file. */
function checkUtf8(word: Uint8Array): void {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(word);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`option ${fromBytes(word)} is not valid UTF-8`);
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
