/**
 * The options of every daemon, as Open vSwitch's programs have them.
 *
 * @module
 */
import { rundir } from "./dirs.ts";
import { describeOptions, type Option } from "./options.ts";
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
] as const satisfies readonly Option[];

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
