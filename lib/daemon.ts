/**
 * Becoming a daemon. Port of `daemonize_start()`, `daemonize_complete()` and
 * what belongs to them in daemon-unix.c.
 *
 * @module
 */
import { close } from "../ffi/file.ts";
import { LibcError } from "../ffi/libc.ts";
import { setsid, waitpid } from "../ffi/process.ts";
import { exit, fatalSignalBlock } from "./fatal_signal.ts";
import { catchSignals, monitorDaemon } from "./monitor.ts";
import type { RestartPolicy } from "./monitor_state.ts";
import { makePidfile, removeLeftovers, runningObstacle } from "./pidfile.ts";
import { daemonizePostDetach } from "./post_detach.ts";
import { closeInheritedFds } from "./standard_fds.ts";
import { dropConsole } from "./vlog_sinks.ts";
import {
  forkAndWaitForStartup,
  forkNotifyStartup,
  type StartedFork,
  startupFailed,
} from "./startup.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

const CONSEQUENCE = "could not detach from foreground session";

/** What kind of daemon a process becomes. */
export interface DaemonPlan {
  /** Whether it runs in the background, in a session of its own. */
  readonly detach: boolean;
  /** Whether its working directory becomes `/` when it detaches. */
  readonly chdir: boolean;
  /** The absolute path of its pidfile, if it has one. */
  readonly pidfile: string | undefined;
  /** Whether a pidfile that another process holds is replaced. */
  readonly overwritePidfile: boolean;
  /** Which of its ends are followed by a restart; without it, nobody watches. */
  readonly supervise: RestartPolicy | undefined;
}

/** A process that has become the daemon and is about to start. */
export interface Daemon {
  /** To be handed to {@linkcode daemonizeComplete}; -1 when nobody waits. */
  readonly notifyFd: number;
  /** The descriptor that holds the pidfile's lock, if there is one. */
  readonly pidfileFd: number | undefined;
}

/**
 * Forks as the plan wants it, and returns in the daemon alone, with its pidfile
 * locked and the fatal signals held back. Port of `daemonize_start()`.
 *
 * Its parents end by themselves: the caller's own process when the daemon is
 * ready or has failed, with the daemon's exit status then.
 *
 * @param plan What kind of daemon this process becomes.
 * @returns What the daemon needs to go on.
 */
export function daemonizeStart(plan: DaemonPlan): Daemon {
  const { detach, pidfile, overwritePidfile, supervise } = plan;
  if (pidfile !== undefined && !overwritePidfile) {
    // Nothing is forked for what must fail. The daemon checks again, under the
    // lock.
    const obstacle = runningObstacle(pidfile);
    if (obstacle !== undefined) vlog.fatal(obstacle);
  }
  let notifyFd = -1;
  if (detach || supervise !== undefined) {
    // One for all: read in a child, it tells of the child's signals.
    const signalFd = catchSignals();
    if (detach) notifyFd = leaveForeground(plan, signalFd);
    notifyFd = supervise === undefined
      ? leaveSessionLeader(plan, signalFd, notifyFd)
      : monitorDaemon({
        phase: "starting",
        policy: supervise,
        pidfile,
        detach,
        chdir: plan.chdir,
        daemonPid: 0,
        everReady: false,
        crashes: 0,
        statusMsg: "healthy",
        exitStatus: 0,
        coreDumped: false,
        lastRestart: undefined,
        signalFd,
        startupFd: -1,
        notifyFd,
        deadlineFd: -1,
      });
    close(signalFd);
  }
  fatalSignalBlock();
  const pidfileFd = pidfile === undefined
    ? undefined
    : makePidfile(pidfile, overwritePidfile);
  return { notifyFd, pidfileFd };
}

/** Forks into the background; the caller's process waits and ends here. */
function leaveForeground(plan: DaemonPlan, signalFd: number): number {
  const notifyFd = forkAndEndParent(plan, signalFd, (pid) => {
    // The session leader, which nobody needs, must be gone when we return.
    if (plan.supervise === undefined) waitpid(pid);
  });
  try {
    setsid();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.fatal(`${CONSEQUENCE}: ${error.message}`);
  }
  closeInheritedFds();
  return notifyFd;
}

/**
 * Forks once more where there is no monitor: a session leader without a
 * terminal gains one by opening it.
 */
function leaveSessionLeader(
  plan: DaemonPlan,
  signalFd: number,
  callerFd: number,
): number {
  const notifyFd = forkAndEndParent(
    plan,
    signalFd,
    () => forkNotifyStartup(callerFd),
  );
  // As long as we have it too, the caller would not hear of its child's end.
  close(callerFd);
  return notifyFd;
}

/**
 * Forks, and returns in the child. The parent ends when the child is ready, or
 * has failed, with the child's exit status then.
 */
function forkAndEndParent(
  { pidfile }: DaemonPlan,
  signalFd: number,
  whenReady: (pid: number) => void,
): number {
  let forked: StartedFork;
  try {
    forked = forkAndWaitForStartup(signalFd);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.fatal(`${CONSEQUENCE}: ${error.message}`);
  }
  if (forked.role === "child") return forked.notifyFd;
  const { pid, startup } = forked;
  if (startup.kind === "ended") {
    if (pidfile !== undefined) removeLeftovers(pidfile);
    startupFailed(startup.status, CONSEQUENCE);
  }
  whenReady(pid);
  exit(0);
}

/**
 * Finishes the daemon's start: detaches, then tells the caller. Port of
 * `daemonize_complete()`, which tells the caller first; here all is as it will
 * stay when the caller returns.
 *
 * @param plan As for {@linkcode daemonizeStart}.
 * @param notifyFd From there.
 */
export function daemonizeComplete(plan: DaemonPlan, notifyFd: number): void {
  daemonizePostDetach(plan);
  dropConsole();
  if (notifyFd !== -1) forkNotifyStartup(notifyFd);
}
