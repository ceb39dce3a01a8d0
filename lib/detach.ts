/**
 * Leaving the foreground, the session and its leadership; the processes that
 * are left behind end by themselves.
 *
 * @module
 */
import { waitpid } from "../ffi/child.ts";
import { close } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { setsid } from "../ffi/process.ts";
import { exitStatusOf, type WaitStatus } from "../ffi/wait_status.ts";
import type { DaemonPlan } from "./daemon_plan.ts";
import { exit } from "./fatal_signal.ts";
import { removeStaleMonitorFile } from "./monitor_hold.ts";
import { passOnPending } from "./pass_on.ts";
import { removeLeftovers } from "./pidfile.ts";
import type { SelfImage } from "./self_image.ts";
import { closeInheritedFds } from "./standard_fds.ts";
import {
  type Child,
  forkAndWaitForStartup,
  forkNotifyStartup,
  type StartedFork,
  startupFailed,
} from "./startup.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { waitingLine } from "./waiting_line.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** What cannot be done when a step of detaching fails. */
export const DETACH_FAILED = "could not detach from foreground session";

/**
 * Forks into the background; the caller's process waits and ends here.
 *
 * @param plan What kind of daemon it becomes.
 * @param image The program to start again; without it, this forks in place.
 * @param signalFd Where signals for the child are read meanwhile.
 * @returns In the child: for `forkNotifyStartup()`.
 */
export function leaveForeground(
  plan: DaemonPlan,
  image: SelfImage | undefined,
  signalFd: number,
): number {
  const coreDumped = false;
  if (plan.supervise === undefined && image !== undefined) {
    // Without the leader in between, whose start would take as long again.
    const child: Child = {
      role: "daemon",
      coreDumped,
      image,
      inNewSession: true,
    };
    return forkAndEndParent(plan, child, signalFd, () => undefined);
  }
  const child = { role: "detached", coreDumped, image } as const;
  return forkAndEndParent(
    plan,
    child,
    signalFd,
    // The session leader, which nobody needs, must be gone when we return.
    (pid) => plan.supervise === undefined ? waitpid(pid) : undefined,
  );
}

/**
 * Leaves the caller's session, and what it has open for us.
 *
 * @param plan Which descriptors stay open.
 */
export function leaveSession({ keepFds }: DaemonPlan): void {
  try {
    setsid();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.fatal(`${DETACH_FAILED}: ${error.message}`);
  }
  closeInheritedFds(keepFds);
}

/**
 * Forks once more where there is no monitor: a session leader without a
 * terminal gains one by opening it.
 *
 * @param plan What kind of daemon it becomes.
 * @param signalFd Where signals for the child are read meanwhile.
 * @param callerFd The write end of a pipe to the caller, who waits for us.
 * @returns In the child: for `forkNotifyStartup()`.
 */
export function leaveSessionLeader(
  plan: DaemonPlan,
  signalFd: number,
  callerFd: number,
): number {
  const child = {
    role: "daemon",
    coreDumped: false,
    image: undefined,
  } as const;
  const notifyFd = forkAndEndParent(
    plan,
    child,
    signalFd,
    () => {
      forkNotifyStartup(callerFd);
      return undefined;
    },
    callerFd,
  );
  // As long as we have it too, the caller would not hear of its child's end.
  close(callerFd);
  return notifyFd;
}

/**
 * Forks, and returns in the child. The parent ends when the child is ready, or
 * has failed, with the child's exit status then.
 *
 * @param whenReady Told the child's pid when it is ready. It returns how the
 * child ended, if it is one that makes the daemon and ends.
 */
function forkAndEndParent(
  plan: DaemonPlan,
  child: Child,
  signalFd: number,
  whenReady: (pid: number) => WaitStatus | undefined,
  callerFd?: number,
): number {
  const { pidfile } = plan;
  // The caller's own process alone has nobody to tell.
  const line = callerFd === undefined ? waitingLine(plan) : undefined;
  let forked: StartedFork;
  try {
    forked = forkAndWaitForStartup(child, signalFd, callerFd, line);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.fatal(`${DETACH_FAILED}: ${error.message}`);
  }
  if (forked.role === "child") return forked.notifyFd;
  const { pid, startup, stopSignal } = forked;
  if (startup.kind === "ended") {
    if (pidfile !== undefined) {
      removeLeftovers(pidfile);
      removeStaleMonitorFile(pidfile);
    }
    if (stopSignal !== undefined) exit(exitStatusOf(startup.status));
    startupFailed(startup.status, DETACH_FAILED);
  }
  const lateSignal = passOnPending(signalFd, pid);
  const ended = whenReady(pid);
  const signal = lateSignal ?? stopSignal;
  // A child that has ended well had looked for the last time, and has not passed
  // on what we sent it.
  const isHeard = ended?.kind !== "exited" || ended.code !== 0;
  // The daemon was ready, and told to end: nobody must count on it.
  if (signal !== undefined && isHeard) exit(128 + signal);
  // Signals stay blocked: one that came since has not reached the daemon, which
  // runs, and to end of it would say that it does not.
  exit(0);
}
