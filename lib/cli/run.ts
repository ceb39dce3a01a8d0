/**
 * `tend [OPTION]... [--] COMMAND [ARG]...`: runs a command as a daemon.
 *
 * @module
 */
import { basename } from "@std/path/basename";
import { join } from "@std/path/join";
import { type CString, fromBytes, toBytes } from "../../ffi/c_string.ts";
import { cwdWasRemoved, sigpipeAtEntry } from "../../ffi/entry_note.ts";
import { absolutePath } from "../../ffi/file.ts";
import { LibcError } from "../../ffi/libc.ts";
import { threadCount } from "../../ffi/process.ts";
import { isIgnored, Signal } from "../../ffi/signal.ts";
import { daemonizeStart, resumeMonitor } from "../daemon.ts";
import type { DaemonPlan } from "../daemon_plan.ts";
import { parseSleepAfter } from "../daemon_options.ts";
import { logdir, makeDirectory } from "../dirs.ts";
import { dropRustHandlers, fatalSignalBlock } from "../fatal_signal.ts";
import type { MonitorState } from "../monitor_state.ts";
import { type GivenOption, UsageError } from "../options.ts";
import { makePidfileName, makeRundirFor } from "../pidfile.ts";
import { setLevels } from "../vlog_levels.ts";
import { setLogFile } from "../vlog_sinks.ts";
import { becomeCommand, findCommand } from "./command.ts";
import type { OPTIONS } from "./usage.ts";

/** An option of `tend` as it was given. */
export type TendOption = GivenOption<typeof OPTIONS[number]["name"]>;

/** What the options say, checked. */
interface Request {
  readonly flags: ReadonlySet<string>;
  readonly pidfileName: string;
  readonly pidfile: string | undefined;
  readonly logFile: CString | undefined;
  readonly sleepAfter: number | undefined;
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
  given: readonly TendOption[],
  argv: readonly [Uint8Array, ...Uint8Array[]],
): never {
  if (cwdWasRemoved()) {
    throw new Error(
      "the working directory was removed: change to one that is there",
    );
  }
  const request = readOptions(given, basename(fromBytes(argv[0])));
  const { flags, pidfile, logFile } = request;
  const detach = flags.has("detach");
  const chdir = !flags.has("no-chdir");
  const command = {
    ...findCommand(argv, detach && chdir),
    ignored: ignoredByCaller(),
  };
  const plan: DaemonPlan = {
    detach,
    chdir,
    monitorLeaves: true,
    pidfile,
    overwritePidfile: flags.has("overwrite-pidfile"),
    supervise: flags.has("monitor")
      ? "on-error-signal"
      : pidfile !== undefined && !flags.has("exec")
      ? "no"
      : undefined,
    sleepAfter: request.sleepAfter,
    command,
  };
  if ((plan.detach || plan.supervise !== undefined) && threadCount() > 1) {
    throw new Error(
      "this process has several threads and cannot fork: " +
        "use the executable that `deno task build` makes",
    );
  }
  dropRustHandlers();
  if (logFile !== undefined) openLog(logFile);
  if (flags.has("pidfile")) makeRundirFor(request.pidfileName);
  const daemon = daemonizeStart(plan, fatalSignalBlock);
  becomeCommand(command, plan, daemon);
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
  given: readonly TendOption[],
  commandName: string,
): Request {
  const flags = new Set<string>(given.map(({ name }) => name));
  const last = (name: TendOption["name"]) =>
    given.findLast((option) => option.name === name)?.value;
  for (const { name, value } of given) {
    if (value === "" && name !== "verbose") {
      throw new UsageError(`option --${name} has an empty value`);
    }
    if (name === "verbose") setVerbosity(value ?? "");
  }
  if (flags.has("overwrite-pidfile") && !flags.has("pidfile")) {
    throw new UsageError("option --overwrite-pidfile needs --pidfile");
  }
  if (flags.has("exec") && flags.has("monitor")) {
    throw new UsageError(
      "options --exec and --monitor exclude each other: a monitor stays",
    );
  }
  const name = last("name") ?? commandName;
  if (flags.has("name")) checkName(name);
  const pidfileName = last("pidfile") ?? `${name}.pid`;
  return {
    flags,
    pidfileName,
    pidfile: flags.has("pidfile") ? makePidfileName(pidfileName) : undefined,
    logFile: flags.has("log-file")
      // The working directory is another by the time of the first message.
      ? absolutePath(last("log-file") ?? defaultLogFile(name))
      : undefined,
    sleepAfter: parseSleepAfter(last("sleep-after")),
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

function defaultLogFile(name: string): string {
  makeDirectory(logdir());
  return join(logdir(), `${name}.log`);
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
