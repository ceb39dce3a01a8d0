/**
 * Logging as Open vSwitch does it, on LogTape: vlog's modules are categories,
 * its destinations sinks. Port of vlog.c.
 *
 * @module
 */
import {
  configureSync,
  getConfig,
  getLogger,
  type LogLevel,
  type LogRecord,
  withFilter,
} from "@logtape/logtape";
import { exit } from "./fatal_signal.ts";
import { programName, subprogramName } from "./program_name.ts";
import {
  type Destination,
  DESTINATIONS,
  type Level,
  levelOf,
  LEVELS,
  type Module,
} from "./vlog_levels.ts";
import { SINKS, writeConsole } from "./vlog_sinks.ts";

/** A level that a message can have. */
type MessageLevel = Exclude<Level, "off">;

/** What vlog's levels are in LogTape, and back. */
const LOGTAPE_LEVELS = {
  emer: "fatal",
  err: "error",
  warn: "warning",
  info: "info",
  dbg: "debug",
} as const satisfies Record<MessageLevel, LogLevel>;

/** The categories of all modules are below this one. */
const ROOT = "tend";

let sequence = 0;

/** Logs messages of one module. */
export interface Vlog {
  /** The process cannot go on. */
  emer(text: string): void;
  /** Something failed. */
  err(text: string): void;
  /** Something is odd, and the process copes with it. */
  warn(text: string): void;
  /** Worth telling in normal operation. */
  info(text: string): void;
  /** For developers. */
  dbg(text: string): void;
  /**
   * Logs a message, says it on stderr as `tend: message`, and ends the process
   * after its exit hooks. Port of `vlog_fatal()`.
   *
   * @param text The message.
   * @param status The exit status.
   */
  fatal(text: string, status?: number): never;
}

/**
 * Makes the logger of a module. Port of `VLOG_DEFINE_THIS_MODULE`.
 *
 * @param module The module.
 * @returns Its logger.
 */
export function vlogModule(module: Module): Vlog {
  return {
    emer: (text) => log(module, "emer", text),
    err: (text) => log(module, "err", text),
    warn: (text) => log(module, "warn", text),
    info: (text) => log(module, "info", text),
    dbg: (text) => log(module, "dbg", text),
    fatal: (text, status = 1) => {
      // Not to the console: there the line below says it, for a person.
      log(module, "emer", text, false);
      writeConsole(`${programName()}: ${oneLine(text)}\n`);
      exit(status);
    },
  };
}

function log(
  module: Module,
  level: MessageLevel,
  text: string,
  toConsole = true,
): void {
  const wanted = DESTINATIONS.some((destination) =>
    (toConsole || destination !== "console") &&
    isLogged(module, destination, level)
  );
  if (!wanted) return;
  if (getConfig() === null) configure();
  sequence++;
  getLogger([ROOT, module])[LOGTAPE_LEVELS[level]]("{text}", {
    text: oneLine(text),
    subprogram: subprogramName(),
    sequence,
    toConsole,
  });
}

function configure(): void {
  const sink = (destination: Destination) =>
    withFilter(
      (record) => SINKS[destination](toLine(record)),
      ({ category, level, properties }) =>
        isLogged(category[1] as Module, destination, fromLogtape(level)) &&
        (destination !== "console" || properties.toConsole === true),
    );
  configureSync({
    sinks: {
      console: sink("console"),
      file: sink("file"),
      syslog: sink("syslog"),
    },
    loggers: [
      { category: ROOT, sinks: [...DESTINATIONS], lowestLevel: "debug" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
    ],
  });
}

function isLogged(
  module: Module,
  destination: Destination,
  level: MessageLevel,
): boolean {
  const limit = LEVELS.indexOf(levelOf(module, destination));
  return LEVELS.indexOf(level) <= limit;
}

function fromLogtape(level: LogLevel): MessageLevel {
  const levels = Object.keys(LOGTAPE_LEVELS) as MessageLevel[];
  return levels.find((name) => LOGTAPE_LEVELS[name] === level) ?? "dbg";
}

function toLine(record: LogRecord): {
  readonly timestamp: number;
  readonly level: MessageLevel;
  readonly text: string;
} {
  const { text, subprogram, sequence } = record.properties;
  const level = fromLogtape(record.level);
  const module = record.category[1] +
    (subprogram === "" ? "" : `(${subprogram})`);
  const number = String(sequence).padStart(5, "0");
  return {
    timestamp: record.timestamp,
    level,
    text: `${number}|${module}|${level.toUpperCase()}|${text}`,
  };
}

/** A file name may hold line feeds, and must not make a log line of its own. */
function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\0-\x1f\x7f]/g, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(2, "0");
    return `\\x${code}`;
  });
}
