/**
 * Finding the command and becoming it.
 *
 * @module
 */
import {
  close,
  dup3,
  dupFrom,
  read,
  setCloseOnExec,
} from "../../ffi/descriptor.ts";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import {
  environment,
  getenv,
  setenv,
  unsetenv,
} from "../../ffi/environment.ts";
import {
  absolutePath,
  checkExecutable,
  isDirectory,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDONLY,
  open,
  SLASH,
  statFile,
} from "../../ffi/file.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import {
  execvp,
  getpid,
  getppid,
  leaveProcessGroup,
  readyToExec,
} from "../../ffi/process.ts";
import { setDisposition, setSignalMask } from "../../ffi/signal.ts";
import type { Daemon } from "../daemon.ts";
import { DETACH_FAILED } from "../detach.ts";
import { fatalSignalRun, removeFileToUnlink } from "../fatal_signal.ts";
import { CHANGED_SIGNALS, type Command } from "../monitor_state.ts";
import {
  type OpenOutput,
  openOutput,
  OutputError,
  putInPlace,
} from "../output_file.ts";
import type { ReadyMeans } from "../readiness.ts";
import { daemonizePostDetach, type Detachment } from "../post_detach.ts";
import {
  enterSurroundings,
  environmentIn,
  nameOf,
  setLimits,
  type Surroundings,
  SurroundingsError,
} from "../surroundings.ts";
import { type Vlog, vlogModule } from "../vlog.ts";
import { holdLogFile, keepConsole, moveConsole } from "../vlog_sinks.ts";

const vlog: Vlog = vlogModule("tend");

const COLON = ":".charCodeAt(0);
/** Where a shell looks without PATH; what glibc's `confstr()` says. */
const DEFAULT_PATH = "/bin:/usr/bin";

/** As much of a script as the kernel looks at. */
const SCRIPT_HEAD = 256;

const STDERR = 2;

/** A command that cannot be run. */
export class CommandError extends Error {
  /** The class's name. */
  override readonly name = "CommandError";
  /** The command's name. */
  readonly command: string;
  /** The exit status, as shells have it: 127 not found, else 126. */
  readonly status: number;

  /**
   * @param command The command.
   * @param error What failed.
   */
  constructor(command: Uint8Array, error: LibcError) {
    super(`${fromBytes(command)}: exec failed (${error.reason})`);
    this.command = fromBytes(command);
    this.status = error.errno === Errno.ENOENT ? 127 : 126;
  }
}

/** Where a command is looked for. */
export interface Search {
  /** `PATH`, for a name without a slash. */
  readonly path: Uint8Array | undefined;
  /** What relative names are below; without it, the working directory. */
  readonly directory?: Uint8Array | undefined;
}

/**
 * Looks a command up, before anything is forked or written for it.
 *
 * @param argv The command's name and its arguments.
 * @param absolute Whether the working directory will be another.
 * @param search Where it is looked for.
 * @returns The command.
 * @throws {CommandError} When it is not there or may not be executed.
 */
export function findCommand(
  argv: readonly [Uint8Array, ...Uint8Array[]],
  absolute: boolean,
  { path, directory }: Search = { path: getenv("PATH") },
): Pick<Command, "path" | "argv"> {
  const [name] = argv;
  const isPath = name.includes(SLASH);
  const candidates = isPath ? [name] : searchPath(name, path);
  let denied: LibcError | undefined;
  for (const candidate of candidates) {
    try {
      const isBelow = directory !== undefined && candidate[0] !== SLASH;
      const path = isBelow
        ? concat(directory, Uint8Array.of(SLASH), candidate)
        : absolute
        ? absolutePath(candidate)
        : candidate;
      checkCommand(path);
      return { path, argv };
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      // As execvp() has it: one that may not be executed counts when no other
      // is found.
      const isMissing = error.errno === Errno.ENOENT ||
        error.errno === Errno.ENOTDIR;
      if (isPath || !isMissing) denied ??= error;
    }
  }
  throw new CommandError(name, denied ?? new LibcError("exec", Errno.ENOENT));
}

/**
 * Checks what can be checked of an exec without making it.
 *
 * @param path The file.
 * @throws {LibcError} When it would fail.
 */
export function checkCommand(path: Uint8Array): void {
  if (isDirectory(statFile(path))) throw new LibcError("exec", Errno.EACCES);
  checkExecutable(path);
  const interpreter = interpreterOf(path);
  if (interpreter !== undefined) checkExecutable(interpreter);
}

/** The program in the first line of a script; `undefined` of anything else. */
function interpreterOf(path: Uint8Array): Uint8Array | undefined {
  const head = new Uint8Array(SCRIPT_HEAD);
  let length: number;
  try {
    const fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    try {
      length = read(fd, head);
    } finally {
      close(fd);
    }
  } catch (error) {
    // A program may be executable and not readable.
    if (error instanceof LibcError) return undefined;
    throw error;
  }
  const line = String.fromCharCode(...head.subarray(0, length)).split("\n")[0]!;
  const interpreter = /^#![ \t]*(\/[^ \t]+)/.exec(line)?.[1];
  return interpreter === undefined
    ? undefined
    : Uint8Array.from(interpreter, (character) => character.charCodeAt(0));
}

function searchPath(
  name: Uint8Array,
  path: Uint8Array = toBytes(DEFAULT_PATH),
): Uint8Array[] {
  if (name.length === 0) return [];
  return splitAt(COLON, path).map((directory) =>
    directory.length === 0
      ? concat(toBytes("./"), name)
      : concat(directory, Uint8Array.of(SLASH), name)
  );
}

