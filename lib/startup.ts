/**
 * Forking a child and hearing whether it has started. Port of that part of
 * daemon-unix.c.
 *
 * The child has the write end of a pipe. One byte in it means ready. Its end
 * without a byte means ready too when the child has become another program,
 * for the pipe is closed on exec; else the child has ended.
 *
 * @module
 */
import { close, pipe2, read, writeFully } from "../ffi/file.ts";
import { fork } from "../ffi/fork.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { hasExeced, kill, waitpid } from "../ffi/process.ts";
import { readSignalfd } from "../ffi/signal.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import { waitReadable } from "../ffi/wait.ts";
import { exit, fatalSignalFork } from "./fatal_signal.ts";
import { processStatusMsg } from "./process_status.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** Which of the two processes this is after a fork for start-up. */
export type StartupFork =
  /** `startupFd` tells when the child is ready. */
  | {
    readonly role: "parent";
    readonly pid: number;
    readonly startupFd: number;
  }
  /** `notifyFd` is to be handed to {@linkcode forkNotifyStartup}. */
  | { readonly role: "child"; readonly notifyFd: number };

/** How a start-up came out. */
export type Startup =
  | { readonly kind: "ready" }
  | { readonly kind: "ended"; readonly status: WaitStatus };

/** What {@linkcode forkAndWaitForStartup} says. */
export type StartedFork =
  | { readonly role: "parent"; readonly pid: number; readonly startup: Startup }
  | { readonly role: "child"; readonly notifyFd: number };

/**
 * Forks, and forgets in the parent what the child has to do when it ends. Port
 * of `fork_and_clean_up()`.
 *
 * @returns Which process this is.
 * @throws {LibcError} When `fork()` fails.
 */
export function forkAndCleanUp(): ReturnType<typeof fork> {
  const forked = fork();
  if (forked.role === "parent") fatalSignalFork();
  return forked;
}

/**
 * Forks a child that will say when it has started: the first half of
 * `fork_and_wait_for_startup()`.
 *
 * @returns Which process this is.
 * @throws {LibcError} When the pipe cannot be made or `fork()` fails.
 */
export function forkForStartup(): StartupFork {
  const { readFd, writeFd } = pipe2();
  let forked: ReturnType<typeof fork>;
  try {
    forked = forkAndCleanUp();
  } catch (error) {
    close(readFd);
    close(writeFd);
    throw error;
  }
  if (forked.role === "child") {
    close(readFd);
    return { role: "child", notifyFd: writeFd };
  }
  // Before anybody reads: while our own copy of the write end is open, a child
  // that dies leaves no end of file behind, and we would wait for ever.
  close(writeFd);
  return { role: "parent", pid: forked.pid, startupFd: readFd };
}

/**
 * Reads what a child says of its start-up: the second half of
 * `fork_and_wait_for_startup()`. Waits when it has said nothing yet.
 *
 * @param pid The child. When it has failed it is waited for.
 * @param startupFd From {@linkcode forkForStartup}; closed afterwards.
 * @returns How the start-up came out.
 * @throws {LibcError} When reading or waiting fails.
 */
export function readStartup(pid: number, startupFd: number): Startup {
  const bytes = read(startupFd, new Uint8Array(1));
  close(startupFd);
  if (bytes === 1 || hasExeced(pid)) return { kind: "ready" };
  return { kind: "ended", status: waitpid(pid) };
}

/**
 * Forks; the parent waits until the child has called
 * {@linkcode forkNotifyStartup}, has become another program, or has ended. Port
 * of `fork_and_wait_for_startup()`, which leaves the status of a killed child
 * to a stale variable of its caller. We return it.
 *
 * @param signalFd Signals that the parent passes on to the child meanwhile, a
 * descriptor of `signalfd()`.
 * @returns Which process this is, and in the parent how the start came out.
 * @throws {LibcError} When the pipe cannot be made or `fork()` fails.
 */
export function forkAndWaitForStartup(signalFd: number): StartedFork {
  const forked = forkForStartup();
  if (forked.role === "child") return forked;
  const { pid, startupFd } = forked;
  while (!waitReadable([startupFd, signalFd]).includes(startupFd)) {
    const received = readSignalfd(signalFd);
    if (received !== undefined) passOn(received.signal, pid);
  }
  return { role: "parent", pid, startup: readStartup(pid, startupFd) };
}

/**
 * Sends a signal on to a child. One that has ended meanwhile is no error: the
 * caller is about to hear of that.
 *
 * @param signal The signal.
 * @param pid The child, which has not been waited for: the pid is still its.
 */
export function passOn(signal: number, pid: number): void {
  try {
    kill(pid, signal);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ESRCH) return;
    vlog.warn(`pid ${pid}: ${error.message}, signal ${signal} not passed on`);
  }
}

/**
 * Tells the parent that this child has started. Port of
 * `fork_notify_startup()`.
 *
 * @param notifyFd From the fork; closed afterwards.
 */
export function forkNotifyStartup(notifyFd: number): void {
  try {
    writeFully(notifyFd, new Uint8Array(1));
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    // A parent that was killed cannot be told, and is no reason to stop.
    if (error.errno !== Errno.EPIPE) {
      vlog.fatal(`pipe write failed (${error.reason})`);
    }
    vlog.warn("the process that waited for the start-up is gone");
  }
  close(notifyFd);
}

/**
 * Says that a child died before it was ready, and gives the exit status with
 * which its parent ends: the child's own, or 1 when it has none.
 *
 * @param status How it ended.
 * @param consequence What cannot be done now.
 * @returns Never; the process has ended.
 */
export function startupFailed(status: WaitStatus, consequence: string): never {
  // The child has said why, on the stderr that we share. Its status is conveyed
  // as a courtesy.
  if (status.kind === "exited" && status.code !== 0) {
    exit(status.code);
  }
  vlog.err(
    `fork child died before signaling startup (${processStatusMsg(status)})`,
  );
  vlog.fatal(consequence);
}
