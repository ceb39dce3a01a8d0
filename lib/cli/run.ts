/**
 * `tend [OPTION]... [--] COMMAND [ARG]...`: runs a command as a daemon.
 *
 * @module
 */
import { basename } from "@std/path/basename";
import { join } from "@std/path/join";
import { type CString, fromBytes, toBytes } from "../../ffi/c_string.ts";
import { cwdWasRemoved, sigpipeAtEntry } from "../../ffi/entry_note.ts";
import { LibcError } from "../../ffi/libc.ts";
import { threadCount } from "../../ffi/process.ts";
import { isIgnored, Signal } from "../../ffi/signal.ts";
import { absolutePath } from "../../ffi/working_directory.ts";
import { daemonizeStart, resumeMonitor } from "../daemon.ts";
import type { DaemonPlan } from "../daemon_plan.ts";
import { parseSleepAfter } from "../daemon_options.ts";
import { logdir, makeDirectory } from "../dirs.ts";
import { dropRustHandlers, fatalSignalBlock } from "../fatal_signal.ts";
import type { MonitorState, Outputs, Readiness } from "../monitor_state.ts";
import { lastValue, UsageError } from "../options.ts";
import { checkOutputs } from "../output_file.ts";
import { makePidfileName, makeRundirFor } from "../pidfile.ts";
import { takeServiceManager } from "../service_manager.ts";
import type { Surroundings } from "../surroundings.ts";
import { checkLogFilePlace, checkPidfilePlace } from "../unsafe_place.ts";
import { setLevels } from "../vlog_levels.ts";
import { setLogFile } from "../vlog_sinks.ts";
import { becomeCommand } from "./command.ts";
import { findCommand } from "./find_command.ts";
import { readOutputs, refuseOverlaps } from "./output_options.ts";
import { rehearse } from "./rehearsal.ts";
import { parseReady, parseWatchdog } from "./ready_option.ts";
import {
  RUN_OPTION_GROUPS,
  type RunOption,
  type RunOptionName,
} from "./run_options.ts";
import { readRestarting, type Restarting } from "./restart_options.ts";
import { readStopping, type Stopping } from "./stop_options.ts";
import { keptFds, searchIn, surroundingsOf } from "./surroundings_options.ts";
import type { Verb } from "./verb.ts";

/** `tend run`, and tend without a verb. */
export const runVerb: Verb<RunOptionName> = {
  name: "run",
  summary: "run a command, as tend without a verb does",
  description:
    `Runs COMMAND: in the background with --detach, in a file that names it with
--pidfile, and again when it crashes with --monitor. 'tend [OPTION]... COMMAND'
says the same, unless COMMAND has the name of a verb. The first word that is
no option, or what follows --, is COMMAND; all behind it is COMMAND's own.`,
  groups: RUN_OPTION_GROUPS,
  operands: {
    synopsis: "[--] COMMAND [ARG]...",
    placeholder: "COMMAND",
    least: 1,
    most: Infinity,
    isCommand: true,
  },
  statuses: [
    [
      "COMMAND's own",
      "it ran in the foreground and ended, or failed\nto start",
    ],
    ["128 + N", "signal N killed COMMAND in the foreground"],
    ["0", "with --detach: COMMAND runs, and is ready"],
    [
      "1",
      "tend failed, or COMMAND was killed at its start, or\nwas not ready in time",
    ],
    ["2", "wrong usage"],
    [
      "4",
      "tend cannot begin: too few descriptors, or no /proc",
    ],
    ["126", "COMMAND may not be executed"],
    ["127", "COMMAND is not there"],
  ],
  examples: [
    [
      "tend run --detach --monitor --pidfile=web.pid -- nginx -g 'daemon off;'",
      "runs nginx in the background, and again when it crashes",
    ],
    [
      "tend run --monitor -- ./job",
      "runs a job in the foreground, as in a container",
    ],
    [
      "tend run --detach --pidfile=db.pid --ready=notify -- redis-server db.conf",
      "returns when the database says that it works",
    ],
    ["tend -- man tend", "runs a command that is called as a verb is"],
  ],
  run: ({ given, operands }) => {
    const [command, ...args] = operands;
    if (command === undefined || command.length === 0) {
      throw new UsageError("COMMAND is empty");
    }
    return run(given, [command, ...args]);
  },
};

