/**
 * Forking a child and hearing whether it has started. Port of that part of
 * daemon-unix.c.
 *
 * The child has the write end of a pipe. One byte in it means ready. Its end
 * without a byte means ready too when the child has become another program,
 * for the pipe is closed on exec; else the child has ended. But a fresh image
 * may start commands before it takes the pipe for its own, and those have the
 * write end too: so whoever waits for the pipe waits for the child's end as
 * well.
 *
 * @module
 */
import { passOn, passOnPending } from "./pass_on.ts";
import { hasEnded, hasExeced, waitpid } from "../ffi/child.ts";
import {
  close,
  closesOnExec,
  pipe2,
  read,
  writeFully,
} from "../ffi/descriptor.ts";
import { fork } from "../ffi/fork.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { getpid } from "../ffi/process.ts";
import { Signal } from "../ffi/signal.ts";
import { posixSpawn } from "../ffi/spawn.ts";
import { spawnInNewSession } from "../ffi/spawn_in_session.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import { pidfdOpen } from "../ffi/pidfd.ts";
import { bootTime, waitReadable } from "../ffi/wait.ts";
import { chdir, getcwd } from "../ffi/working_directory.ts";
import { exit, fatalSignalFork } from "./fatal_signal.ts";
import { setOurPidfile } from "./pidfile_state.ts";
import { endOrphans } from "./orphans.ts";
import { processStatusMsg } from "./process_status.ts";
import type { SelfImage } from "./self_image.ts";
import { environmentWith, type StartStage } from "./stage.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import type { WaitingLine } from "./waiting_line.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/**
 * The lowest descriptor to hand to a fresh image: above what Deno uses. That
 * begins with room for a pidfile's then.
 */
const PASSED_FD = 100;

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
  | {
    readonly role: "parent";
    readonly pid: number;
    readonly startup: Startup;
    /** The last signal that asked for the end and was passed on, if any. */
    readonly stopSignal: number | undefined;
  }
  | { readonly role: "child"; readonly notifyFd: number };

/**
 * Forks, and leaves to the child what is to be done when it ends. Port of
 * `fork_and_clean_up()`.
 *
 * @returns Which process this is.
 * @throws {LibcError} When `fork()` fails.
 */
export function forkAndCleanUp(): ReturnType<typeof fork> {
  const forked = fork();
  // Files and hooks are the child's to see to from here on. A pidfile is not:
  // locks are not inherited.
  fatalSignalFork(forked.role);
  if (forked.role === "child") {
    setOurPidfile(undefined);
    // Deno remembers its parent's.
    Object.defineProperty(Deno, "pid", { value: getpid() });
  }
  return forked;
}

/** What a child is to be, and how it comes to be. */
export interface Child {
  /** Its role, for a fresh image. */
  readonly role: StartStage["role"];
  /** Whether a daemon before it has dumped core. */
  readonly coreDumped: boolean;
  /** The program to start again; `undefined` forks in place. */
  readonly image: SelfImage | undefined;
  /** Whether such a fresh image is put into a session that it does not lead. */
  readonly inNewSession?: boolean;
}

/**
 * Makes a child that will say when it has started: the first half of
 * `fork_and_wait_for_startup()`. Where the process cannot fork and go on, the
 * program is started again instead, and this returns in the parent alone.
 *
 * @param child What the child is to be.
 * @returns Which process this is.
 * @throws {LibcError} When the pipe cannot be made or there is no new process.
 */
