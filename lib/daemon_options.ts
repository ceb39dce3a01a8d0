/**
 * The options of every daemon, as Open vSwitch's programs have them.
 *
 * @module
 */
import { rundir } from "./dirs.ts";
import { parseDuration } from "./duration.ts";
import { describeOptions, type Option, UsageError } from "./options.ts";
import { programName } from "./program_name.ts";

/** The options of every daemon. */
export const DAEMON_OPTIONS = [
  {
    name: "detach",
    value: "none",
    help: "run in background as daemon",
  },
  {
    name: "no-chdir",
    value: "none",
    help: "do not chdir to '/'",
  },
  {
    name: "pidfile",
    value: "optional",
    placeholder: "FILE",
    help: "create pidfile (default: RUNDIR/NAME.pid)",
  },
  {
    name: "overwrite-pidfile",
    value: "none",
    help: "with --pidfile, start even if already running",
  },
  {
    name: "monitor",
    value: "none",
    help: "restart the daemon when an error signal ends it",
  },
  {
    name: "sleep-after",
    value: "required",
    placeholder: "DURATION",
    help: "with --monitor, sleep after so long without any\n" +
      "event: 90s, 2m, 500ms or never (default: 1s)",
  },
] as const satisfies readonly Option[];

/** When a monitor sleeps that was told nothing about it. */
const SLEEP_AFTER = "1s";

/**
 * When a monitor sleeps.
 *
 * @param text What the option says, if it was given.
 * @returns Milliseconds without any event; `undefined` for never.
 * @throws {UsageError} When it is neither a duration nor `never`.
 */
export function parseSleepAfter(text = SLEEP_AFTER): number | undefined {
  if (text === "never") return undefined;
  try {
    return parseDuration(text);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(
      `option --sleep-after=${text}: ${error.message}; or never`,
    );
  }
}

/**
 * The part of a program's help text about daemons. Port of `daemon_usage()`.
 *
 * @returns The text.
 * @example
 * ```ts
 * import { daemonUsage } from "@tend/daemon";
 *
 * console.log(`usage: web [OPTION]...\n${daemonUsage()}`);
 * ```
 */
export function daemonUsage(): string {
  const options = describeOptions(DAEMON_OPTIONS)
    .replace("RUNDIR/NAME", () => `${rundir()}/${programName()}`);
  return `\nDaemon options:\n${options}`;
}