function splitAt(separator: number, bytes: Uint8Array): Uint8Array[] {
  const end = bytes.indexOf(separator);
  return end === -1
    ? [bytes]
    : [bytes.subarray(0, end), ...splitAt(separator, bytes.subarray(end + 1))];
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let length = 0;
  for (const part of parts) {
    whole.set(part, length);
    length += part.length;
  }
  return whole;
}

/**
 * Becomes the command, which finds what it would have found when its caller
 * had started it. Ends the process with 126 or 127 when it cannot.
 *
 * @param command The command.
 * @param how Whether and how it detaches, and what its pidfile is.
 * @param daemon What `daemonizeStart()` returned.
 * @returns Never; this process is the command then.
 */
export function becomeCommand(
  command: Command,
  how: Detachment & { readonly pidfile: string | undefined },
  daemon: Daemon,
): never {
  const { surroundings } = command;
  try {
    const failure = daemon.isRestart ? undefined : daemonizePostDetach(how);
    if (failure !== undefined) {
      vlog.fatal(`${DETACH_FAILED}: ${failure.message}`);
    }
    const outputs = openOutputs(command, daemon);
    if (daemon.pidfileFd !== undefined) setCloseOnExec(daemon.pidfileFd, false);
    for (const signal of CHANGED_SIGNALS) {
      const ignored = command.ignored.includes(signal);
      setDisposition(signal, ignored ? "ignore" : "default");
    }
    // Whatever else the command's environment is to be.
    const ours = variablesOf(daemon.means);
    for (const [name, value] of Object.entries(ours)) {
      if (value === undefined) unsetenv(name);
      else setenv(name, value);
    }
    let exec: () => never = () => execvp(command.path, command.argv);
    if (surroundings !== undefined) {
      const env = environmentIn(
        withVariables(surroundings, ours),
        environment(),
      );
      exec = readyToExec(command.path, command.argv, env);
      leaveFilesBehind(surroundings, how.pidfile, daemon);
      enterSurroundings(surroundings);
    }
    // What has come since the fork: the pidfile goes and we die of it. What
    // comes after this look stays pending until the next line, and kills us
    // there as it would kill the command; the supervisor removes the pidfile.
    fatalSignalRun();
    // Killed before this, whoever would look after the command has failed in
    // the eyes of its caller: nothing may run then.
    if (daemon.parent !== undefined && getppid() !== daemon.parent) {
      vlog.fatal(`${DETACH_FAILED}: pid ${daemon.parent} is gone`);
    }
    // In the foreground it has its caller's, for Ctrl-C and job control.
    if (how.detach) leaveProcessGroup();
    give(daemon, outputs);
    // Last: a low limit would hinder us too.
    if (surroundings !== undefined) setLimits(surroundings);
    setSignalMask([]);
    return exec();
  } catch (error) {
    if (error instanceof SurroundingsError || error instanceof OutputError) {
      vlog.fatal(error.message);
    }
    if (!(error instanceof LibcError)) throw error;
    const { message, status } = new CommandError(command.argv[0]!, error);
    vlog.fatal(message, status);
  }
}

/** Variables with their values; without one, a variable is not set. */
type Variables = Readonly<Record<string, string | undefined>>;

/**
 * What tells a command where to say something of itself. One that has a place of
 * ours has nothing to say to a service manager of its caller's.
 */
function variablesOf({ notifySocket, watchdog }: ReadyMeans): Variables {
  if (notifySocket === undefined) return {};
  const isWatched = watchdog !== undefined;
  return {
    NOTIFY_SOCKET: notifySocket,
    WATCHDOG_USEC: isWatched ? `${Math.round(watchdog * 1000)}` : undefined,
    // Not for those that it starts, and that may have the same library.
    WATCHDOG_PID: isWatched ? `${getpid()}` : undefined,
  };
}

function withVariables(
  surroundings: Surroundings,
  variables: Variables,
): Surroundings {
  const kept = surroundings.env
    .filter((entry) => !Object.hasOwn(variables, nameOf(entry)));
  const ours = Object.entries(variables)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => toBytes(`${name}=${value}`));
  return { ...surroundings, env: [...kept, ...ours] };
}

/**
 * Gets ready to be somebody who may neither open tend's log, by right or by
 * limit, nor remove its pidfile. The supervisor, where there is one, removes
 * that in any case.
 */
function leaveFilesBehind(
  { identity }: Surroundings,
  pidfile: string | undefined,
  { parent }: Daemon,
): void {
  holdLogFile();
  if (identity === undefined) return;
  if (pidfile !== undefined && parent !== undefined) {
    removeFileToUnlink(pidfile);
  }
}

/** Before the process is another user's, who may not have the right to. */
function openOutputs(
  { outputs }: Command,
  { means }: Daemon,
): OpenOutput[] {
  return outputs?.files.map((output, i) => ({
    streams: output.streams,
    fd: means.outputFds?.[i] ?? openOutput(output),
  })) ?? [];
}

/** Gives the command what it is to have beyond what its caller has. */
function give(
  { notifyFd, means }: Daemon,
  outputs: readonly OpenOutput[],
): void {
  const { pipe, stderrFd } = means;
  if (outputs.length > 0) {
    // What is said if the exec fails is for our caller.
    keepConsole();
    putInPlace(outputs);
  }
  if (stderrFd !== undefined) dup3(stderrFd, STDERR, 0);
  if (pipe === undefined) return;
  const { fd, number } = pipe;
  // What has the number by now is closed. Two things must not be: our words if
  // the exec fails, and what tells our parent of it.
  moveConsole(number);
  if (notifyFd === number) dupFrom(notifyFd, number + 1, true);
  if (fd === number) setCloseOnExec(fd, false);
  else dup3(fd, number, 0);
}
