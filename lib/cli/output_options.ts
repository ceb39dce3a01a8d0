/**
 * The options that say where what a command writes goes.
 *
 * @module
 */
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import { SLASH } from "../../ffi/file.ts";
import { isSameFile, statFile } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import { absolutePath } from "../../ffi/working_directory.ts";
import { directoryOf } from "../foreign_file.ts";
import type { Logging, OutputFile, Outputs } from "../monitor_state.ts";
import {
  type GivenOption,
  lastValue,
  type Option,
  UsageError,
} from "../options.ts";
import { optionOf } from "../output_file.ts";
import { parseAmount } from "./amount.ts";

/** So many older files are kept by default, and at most. */
const COUNT = { default: 9, most: 999 } as const;

/** These options. */
export const OUTPUT_OPTIONS = [
  {
    name: "output",
    value: "required",
    placeholder: "FILE",
    help: "append to FILE what COMMAND writes to stdout and\nstderr",
  },
  {
    name: "stdout",
    value: "required",
    placeholder: "FILE",
    help: "append to FILE what it writes to stdout",
  },
  {
    name: "stderr",
    value: "required",
    placeholder: "FILE",
    help: "append to FILE what it writes to stderr",
  },
  {
    name: "log-rotate",
    value: "required",
    placeholder: "SIZE[,COUNT]",
    help: "begin a new one when such a FILE has SIZE bytes, and\n" +
      `keep COUNT old ones, from FILE.1 on (default: ${COUNT.default})`,
  },
  {
    name: "log-timestamps",
    value: "none",
    help: "begin each line of such a FILE with its time",
  },
] as const satisfies readonly Option[];

/** Names of what a process has open, which a detached one has not. */
const OWN_FDS =
  /^\/+(dev\/+(std(in|out|err)$|fd(\/|$))|proc\/+(self|thread-self)\/)/;

/**
 * Where what a command writes goes.
 *
 * @param given The options that were given; others are passed over.
 * @returns Where; `undefined` when it goes where its caller's does.
 * @throws {UsageError} When a value is bad, or options do not go together.
 */
export function readOutputs(
  given: readonly GivenOption[],
): Outputs | undefined {
  const has = (name: string) => given.some((option) => option.name === name);
  const logging = readLogging(given);
  const files = readFiles(given);
  if (files.length === 0) {
    if (logging === undefined) return undefined;
    const name = has("log-rotate") ? "log-rotate" : "log-timestamps";
    throw new UsageError(
      `option --${name} needs --output, --stdout or --stderr`,
    );
  }
  if (has("detach")) refuseOwnFds(files);
  return { files, logging };
}

function readFiles(given: readonly GivenOption[]): OutputFile[] {
  const fileOf = (name: string) => {
    const value = lastValue(given, name);
    return value === undefined ? undefined : absolutePath(value);
  };
  const [both, stdout, stderr] = ["output", "stdout", "stderr"].map(fileOf);
  if (both !== undefined) {
    const other = stdout !== undefined ? "stdout" : "stderr";
    if ((stdout ?? stderr) !== undefined) {
      throw new UsageError(
        `options --output and --${other} exclude each other`,
      );
    }
    return [{ streams: "both", file: both }];
  }
  const files: OutputFile[] = [];
  if (stdout !== undefined) files.push({ streams: "stdout", file: stdout });
  if (stderr !== undefined) files.push({ streams: "stderr", file: stderr });
  return stdout !== undefined && stderr !== undefined &&
      isSame(stdout, stderr)
    ? [{ streams: "both", file: stdout }]
    : files;
}

function readLogging(given: readonly GivenOption[]): Logging | undefined {
  const text = lastValue(given, "log-rotate");
  const timestamps = given.some(({ name }) => name === "log-timestamps");
  if (text === undefined && !timestamps) return undefined;
  return {
    rotate: text === undefined ? undefined : readRotation(text),
    timestamps,
  };
}

function readRotation(text: string): Logging["rotate"] {
  const refuse = (why: string) =>
    new UsageError(`option --log-rotate=${text}: ${why}`);
  const [, sizeText = "", countText] = /^([^,]*)(?:,(.*))?$/s.exec(text) ?? [];
  const size = parseAmount(sizeText);
  if (size === undefined) {
    throw refuse(
      `${sizeText || "nothing"} is not a number of bytes, as 10M is`,
    );
  }
  if (size < 1n || size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw refuse(`no file of ${sizeText} bytes can be had`);
  }
  const count = countText === undefined
    ? COUNT.default
    : /^\d{1,9}$/.test(countText)
    ? Number(countText)
    : -1;
  if (count < 1 || count > COUNT.most) {
    throw refuse(
      `${countText || "nothing"} is not a number from 1 to ${COUNT.most}`,
    );
  }
  return { size: Number(size), count };
}

/** Else it would be `/dev/null` by then, and all that is written be lost. */
function refuseOwnFds(files: readonly OutputFile[]): void {
  const output = files.find(({ file }) => OWN_FDS.test(fromBytes(file)));
  if (output === undefined) return;
  throw new UsageError(
    `option ${optionOf(output)}: COMMAND leaves its caller's descriptors ` +
      "with --detach",
  );
}

/**
 * Refuses files that a logger would take for its own: it would rename them.
 *
 * @param outputs Where what the command writes goes.
 * @param logFile tend's own log.
 * @throws {UsageError} When there is such a file; names its option.
 */
export function refuseOverlaps(
  { files, logging }: Outputs,
  logFile: Uint8Array | undefined,
): void {
  const others = files.map((output) => ({
    option: optionOf(output),
    file: output.file,
  }));
  if (logFile !== undefined) {
    const option = `--log-file=${fromBytes(logFile)}`;
    others.push({ option, file: logFile });
  }
  const count = logging?.rotate?.count ?? 0;
  for (const { file } of files) {
    for (const other of others) {
      if (other.file === file || count === 0) continue;
      const number = numberOf(file, other.file);
      if (number === undefined || number > count) continue;
      const what = number === 0 ? "rotated as" : "an older file of";
      throw new UsageError(
        `option ${other.option}: that is ${what} ${fromBytes(file)}`,
      );
    }
  }
}

/**
 * Which of a file's older ones another is, by its name: 0 for the file itself,
 * `undefined` for none.
 */
function numberOf(file: Uint8Array, other: Uint8Array): number | undefined {
  const [name, otherName] = [file, other].map((path) =>
    fromBytes(path.subarray(path.lastIndexOf(SLASH) + 1))
  ) as [string, string];
  if (!otherName.startsWith(name) || !isInSameDirectory(file, other)) {
    return undefined;
  }
  const suffix = otherName.slice(name.length);
  if (suffix === "") return 0;
  const [, number] = /^\.([1-9]\d*)$/.exec(suffix) ?? [];
  return number === undefined ? undefined : Number(number);
}

function isInSameDirectory(file: Uint8Array, other: Uint8Array): boolean {
  const [a, b] = [file, other].map(directoryOf);
  try {
    return isSameFile(statFile(a!), statFile(b!));
  } catch (error) {
    // Of one that is not there its option is refused, or it is made.
    if (error instanceof LibcError) {
      return fromBytes(toBytes(a!)) === fromBytes(toBytes(b!));
    }
    throw error;
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
