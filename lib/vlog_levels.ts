/**
 * Which messages go where: vlog's levels, destinations and modules.
 *
 * @module
 */

/** Levels, the most important first; `off` lets nothing through. */
export const LEVELS = ["off", "emer", "err", "warn", "info", "dbg"] as const;
/** A level of a message or, with `off`, of a destination. */
export type Level = typeof LEVELS[number];

/** Where messages go. */
export const DESTINATIONS = ["console", "file", "syslog"] as const;
/** One of the places where messages go. */
export type Destination = typeof DESTINATIONS[number];

/** The modules that log. */
export const MODULES = [
  "command_line",
  "daemon_unix",
  "fatal_signal",
  "tend",
] as const;
/** A module that logs. */
export type Module = typeof MODULES[number];

const levels = new Map<string, Level>();

/**
 * The level up to which a module's messages reach a destination.
 *
 * @param module The module.
 * @param destination The destination.
 * @returns The level; `info` until it is set.
 */
export function levelOf(module: Module, destination: Destination): Level {
  return levels.get(`${module}:${destination}`) ?? "info";
}

/**
 * Sets levels as `--verbose` says. Port of `vlog_set_levels_from_string()`.
 *
 * @param spec Words apart by colons, commas or blanks: a module, a
 * destination and a level, each at most once and `any` for all; `dbg` where no
 * level is named. Empty means all modules, everywhere, `dbg`.
 * @throws {TypeError} When a word is none of these, or one kind comes twice.
 * @example
 * ```ts
 * import { setLevels } from "./vlog_levels.ts";
 *
 * setLevels("daemon_unix:file:dbg");
 * setLevels("console:off");
 * ```
 */
export function setLevels(spec: string): void {
  const named: { module?: Module; destination?: Destination; level?: Level } =
    {};
  const name = <K extends keyof typeof named>(
    kind: K,
    value: NonNullable<typeof named[K]>,
  ) => {
    if (named[kind] !== undefined) {
      throw new TypeError(`${value}: the ${kind} is ${named[kind]} already`);
    }
    named[kind] = value;
  };
  for (const word of spec.split(/[\s,:]+/).filter((word) => word !== "")) {
    const lower = word.toLowerCase();
    if (lower === "any") continue;
    if (isOneOf(LEVELS, lower)) name("level", lower);
    else if (isOneOf(DESTINATIONS, lower)) name("destination", lower);
    else if (isOneOf(MODULES, lower)) name("module", lower);
    else throw new TypeError(`no destination, level, or module "${word}"`);
  }
  for (const module of named.module ? [named.module] : MODULES) {
    const destinations = named.destination ? [named.destination] : DESTINATIONS;
    for (const destination of destinations) {
      levels.set(`${module}:${destination}`, named.level ?? "dbg");
    }
  }
}

/**
 * All levels that were set.
 *
 * @returns A word for each, as {@linkcode setLevels} takes it.
 */
export function levelSpecs(): string[] {
  return [...levels].map(([where, level]) => `${where}:${level}`);
}

function isOneOf<T extends string>(all: readonly T[], word: string): word is T {
  return (all as readonly string[]).includes(word);
}
