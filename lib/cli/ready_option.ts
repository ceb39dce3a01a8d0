/**
 * The options that say when a command is ready.
 *
 * @module
 */
import { fromBytes } from "../../ffi/c_string.ts";
import { LibcError } from "../../ffi/libc.ts";
import { absolutePath } from "../../ffi/working_directory.ts";
import { parseDuration } from "../duration.ts";
import type { Readiness } from "../monitor_state.ts";
import { type Option, UsageError } from "../options.ts";
import { addressesOf } from "../readiness.ts";

/** These options. */
export const READY_OPTIONS = [
  {
    name: "ready",
    value: "required",
    placeholder: "HOW",
    help: "with --detach, return when COMMAND is ready, as HOW\n" +
      "tells (default: exec)",
  },
  {
    name: "ready-timeout",
    value: "required",
    placeholder: "DURATION",
    help: "with --ready, stop COMMAND that is not ready after\n" +
      "so long (default: 60s)",
  },
  {
    name: "watchdog",
    value: "required",
    placeholder: "DURATION",
    help: "kill COMMAND, as one that has crashed, when it does\n" +
      "not say WATCHDOG=1 to NOTIFY_SOCKET for so long",
  },
] as const satisfies readonly Option[];

const TIMEOUT = "60s";

/** What a command may have opened itself begins below, and a pidfile above. */
const FDS = { least: 3, most: 89 } as const;

/** Each way, and how what follows its `=` is read. */
const OPERANDS: Record<
  Readiness["how"] | "exec",
  ((operand: string) => string) | undefined
> = {
  exec: undefined,
  notify: undefined,
  fd: parseFd,
  tcp: (operand) => checkAddress("tcp", operand),
  unix: (operand) => checkAddress("unix", parsePath(operand)),
  file: parsePath,
  delay: (operand) => String(parseDuration(operand)),
};

/**
 * What `--ready` may begin with.
 *
 * @returns Its ways; an operand follows `=`.
 */
export function readyWords(): string[] {
  return Object.entries(OPERANDS)
    .map(([how, parse]) => parse === undefined ? how : `${how}=`);
}

/**
 * When a command is ready.
 *
 * @param how What `--ready` says, if it was given.
 * @param timeout What `--ready-timeout` says, if it was given.
 * @returns When; `undefined` when its exec is enough.
 * @throws {UsageError} When one of them is not valid.
 */
export function parseReady(
  how: string | undefined,
  timeout: string | undefined,
): Readiness | undefined {
  if (how === undefined && timeout !== undefined) {
    throw new UsageError("option --ready-timeout needs --ready");
  }
  const milliseconds = parseTime("ready-timeout", timeout ?? TIMEOUT);
  const ready = parseHow(how ?? "exec", milliseconds);
  if (ready?.how === "delay" && Number(ready.operand) >= milliseconds) {
    throw new UsageError(
      `option --ready=${how}: not shorter than --ready-timeout=${
        timeout ?? TIMEOUT
      }`,
    );
  }
  return ready;
}

/**
 * How often a command has to say that it works.
 *
 * @param text What `--watchdog` says, if it was given.
 * @returns Milliseconds, if it was given.
 * @throws {UsageError} When it is not valid.
 */
export function parseWatchdog(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseTime("watchdog", text);
}

function parseHow(text: string, timeout: number): Readiness | undefined {
  const invalid = (why: string, words: string[] = []) =>
    new UsageError(
      `option --ready=${text}: ${why}`,
      words.length === 0 ? undefined : { word: how, words },
    );
  const [how = "", ...rest] = text.split("=");
  const ways = Object.keys(OPERANDS) as (keyof typeof OPERANDS)[];
  const way = ways.find((way) => way === how);
  if (way === undefined) {
    throw invalid(`${how} is none of ${ways.join(", ")}`, ways);
  }
  const parse = OPERANDS[way];
  const given = rest.length === 0 ? undefined : rest.join("=");
  if (parse === undefined) {
    if (given !== undefined) throw invalid(`${way} has no value`);
    return way === "exec" ? undefined : { how: way, operand: "", timeout };
  }
  if (way === "exec") return undefined;
  if (given === undefined || given === "") {
    throw invalid(`${way} needs a value`);
  }
  try {
    return { how: way, operand: parse(given), timeout };
  } catch (error) {
    if (error instanceof TypeError) throw invalid(error.message);
    throw error;
  }
}

function parseTime(option: string, text: string): number {
  try {
    const milliseconds = parseDuration(text);
    if (milliseconds === 0) throw new TypeError("no time at all");
    return milliseconds;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`option --${option}=${text}: ${error.message}`);
  }
}

function parseFd(text: string): string {
  const fd = /^\d{1,3}$/.test(text) ? Number(text) : -1;
  if (fd < FDS.least || fd > FDS.most) {
    throw new TypeError(`not a descriptor from ${FDS.least} to ${FDS.most}`);
  }
  return String(fd);
}

/** The working directory is another by the time that it is looked for. */
function parsePath(text: string): string {
  return fromBytes(absolutePath(text));
}

function checkAddress(how: "tcp" | "unix", operand: string): string {
  try {
    if (addressesOf({ how, operand }) !== undefined) return operand;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw new TypeError(error.reason);
  }
  throw new TypeError(
    "not a port, or a numeric address and a port, as 127.0.0.1:8080 and " +
      "[::1]:8080 are",
  );
}
