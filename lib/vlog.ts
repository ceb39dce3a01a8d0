/**
 * Logging as Open vSwitch does it. Port of vlog.c.
 *
 * @module
 */
import { toBytes } from "../ffi/c_string.ts";
import { exit } from "./fatal_signal.ts";
import { programName, subprogramName } from "./program_name.ts";
import {
  type Destination,
  DESTINATIONS,
  type Level,
  levelOf,
  LEVELS,
  levelSpecs,
  type Module,
  setLevels,
} from "./vlog_levels.ts";
import {
  currentLogFile,
  type Line,
  resumeLogFile,
  SINKS,
  writeConsole,
} from "./vlog_sinks.ts";

/** A level that a message can have. */
type MessageLevel = Exclude<Level, "off">;

/** A message on its way. */
export interface VlogRecord extends Line {
  /** The module that logs it. */
  readonly module: Module;
  /** Where it goes. */
  readonly destinations: readonly Destination[];
}

/** Hands a message to its destinations. */
let emit = ({ destinations, ...line }: VlogRecord) => {
  for (const destination of destinations) SINKS[destination](line);
};

/**
 * Has messages handed to their destinations in another way.
 *
 * @param emitter Does it.
 */
export function setEmitter(emitter: (record: VlogRecord) => void): void {
  emit = emitter;
}

let sequence = 0;

/** What this process has been told of its log, and how far it has come. */
export interface LogState {
  /** How many messages there were. */
  readonly sequence: number;
  /** Levels, as `setLevels()` takes them. */
  readonly levels: readonly string[];
  /** The file for messages, if there is one. */
  readonly file: Uint8Array | undefined;
}

/**
 * What there is to know of this process's log.
 *
 * @returns It, for {@linkcode resumeLog}.
 */
export function logState(): LogState {
  const file = currentLogFile();
  return {
    sequence,
    levels: levelSpecs(),
    file: file === undefined ? undefined : toBytes(file),
  };
}

/**
 * Goes on with a log where another image of this process has left it.
 *
 * @param state What that one knew.
 */
export function resumeLog(state: LogState): void {
  sequence = state.sequence;
  state.levels.forEach(setLevels);
  resumeLogFile(state.file);
}

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
  const destinations = DESTINATIONS.filter((destination) =>
    (toConsole || destination !== "console") &&
    isLogged(module, destination, level)
  );
  if (destinations.length === 0) return;
  sequence++;
  const number = String(sequence).padStart(5, "0");
  const subprogram = subprogramName();
  const where = subprogram === "" ? module : `${module}(${subprogram})`;
  emit({
    module,
    destinations,
    timestamp: Date.now(),
    level,
    text: `${number}|${where}|${level.toUpperCase()}|${oneLine(text)}`,
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

/**
 * Makes one line of a text: a file name may hold line feeds, and must not make
 * a line of its own.
 *
 * @param text The text.
 * @returns The text with its control characters as `\\xNN`.
 */
export function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\0-\x1f\x7f]/g, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(2, "0");
    return `\\x${code}`;
  });
}
