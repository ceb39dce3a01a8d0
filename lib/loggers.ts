/**
 * The loggers of a command: processes of a few KiB, each of which writes to a
 * file what comes out of a pipe, rotates that file or puts the time before each
 * line (`ffi/logger.ts`).
 *
 * They are children of the monitor, which has both ends of their pipes all the
 * time. So nothing in a pipe is lost, and nobody dies of SIGPIPE, when a logger
 * is killed: the next one reads on. When the monitor is killed, the loggers go on
 * for as long as anybody writes. When it ends, they do too, with the last process
 * that has a pipe.
 *
 * What a logger had read and not written when it was killed is lost; it reads
 * nothing while it cannot write.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import {
  close,
  fchown,
  pipe2,
  readIfAny,
  setNonBlocking,
} from "../ffi/descriptor.ts";
import { readLink } from "../ffi/file.ts";
import { statFile } from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { getrlimit, RLIMITS, setrlimit } from "../ffi/limit.ts";
import { TAG_STEP } from "../ffi/log_trouble.ts";
import { loggerImage } from "../ffi/logger.ts";
import { pidfdOpen } from "../ffi/pidfd.ts";
import { getpid, sigqueue } from "../ffi/process.ts";
import { leaveProcessGroup } from "../ffi/process_group.ts";
import { LAST_SIGNAL, setSignalMask, Signal, signalfd } from "../ffi/signal.ts";
import { bootTime, eventfd, waitReadable } from "../ffi/wait.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import { openForAppending } from "./append_file.ts";
import { commandLineOf } from "./daemon_state.ts";
import type {
  Logger,
  Logging,
  MonitorState,
  OutputFile,
} from "./monitor_state.ts";
import { startNative } from "./native_child.ts";
import { optionOf, OutputError } from "./output_file.ts";
import { TROUBLE_SIGNAL } from "./request.ts";
import { processStatusMsg } from "./process_status.ts";
import { closeInheritedFds } from "./standard_fds.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** What a logger's program is called, which is in memory alone. */
const PROGRAM = "tend-logger";

/** A logger that has lived less long is not followed by another at once. */
const PAUSE_MS = 1_000;
/** So long a restart waits for what is on its way to a file. */
export const FLUSH_MS = 100;
/** All signals: what concerns a logger it reads, and nothing else may end it. */
const SIGNALS = Array.from({ length: LAST_SIGNAL }, (_, i) => i + 1);

/**
 * Starts the loggers of a command that has such and none yet.
 *
 * @param state What the monitor knows.
 * @returns What the command writes to; nothing where it has no loggers.
 * @throws {LibcError} When there is no descriptor to be had.
 * @throws {OutputError} When a logger cannot be started.
 */
export function startLoggers(
  state: MonitorState,
): { outputFds?: readonly number[] } {
  const { command } = state;
  const { files = [], logging } = command?.outputs ?? {};
  if (logging === undefined) return {};
  if (state.loggers.length === 0) {
    state.loggers = files.map(() => makePipe(state));
    state.loggers.forEach((logger, i) => {
      startLogger(logger, files[i]!, logging);
    });
  }
  return { outputFds: state.loggers.map(({ writeFd }) => writeFd) };
}

function makePipe({ command }: MonitorState): Logger {
  const { readFd, writeFd } = pipe2();
  setNonBlocking(readFd);
  // For programs that open `/dev/stdout`.
  const identity = command?.surroundings?.identity;
  if (identity !== undefined) fchown(writeFd, identity);
  return { pid: 0, since: 0, readFd, writeFd, ackFd: eventfd(), troubles: [] };
}

/**
 * Starts a logger.
 *
 * @param logger Its pipe.
 * @param output What it writes to.
 * @param logging What it does to that.
 * @throws {OutputError} When it cannot be started.
 */
export function startLogger(
  logger: Logger,
  output: OutputFile,
  { rotate, timestamps }: Logging,
): void {
  const { readFd, ackFd } = logger;
  const opened: number[] = [];
  logger.since = bootTime();
  // What holds still, it says again.
  logger.troubles = [];
  try {
    const signalFd = signalfd([Signal.SIGHUP, Signal.SIGUSR1]);
    opened.push(signalFd);
    const outputFd = openForAppending(output.file);
    opened.push(outputFd);
    const pidfd = pidfdIfAny();
    if (pidfd !== undefined) opened.push(pidfd);
    const fds = [readFd, ackFd, ...opened];
    logger.pid = startNative({
      name: PROGRAM,
      title: titleOf(output.file),
      image: loggerImage({
        name: "tend",
        input: readFd,
        output: outputFd,
        file: output.file,
        rotation: rotate,
        timestamps,
        signals: signalFd,
        ack: ackFd,
        listener: pidfd === undefined ? undefined : {
          pidfd,
          signal: TROUBLE_SIGNAL,
          tag: output.streams === "stderr" ? TAG_STEP : 0,
        },
      }),
      fds,
      nullFds: [0, 1, 2],
      prepare: () => {
        setSignalMask(SIGNALS);
        // Not the terminal's, nor anybody's who means the command and all that
        // belongs to it.
        leaveProcessGroup();
        closeInheritedFds();
        // What its caller allows itself is not for the sum of all that is logged.
        const { hard } = getrlimit(RLIMITS.fsize);
        setrlimit(RLIMITS.fsize, { soft: hard, hard });
      },
    });
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    const hint = error.errno === Errno.EACCES &&
        /^(memfd_create|fexecve)$/.test(error.call)
      ? ": programs in memory are forbidden here (sysctl vm.memfd_noexec)"
      : "";
    throw new OutputError(
      `option ${optionOf(output)}: its logger: ${error.message}${hint}`,
      { cause: error },
    );
  } finally {
    opened.forEach(close);
  }
}