export function forkForStartup(child: Child): StartupFork {
  const { readFd, writeFd } = pipe2();
  let forked: ReturnType<typeof fork>;
  try {
    forked = child.image === undefined
      ? forkAndCleanUp()
      : startAgain(child, child.image, writeFd);
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

/** Starts this program once more, from the top, as something else. */
function startAgain(
  { role, coreDumped, inNewSession }: Child,
  { path, argv }: SelfImage,
  writeFd: number,
): ReturnType<typeof fork> {
  leaveRemovedDirectory();
  const notifyFd = numberToPass();
  const env = environmentWith({ role, coreDumped, notifyFd });
  const pass = { fd: writeFd, as: notifyFd };
  const pid = inNewSession
    ? spawnInNewSession(path, argv, env, pass)
    // A monitor keeps our mask from its first moment, in all its threads. A
    // daemon begins with none.
    : posixSpawn(path, argv, {
      env,
      pass,
      unblockSignals: role === "daemon",
    });
  fatalSignalFork("parent");
  return { role: "parent", pid };
}

/** Deno does not start in one; no relative name means anything there any more. */
function leaveRemovedDirectory(): void {
  try {
    getcwd();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ENOENT) chdir("/");
  }
}

/**
 * A number that is free here, and so is nothing else's in a fresh image. It is
 * not taken here: in a process of several threads that could wait for room, see
 * `makeRoomFor()`. Should another thread take it meanwhile, the child gives up
 * its copy of that thread's descriptor, which is not for it.
 */
function numberToPass(): number {
  let fd = PASSED_FD;
  while (closesOnExec(fd) !== undefined) fd++;
  return fd;
}

/**
 * Reads what a child says of its start-up: the second half of
 * `fork_and_wait_for_startup()`. Waits when it has said nothing yet, and runs.
 *
 * @param pid The child. When it has failed it is waited for.
 * @param forkedInPlace Whether it may become another program: a fresh image
 * has done that already, and has to say that it is ready.
 * @param startupFd From {@linkcode forkForStartup}; closed afterwards.
 * @param whenFailed Called for a child that has failed, before it is waited for.
 * @returns How the start-up came out.
 * @throws {LibcError} When reading or waiting fails.
 */
export function readStartup(
  pid: number,
  startupFd: number,
  forkedInPlace: boolean,
  whenFailed?: (pid: number) => void,
): Startup {
  // First its end, then the pipe: what it wrote before is there to be read.
  const isSilent = hasEnded(pid) && waitReadable([startupFd], 0) === undefined;
  const bytes = isSilent ? 0 : read(startupFd, new Uint8Array(1));
  // Until then it may be asked once more.
  close(startupFd);
  if (bytes === 1 || (forkedInPlace && hasExeced(pid))) {
    return { kind: "ready" };
  }
  whenFailed?.(pid);
  return { kind: "ended", status: waitpid(pid) };
}

/**
 * Forks; the parent waits until the child has called
 * {@linkcode forkNotifyStartup}, has become another program, or has ended. Port
 * of `fork_and_wait_for_startup()`, which leaves the status of a killed child
 * to a stale variable of its caller. We return it.
 *
 * @param child What the child is to be.
 * @param signalFd Signals that the parent passes on to the child meanwhile, a
 * descriptor of `signalfd()`.
 * @param callerFd The write end of a pipe to a process that waits for us, if
 * there is one. When that has been killed, the child is told to end.
 * @param line What is shown meanwhile, if anything.
 * @returns Which process this is, and in the parent how the start came out.
 * @throws {LibcError} When the pipe cannot be made or `fork()` fails.
 */
export function forkAndWaitForStartup(
  child: Child,
  signalFd: number,
  callerFd = -1,
  line?: WaitingLine,
): StartedFork {
  const forked = forkForStartup(child);
  if (forked.role === "child") return forked;
  const { pid, startupFd } = forked;
  // Not by SIGCHLD: our other threads, if there are any, take that away.
  const endFd = endOf(pid);
  let stopSignal: number | undefined;
  const since = bootTime();
  for (;;) {
    const watched = [startupFd, signalFd, callerFd, endFd]
      .filter((fd) => fd !== -1);
    const passed = bootTime() - since;
    const ready = waitReadable(
      watched,
      line === undefined ? -1 : 1000 - Math.floor(passed % 1000),
    );
    if (ready === undefined) {
      line?.show(Math.round((bootTime() - since) / 1000));
      continue;
    }
    if (callerFd !== -1 && ready.includes(callerFd)) {
      callerFd = -1;
      passOn(Signal.SIGTERM, pid);
      stopSignal = Signal.SIGTERM;
    }
    // Signals first: one that came before the child was ready must not be lost
    // because we are about to end.
    stopSignal = passOnPending(signalFd, pid) ?? stopSignal;
    if (ready.includes(startupFd) || ready.includes(endFd)) break;
  }
  line?.clear();
  if (endFd !== -1) close(endFd);
  const startup = readStartup(
    pid,
    startupFd,
    child.image === undefined,
    endOrphans,
  );
  return { role: "parent", pid, startup, stopSignal };
}

/** Read when a child has ended; -1 where that is not to be had. */
function endOf(pid: number): number {
  try {
    return pidfdOpen(pid);
  } catch (error) {
    // Linux before 5.3: the pipe alone has to tell.
    if (!(error instanceof LibcError)) throw error;
    return -1;
  }
}

/**
 * Tells the parent that this child has started. Port of
 * `fork_notify_startup()`.
 *
 * @param notifyFd From the fork; closed afterwards.
 * @returns Whether it was told; not when it has been killed.
 */
export function forkNotifyStartup(notifyFd: number): boolean {
  try {
    writeFully(notifyFd, new Uint8Array(1));
    return true;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno !== Errno.EPIPE) {
      vlog.fatal(`pipe write failed (${error.reason})`);
    }
    return false;
  } finally {
    close(notifyFd);
  }
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
