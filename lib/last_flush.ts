/**
 * What a monitor that ends does with its loggers.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { endedChild, waitpid } from "../ffi/child.ts";
import { close } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { getpid } from "../ffi/process.ts";
import { readSignalfd, Signal } from "../ffi/signal.ts";
import { bootTime, waitReadable } from "../ffi/wait.ts";
import {
  ask,
  hasAnswered,
  loggerEnded,
  newQuestion,
  startLogger,
} from "./loggers.ts";
import type { Logger, MonitorState, OutputFile } from "./monitor_state.ts";
import { OutputError } from "./output_file.ts";
import { STOP_SIGNALS } from "./pass_on.ts";
import { requestOf } from "./request.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** So long a monitor that ends waits for what is on its way to a file. */
const PATIENCE_MS = 500;
/** The first process of a PID namespace takes all others with it. */
const FIRST_PROCESS = 1;
/** So often it has to be told to end while it waits. */
const STOPS = 2;

/**
 * Lets go of the loggers: each ends when nobody else has its pipe. First they
 * write what is in the pipes. One that has ended is followed by a last one for
 * that, however short a while it has lived.
 *
 * The first process of a PID namespace waits for as long as that takes, or until
 * it is told to end twice. Any other leaves to a logger what is not written soon,
 * and says so.
 *
 * @param state What the monitor knows. Of its loggers, those keep their pids
 * that have not written all.
 */
export function dropLoggers(state: MonitorState): void {
  const late = state.loggers.length === 0 ? [] : lastFlush(state);
  for (const { readFd, writeFd, ackFd } of state.loggers) {
    [readFd, writeFd, ackFd].filter((fd) => fd !== -1).forEach(close);
  }
  state.loggers = state.loggers.map((logger) => ({
    pid: late.includes(logger) ? logger.pid : 0,
    since: logger.since,
    readFd: -1,
    writeFd: -1,
    ackFd: -1,
    troubles: [],
  }));
}

/** @returns Those that have not written all. */
function lastFlush(state: MonitorState): Logger[] {
  const question = newQuestion();
  const last = new Set<Logger>();
  let asked: Logger[] = state.loggers.filter((logger) => logger.readFd !== -1);
  for (const logger of asked) if (logger.pid !== 0) ask(logger, question);
  let deadline = bootTime() + PATIENCE_MS;
  let stops = 0;
  for (;;) {
    // One that has been killed together with the daemon may end after it.
    reapAll(state);
    asked = asked.filter((logger) => {
      if (logger.pid !== 0) return true;
      if (last.has(logger) || !startLast(state, logger)) {
        return lose(state, logger);
      }
      last.add(logger);
      ask(logger, question);
      return true;
    });
    if (asked.length === 0) return [];
    const fds = [state.signalFd, ...asked.map(({ ackFd }) => ackFd)];
    const left = deadline === Infinity
      ? -1
      : Math.max(0, Math.ceil(deadline - bootTime()));
    if (waitReadable(fds, left) === undefined) {
      for (const logger of asked) warnOfLate(state, logger);
      if (getpid() !== FIRST_PROCESS) return asked;
      deadline = Infinity;
    }
    stops += newStops(state);
    if (deadline === Infinity && stops >= STOPS) return asked;
    asked = asked.filter((logger) => !hasAnswered(logger, question));
  }
}

/** Nobody else does any more. */
function reapAll(state: MonitorState): void {
  for (;;) {
    const pid = endedChild();
    if (pid === "running" || pid === "none") return;
    loggerEnded(state, pid, waitpid(pid));
  }
}

/** How often somebody has asked for the end since this was asked. */
function newStops({ signalFd }: MonitorState): number {
  for (let stops = 0;;) {
    const received = readSignalfd(signalFd);
    if (received === undefined) return stops;
    const request = requestOf(received);
    if (request?.signal === Signal.SIGKILL) return STOPS;
    const isStop = request?.kind === "stop" ||
      STOP_SIGNALS.includes(received.signal);
    if (isStop) stops++;
  }
}

/** @returns Whether it was started. */
function startLast(state: MonitorState, logger: Logger): boolean {
  const { logging } = state.command!.outputs!;
  try {
    startLogger(logger, fileOf(state, logger), logging!);
    return true;
  } catch (error) {
    const isOurs = error instanceof OutputError || error instanceof LibcError;
    if (!isOurs) throw error;
    vlog.err(error.message);
    return false;
  }
}

/** Says that what is in a logger's pipe is lost, if there is anything. */
function lose(state: MonitorState, logger: Logger): false {
  if (waitReadable([logger.readFd], 0) !== undefined) {
    const file = fromBytes(fileOf(state, logger).file);
    vlog.err(`output on its way to ${file} is lost`);
  }
  return false;
}

function warnOfLate(state: MonitorState, logger: Logger): void {
  const { pid } = logger;
  const file = fromBytes(fileOf(state, logger).file);
  vlog.warn(
    `output still on its way to ${file}: ` +
      (getpid() === FIRST_PROCESS
        ? `waiting for logger pid ${pid}, until told to end twice`
        : `logger pid ${pid} goes on`),
  );
}

function fileOf(
  { command, loggers }: MonitorState,
  logger: Logger,
): OutputFile {
  return command!.outputs!.files[loggers.indexOf(logger)]!;
}