function titleOf(file: Uint8Array): string {
  return `tend: logging to ${fromBytes(file)}`;
}

/**
 * Asks whether a process is one that logs to a file, where no monitor lives any
 * more to say so: by its program and its title, which none gets by chance.
 *
 * @param pid The process.
 * @param file The file.
 * @param uid Whose process it has to be: another user may call one the same.
 * @returns Whether it is.
 */
export function logsTo(pid: number, file: Uint8Array, uid: number): boolean {
  try {
    return statFile(`/proc/${pid}`).uid === uid &&
      readLink(`/proc/${pid}/exe`) === `/memfd:${PROGRAM} (deleted)` &&
      commandLineOf(pid) === titleOf(file);
  } catch (error) {
    if (error instanceof LibcError) return false;
    throw error;
  }
}

/** A logger tells us of trouble by it; an old kernel has none. */
function pidfdIfAny(): number | undefined {
  try {
    return pidfdOpen(getpid());
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ENOSYS) {
      return undefined;
    }
    throw error;
  }
}

/**
 * A child of the monitor's has ended. If it was a logger, another is due.
 *
 * @param state What the monitor knows.
 * @param pid The child, which was waited for.
 * @param status How it ended.
 */
export function loggerEnded(
  state: MonitorState,
  pid: number,
  status: WaitStatus,
): void {
  const index = state.loggers.findIndex((logger) => logger.pid === pid);
  const logger = state.loggers[index];
  if (logger === undefined) return;
  logger.pid = 0;
  const { file } = state.command!.outputs!.files[index]!;
  vlog.warn(
    `pid ${pid}, logging to ${fromBytes(file)}, died, ${
      processStatusMsg(status)
    }`,
  );
}

/**
 * Starts those loggers again that have ended, if it is time to.
 *
 * @param state What the monitor knows.
 * @returns In how many milliseconds it is time for the next; `undefined` when
 * all are there.
 */
export function reviveLoggers(state: MonitorState): number | undefined {
  const { files = [], logging } = state.command?.outputs ?? {};
  if (logging === undefined) return undefined;
  let next: number | undefined;
  state.loggers.forEach((logger, i) => {
    if (logger.pid !== 0) return;
    const pause = () => logger.since + PAUSE_MS - bootTime();
    if (pause() <= 0) {
      try {
        startLogger(logger, files[i]!, logging);
        return;
      } catch (error) {
        if (!(error instanceof OutputError)) throw error;
        vlog.err(`${error.message}, trying again in ${PAUSE_MS / 1000} s`);
      }
    }
    next = Math.max(1, Math.ceil(Math.min(next ?? Infinity, pause())));
  });
  return next;
}

/**
 * Has all written that is in the pipes by now.
 *
 * @param state What the monitor knows.
 * @param patience How long that may take, in milliseconds: a disk may be full.
 */
export function flushLoggers(
  { loggers }: Pick<MonitorState, "loggers">,
  patience: number,
): void {
  const deadline = bootTime() + patience;
  const question = newQuestion();
  let asked = loggers.filter((logger) =>
    logger.pid !== 0 && ask(logger, question)
  );
  while (asked.length > 0) {
    const fds = asked.map(({ ackFd }) => ackFd);
    const left = Math.ceil(deadline - bootTime());
    if (left <= 0 || waitReadable(fds, left) === undefined) return;
    asked = asked.filter((logger) => !hasAnswered(logger, question));
  }
}

/**
 * Makes a question for {@linkcode ask}.
 *
 * @returns A number that is no sum of others: an eventfd adds up what it is told
 * and nobody has read.
 */
export function newQuestion(): bigint {
  return 2n ** 52n + BigInt(Math.floor(bootTime() * 1000));
}

/**
 * Asks a logger to say when all is written that is in its pipe now. One that
 * cannot be asked holds up nobody, and writes what is in its pipe all the same.
 *
 * @param logger The logger, which was not waited for.
 * @param question A number that is asked for the first time.
 * @returns Whether it was asked.
 */
export function ask({ pid }: Logger, question: bigint): boolean {
  try {
    sigqueue(pid, Signal.SIGUSR1, question);
    return true;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.warn(
      `logger pid ${pid}: ${error.message}, ` +
        "what was written last may not be in its file yet",
    );
    return false;
  }
}

/**
 * Whether a logger has answered. The answer to a question that was asked before,
 * and given up, is none: that may have been read, and answered, before what is
 * to be written now was in the pipe.
 *
 * @param logger The logger.
 * @param question What it was asked.
 * @returns Whether it has.
 */
export function hasAnswered(logger: Logger, question: bigint): boolean {
  const answer = new BigUint64Array(1);
  const bytes = new Uint8Array(answer.buffer);
  if (readIfAny(logger.ackFd, bytes) === undefined) return false;
  if (answer[0] === question) return true;
  // While the older question was pending, this one was not sent.
  ask(logger, question);
  return false;
}