/** What the options say, checked. */
interface Request {
  readonly name: string;
  readonly flags: ReadonlySet<string>;
  readonly pidfileName: string;
  readonly pidfile: string | undefined;
  readonly logFile: Uint8Array | undefined;
  readonly isDefaultLog: boolean;
  readonly sleepAfter: number | undefined;
  readonly restarting: Restarting;
  readonly stopping: Stopping;
  readonly surroundings: Surroundings | undefined;
  readonly outputs: Outputs | undefined;
  readonly keepFds: readonly number[];
  readonly ready: Readiness | undefined;
  readonly watchdog: number | undefined;
}

/**
 * Runs a command as the options want it. The process ends in here, or becomes
 * the command.
 *
 * @param given The options.
 * @param argv The command's name and its arguments.
 * @throws {UsageError} When options do not go together or a value is bad.
 * @throws {CommandError} When the command cannot be run.
 * @throws {Error} When a directory or the log cannot be had, or the working
 * directory is gone.
 */
export function run(
  given: readonly RunOption[],
  argv: readonly [Uint8Array, ...Uint8Array[]],
): never {
  if (cwdWasRemoved()) {
    throw new Error(
      "the working directory was removed: change to one that is there",
    );
  }
  const request = readOptions(given, basename(fromBytes(argv[0])));
  const { flags, pidfile, logFile, restarting, stopping, ready, watchdog } =
    request;
  const detach = flags.has("detach");
  const chdir = !flags.has("no-chdir");
  const { surroundings, outputs } = request;
  const command = {
    ...findCommand(
      argv,
      detach && chdir,
      surroundings && searchIn(surroundings),
    ),
    ignored: ignoredByCaller(),
    surroundings,
    outputs,
  };
  const staysToWatch = ready !== undefined || watchdog !== undefined ||
    outputs?.logging !== undefined || stopping.isGiven ||
    (pidfile !== undefined && !flags.has("exec"));
  const supervise = restarting.policy ?? (staysToWatch ? "no" : undefined);
  const plan: DaemonPlan = {
    name: request.name,
    detach,
    chdir,
    monitorLeaves: true,
    pidfile,
    overwritePidfile: flags.has("overwrite-pidfile"),
    supervise,
    throttle: restarting.throttle,
    onCrash: restarting.onCrash,
    killMode: stopping.killMode,
    stopSignal: stopping.stopSignal,
    stopTimeout: stopping.stopTimeout,
    ready,
    watchdog,
    // Any other process of ours is none that the manager would believe.
    managerSocket: supervise !== undefined && !detach
      ? takeServiceManager()
      : undefined,
    sleepAfter: request.sleepAfter,
    keepFds: request.keepFds,
    command,
  };
  if ((plan.detach || plan.supervise !== undefined) && threadCount() > 1) {
    throw new Error(
      "this process has several threads and cannot fork: " +
        "use the executable that `deno task build` makes",
    );
  }
  if (surroundings !== undefined) prepareFor(surroundings, plan, logFile);
  if (outputs !== undefined) checkOutputs(outputs);
  dropRustHandlers();
  if (logFile !== undefined) {
    if (request.isDefaultLog) makeDirectory(logdir());
    openLog(logFile);
  }
  if (flags.has("pidfile")) makeRundirFor(request.pidfileName);
  const daemon = daemonizeStart(plan, fatalSignalBlock);
  becomeCommand(command, plan, daemon);
}

/**
 * Finds out what is wrong with what a command is to find, while nothing is
 * written yet. Where no process of tend's stays there is none to try it in, and
 * the command's own finds it.
 */
function prepareFor(
  surroundings: Surroundings,
  { detach, supervise, pidfile, command }: DaemonPlan,
  logFile: CString | undefined,
): void {
  const { identity } = surroundings;
  if (identity !== undefined && identity.uid !== 0) {
    if (pidfile !== undefined) checkPidfilePlace(pidfile, identity.uid);
    if (logFile !== undefined) checkLogFilePlace(logFile);
    for (const { file } of command?.outputs?.files ?? []) {
      checkLogFilePlace(file);
    }
  }
  const isAlone = !detach && supervise === undefined && pidfile === undefined;
  if (!isAlone && command !== undefined) rehearse(surroundings, command);
}

