/**
 * Becoming the command.
 *
 * @module
 */
import { setCloseOnExec } from "../../ffi/descriptor.ts";
import { toBytes } from "../../ffi/c_string.ts";
import { dup3, dupFrom } from "../../ffi/duplicate.ts";
import { environment, setenv, unsetenv } from "../../ffi/environment.ts";
import { execvp, readyToExec } from "../../ffi/exec.ts";
import { LibcError } from "../../ffi/libc.ts";
import { getpid, getppid } from "../../ffi/process.ts";
import { leaveProcessGroup } from "../../ffi/process_group.ts";
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
import { CommandError } from "./find_command.ts";

const vlog: Vlog = vlogModule("tend");

const STDERR = 2;

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
