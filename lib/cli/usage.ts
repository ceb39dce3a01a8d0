/**
 * The words of the command line: its options, its help.
 *
 * @module
 */
import { DAEMON_OPTIONS } from "../daemon_options.ts";
import { logdir, rundir } from "../dirs.ts";
import { describeOptions, type Option } from "../options.ts";
import { DESTINATIONS, LEVELS, MODULES } from "../vlog_levels.ts";

/** The options of `tend` beyond those of every daemon. */
const TEND_OPTIONS = [
  {
    name: "exec",
    value: "none",
    help: "with --pidfile, leave no tend process behind;\n" +
      "the pidfile goes stale when COMMAND ends",
  },
  {
    name: "name",
    value: "required",
    placeholder: "NAME",
    help: "name of the pidfile and the log\n(default: COMMAND's base name)",
  },
] as const satisfies readonly Option[];

const LOGGING_OPTIONS = [
  {
    name: "verbose",
    letter: "v",
    value: "optional",
    placeholder: "SPEC",
    help: "set logging levels;\nSPEC is [MODULE[:DESTINATION[:LEVEL]]]",
  },
  {
    name: "log-file",
    value: "optional",
    placeholder: "FILE",
    help: "log to FILE (default: LOGDIR/NAME.log)",
  },
] as const satisfies readonly Option[];

const OTHER_OPTIONS = [
  {
    name: "help",
    letter: "h",
    value: "none",
    help: "display this help and exit",
  },
  {
    name: "version",
    letter: "V",
    value: "none",
    help: "display the version and exit",
  },
] as const satisfies readonly Option[];

/** The help has to appear where no directory can be told, too. */
function describe(directory: () => string): string {
  try {
    return directory();
  } catch (error) {
    if (error instanceof Error) return `unknown: ${error.message}`;
    throw error;
  }
}

/** All options of `tend`. */
export const OPTIONS = [
  ...DAEMON_OPTIONS,
  ...TEND_OPTIONS,
  ...LOGGING_OPTIONS,
  ...OTHER_OPTIONS,
] as const;

/**
 * The help text.
 *
 * @returns The text.
 */
export function usage(): string {
  return `tend: run any program as a daemon and keep it running
usage: tend [OPTION]... [--] COMMAND [ARG]...

Daemon options:
${describeOptions(DAEMON_OPTIONS)}${describeOptions(TEND_OPTIONS)}
Logging options:
${describeOptions(LOGGING_OPTIONS)}\
  MODULE is one of: ${MODULES.join(", ")}
  DESTINATION is one of: ${DESTINATIONS.join(", ")}
  LEVEL is one of: ${LEVELS.join(", ")}

Other options:
${describeOptions(OTHER_OPTIONS)}
RUNDIR is ${describe(rundir)} (TEND_RUNDIR).
LOGDIR is ${describe(logdir)} (TEND_LOGDIR).

Exit status: COMMAND's own (128 + N when signal N killed it); 1 when tend
failed, 2 for wrong usage, 126 when COMMAND may not be executed, 127 when it
is not there. With --detach, 0 when COMMAND runs.
`;
}