/**
 * Goes on as a monitor that has slept.
 *
 * @param state What the monitor knows.
 * @throws {Error} When it is not the monitor of a command.
 */
export function resume(state: MonitorState): never {
  const { command } = state;
  if (command === undefined) throw new Error("there is no command to monitor");
  const daemon = resumeMonitor(state, fatalSignalBlock);
  becomeCommand(command, state, daemon);
}

/**
 * The signals that the caller had ignored, of those that are not as they were:
 * SIGCHLD we are about to change, SIGPIPE Deno ignores from its first moment.
 */
function ignoredByCaller(): number[] {
  const ignored: number[] = [];
  if (isIgnored(Signal.SIGCHLD)) ignored.push(Signal.SIGCHLD);
  if (sigpipeAtEntry() === "ignored") ignored.push(Signal.SIGPIPE);
  return ignored;
}

function readOptions(
  given: readonly RunOption[],
  commandName: string,
): Request {
  const flags = new Set<string>(given.map(({ name }) => name));
  const last = (name: RunOptionName) => lastValue(given, name);
  for (const { name, value } of given) {
    if (value === "" && name !== "verbose") {
      throw new UsageError(`option --${name} has an empty value`);
    }
    if (name === "verbose") setVerbosity(value ?? "");
  }
  if (flags.has("overwrite-pidfile") && !flags.has("pidfile")) {
    throw new UsageError("option --overwrite-pidfile needs --pidfile");
  }
  const restarting = readRestarting(given);
  if (flags.has("exec") && restarting.policy !== undefined) {
    const other = flags.has("monitor") ? "monitor" : "restart";
    throw new UsageError(
      `options --exec and --${other} exclude each other: a monitor stays`,
    );
  }
  const ready = parseReady(last("ready"), last("ready-timeout"));
  if (flags.has("exec") && ready !== undefined) {
    throw new UsageError(
      `options --exec and --ready=${ready.how} exclude each other: a tend ` +
        "stays, to see whether COMMAND is ready",
    );
  }
  const watchdog = parseWatchdog(last("watchdog"));
  if (flags.has("exec") && watchdog !== undefined) {
    throw new UsageError(
      "options --exec and --watchdog exclude each other: a tend stays, to see " +
        "whether COMMAND works",
    );
  }
  const outputs = readOutputs(given);
  if (flags.has("exec") && outputs?.logging !== undefined) {
    const other = flags.has("log-rotate") ? "log-rotate" : "log-timestamps";
    throw new UsageError(
      `options --exec and --${other} exclude each other: a tend stays, to ` +
        "look after the process that writes the log",
    );
  }
  const name = last("name") ?? commandName;
  if (flags.has("name")) checkName(name);
  const pidfileName = last("pidfile") ?? `${name}.pid`;
  const logFile = flags.has("log-file")
    // The working directory is another by the time of the first message.
    ? absolutePath(last("log-file") ?? join(logdir(), `${name}.log`))
    : undefined;
  if (outputs !== undefined) refuseOverlaps(outputs, logFile);
  return {
    name,
    flags,
    pidfileName,
    pidfile: flags.has("pidfile") ? makePidfileName(pidfileName) : undefined,
    logFile,
    isDefaultLog: last("log-file") === undefined,
    sleepAfter: parseSleepAfter(last("sleep-after")),
    restarting,
    stopping: readStopping(given, flags.has("detach")),
    surroundings: surroundingsOf(given),
    outputs,
    keepFds: keptFds(given),
    ready,
    watchdog,
  };
}

function checkName(name: string): void {
  if (name.includes("/") || name === "." || name === "..") {
    throw new UsageError(`option --name: ${name} is not a file name`);
  }
}

function setVerbosity(spec: string): void {
  try {
    setLevels(spec);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`option --verbose=${spec}: ${error.message}`);
  }
}

function openLog(logFile: CString): void {
  try {
    setLogFile(logFile);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    const name = fromBytes(toBytes(logFile));
    throw new Error(`${name}: ${error.message}`, { cause: error });
  }
}
