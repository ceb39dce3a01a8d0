/**
 * The options of running a command.
 *
 * @module
 */
import { DAEMON_OPTIONS } from "../daemon_options.ts";
import type { GivenOption, Option } from "../options.ts";
import { OUTPUT_OPTIONS } from "./output_options.ts";
import { SURROUNDINGS_OPTIONS } from "./surroundings_options.ts";
import { READY_OPTIONS } from "./ready_option.ts";
import { STOP_OPTIONS } from "./stop_options.ts";

/** The options of `tend` beyond those of every daemon. */
const TEND_OPTIONS = [
  {
    name: "exec",
    value: "none",
    help: "with --pidfile, leave no tend process behind;\n" +
      "the pidfile goes stale when COMMAND ends",
  },
  ...READY_OPTIONS,
  {
    name: "name",
    value: "required",
    placeholder: "NAME",
    help: "name of the pidfile and the log\n(default: COMMAND's base name)",
  },
] as const satisfies readonly Option[];

const RESTART_OPTIONS = [
  {
    name: "restart",
    value: "required",
    placeholder: "WHEN",
    help: "restart COMMAND on-error-signal (as --monitor),\n" +
      "on-failure (any signal, any status but 0), always\nor no",
  },
  {
    name: "restart-delay",
    value: "required",
    placeholder: "DURATION",
    help: "restarts are at least so far apart; the first is at\n" +
      "once (default: 10s)",
  },
  {
    name: "restart-max-delay",
    value: "required",
    placeholder: "DURATION",
    help: "twice as far each time, up to this\n" +
      "(default: the same all the time)",
  },
  {
    name: "restart-reset",
    value: "required",
    placeholder: "DURATION",
    help: "after running for so long COMMAND counts as healthy,\n" +
      "and delays begin anew (default: the delay in force)",
  },
  {
    name: "restart-limit",
    value: "required",
    placeholder: "N/DURATION",
    help: "give up after N ends within DURATION",
  },
  {
    name: "on-crash",
    value: "required",
    placeholder: "SCRIPT",
    help: "run this by sh at each crash, with TEND_NAME,\n" +
      "TEND_PID, TEND_END, TEND_UPTIME, TEND_CRASHES and\nTEND_STDERR",
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
  ...RESTART_OPTIONS,
  ...STOP_OPTIONS,
  ...SURROUNDINGS_OPTIONS,
  ...OUTPUT_OPTIONS,
  ...LOGGING_OPTIONS,
] as const;

/** What one of them is called. */
export type RunOptionName = typeof OPTIONS[number]["name"];

/** One of them as it was given. */
export type RunOption = GivenOption<RunOptionName>;

/** The options, as the help has them. */
export const RUN_OPTION_GROUPS = [
  { title: "Daemon options", options: [...DAEMON_OPTIONS, ...TEND_OPTIONS] },
  { title: "Restart options", options: RESTART_OPTIONS },
  { title: "Stop options", options: STOP_OPTIONS },
  { title: "What COMMAND finds", options: SURROUNDINGS_OPTIONS },
  { title: "What COMMAND writes", options: OUTPUT_OPTIONS },
  { title: "Logging options", options: LOGGING_OPTIONS },
] as const;
