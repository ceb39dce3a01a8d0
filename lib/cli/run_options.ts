/**
 * The options of running a command.
 *
 * @module
 */
import { DAEMON_OPTIONS } from "../daemon_options.ts";
import type { GivenOption, Option } from "../options.ts";

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
    help: "set logging levels",
  },
  {
    name: "log-file",
    value: "optional",
    placeholder: "FILE",
    help: "log to FILE (default: LOGDIR/NAME.log)",
  },
] as const satisfies readonly Option[];

const OPTIONS = [
  ...DAEMON_OPTIONS,
  ...TEND_OPTIONS,
  ...LOGGING_OPTIONS,
] as const;

/** What one of them is called. */
export type RunOptionName = typeof OPTIONS[number]["name"];

/** One of them as it was given. */
export type RunOption = GivenOption<RunOptionName>;

/** The options, as the help has them. */
export const RUN_OPTION_GROUPS = [
  { title: "Daemon options", options: [...DAEMON_OPTIONS, ...TEND_OPTIONS] },
  { title: "Logging options", options: LOGGING_OPTIONS },
] as const;
