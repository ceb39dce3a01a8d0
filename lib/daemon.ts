/**
 * Becoming a daemon. Port of `daemonize_start()`, `daemonize_complete()` and
 * what belongs to them in daemon-unix.c.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { makeRoomFor } from "../ffi/duplicate.ts";
import { execve } from "../ffi/exec.ts";
import { LibcError } from "../ffi/libc.ts";
import { getpid, threadCount } from "../ffi/process.ts";
import { outliveParent } from "../ffi/spawn_in_session.ts";
import { intervalTimerfd, timerfd } from "../ffi/wait.ts";
import type { DaemonPlan } from "./daemon_plan.ts";
import {
  DETACH_FAILED,
  leaveForeground,
  leaveSession,
  leaveSessionLeader,
} from "./detach.ts";
import { dropRustHandlers, exit } from "./fatal_signal.ts";
import { PIDFILE_FD } from "./locked_file.ts";
import { monitorDaemon } from "./monitor.ts";
import { checkNotMonitored, takeMonitorFile } from "./monitor_hold.ts";
import type { CommandMeans, MonitoredDaemon } from "./monitor_start.ts";
import type { MonitorState, RestartPolicy } from "./monitor_state.ts";
import { catchSignals } from "./pass_on.ts";
import { makePidfile, obstacleOf } from "./pidfile.ts";
import { daemonizePostDetach } from "./post_detach.ts";
import { inUse } from "./readiness.ts";
import { familyNow } from "./process_tree.ts";
import { disableCoreDumps } from "./restart.ts";
import { executablePath, type SelfImage, selfImage } from "./self_image.ts";
import { environmentWith, takeStage, TRIAL_STATUS } from "./stage.ts";
import { closeInheritedFds } from "./standard_fds.ts";
import { forkNotifyStartup } from "./startup.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { sayHowWoken } from "./waking_proof.ts";
import { dropConsole } from "./vlog_sinks.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** A process that has become the daemon and is about to start. */
export interface Daemon {
  /** To be handed to {@linkcode daemonizeComplete}; -1 when nobody waits. */
  readonly notifyFd: number;
  /** Whether it was forked by a monitor that has left its caller before. */
  readonly isRestart: boolean;
  /** What it is given as a command. */
  readonly means: CommandMeans;
  /** The process that has forked it; `undefined` in the caller's own. */
  readonly parent: number | undefined;
  /** The descriptor that holds the pidfile's lock, if there is one. */
  readonly pidfileFd: number | undefined;
}

/**
 * Forks as the plan wants it, and returns in the daemon alone, with its pidfile
 * locked. Port of `daemonize_start()`.
 *
 * Its parents end by themselves: the caller's own process when the daemon is
 * ready or has failed, with the daemon's exit status then.
 *
 * @param plan What kind of daemon this process becomes.
 * @param prepareForSignals Holds back the fatal signals in the daemon, or
 * handles them: called before there is a pidfile that one could leave behind.
 * @returns What the daemon needs to go on.
 */
export function daemonizeStart(
  plan: DaemonPlan,
  prepareForSignals: () => void,
): Daemon {
  const stage = takeStage();
  // With its hooks and files: what it has made until now is made again soon.
  if (stage?.role === "trial") exit(TRIAL_STATUS);
  if (stage?.role === "woken") {
    return resumeMonitor(stage.state, prepareForSignals);
  }
  const { detach, pidfile, overwritePidfile, supervise } = plan;
  if (stage === undefined && pidfile !== undefined) {
    // Nothing is forked for what must fail. The daemon checks again, under the
    // lock.
    const obstacle = overwritePidfile ? undefined : obstacleOf(pidfile);
    if (obstacle !== undefined) vlog.fatal(obstacle);
    if (!overwritePidfile && supervise === undefined) {
      checkNotMonitored(pidfile);
    }
  }
  if (stage === undefined && plan.ready !== undefined) {
    const obstacle = inUse(plan.ready);
    if (obstacle !== undefined) vlog.fatal(obstacle);
  }
  let notifyFd = stage?.notifyFd ?? -1;
  let forked: MonitoredDaemon = { notifyFd, isRestart: false, means: {} };
  let parent: number | undefined;
  if (stage?.role === "daemon") {
    // One that a monitor has started finds nothing to close any more.
    if (detach) closeInheritedFds();
  } else if (detach || supervise !== undefined) {
    const image = imageForDaemons();
    // One for all: read in a child, it tells of the child's signals.
    const signalFd = catchSignals();
    if (detach) {
      if (stage === undefined) {
        notifyFd = leaveForeground(plan, image, signalFd);
      }
      leaveSession(plan);
    } else if (image !== undefined && stage === undefined) {
      becomeMonitor(image);
    }
    // Known before the fork: a child of a killed parent has another.
    parent = getpid();
    forked = supervise === undefined
      ? {
        notifyFd: leaveSessionLeader(plan, signalFd, notifyFd),
        isRestart: false,
        means: {},
      }
      : monitorDaemon(firstState(plan, supervise, signalFd, notifyFd), image);
    close(signalFd);
  }
  if (stage?.coreDumped) disableCoreDumps();
  return becomeDaemon(plan, { ...forked, parent }, prepareForSignals);
}

/**
 * Goes on as a monitor that has slept. Returns in a daemon alone, as
 * {@linkcode daemonizeStart} does.
 *
 * @param state What the monitor knows.
 * @param prepareForSignals As there.
 * @returns What the daemon needs to go on.
 */
export function resumeMonitor(
  state: MonitorState,
  prepareForSignals: () => void,
): Daemon {
  dropRustHandlers();
  sayHowWoken(state);
  const parent = getpid();
  const forked = monitorDaemon(state, imageForDaemons(state.program));
  close(state.signalFd);
  return becomeDaemon(state, { ...forked, parent }, prepareForSignals);
}

/** What is started again for a daemon; nothing where a fork can go on. */
function imageForDaemons(known?: string): SelfImage | undefined {
  return threadCount() === 1 ? undefined : selfImage(known);
}

function firstState(
  plan: DaemonPlan,
  policy: RestartPolicy,
  signalFd: number,
  notifyFd: number,
): MonitorState {
  const { detach, pidfile, overwritePidfile, command, sleepAfter } = plan;
  return {
    phase: "starting",
    policy,
    throttle: plan.throttle,
    onCrash: plan.onCrash,
    name: plan.name,
    killMode: plan.killMode,
    stopSignal: plan.stopSignal,
    stopTimeout: plan.stopTimeout,
    helpers: plan.killMode === "tree" ? childrenNow() : [],
    command,
    pidfile,
    overwritePidfile,
    detach,
    chdir: plan.chdir && plan.monitorLeaves,
    detachError: undefined,
    daemonPid: 0,
    daemonIsFork: false,
    everReady: false,
    startedAt: undefined,
    lastEnd: undefined,
    lastWords: undefined,
    lastStart: undefined,
    told: undefined,
    stoppedAt: undefined,
    hangup: undefined,
    clearing: undefined,
    restarts: 0,
    restartMsg: undefined,
    crashes: 0,
    statusMsg: "healthy",
    exitStatus: 0,
    coreDumped: false,
    lastRestart: undefined,
    interval: plan.throttle.delay,
    readySince: undefined,
    recentEnds: [],
    left: [],
    gaveUp: undefined,
    hookDue: false,
    signalFd,
    startupFd: -1,
    notifyFd,
    ready: plan.ready,
    readinessFd: -1,
    lookAgain: 0,
    fileBefore: undefined,
    messagesFd: -1,
    managerSocket: plan.managerSocket,
    toldManager: "",
    statusText: undefined,
    watchdog: plan.watchdog,
    watchdogInterval: 0,
    watchdogFd: plan.watchdog === undefined ? -1 : intervalTimerfd(),
    hungMsg: undefined,
    deadline: undefined,
    backingOffUntil: undefined,
    showAgain: undefined,
    // Now, and not when it is wanted: then there may be none to be had.
    deadlineFd: timerfd(),
    sleepAfter,
    program: executablePath(),
    stderrFrom: undefined,
    loggers: [],
    log: undefined,
    // Last: from here on each of our ends removes it.
    monitorFd: pidfile === undefined
      ? -1
      : takeMonitorFile(pidfile, overwritePidfile),
  };
}

/**
 * What has become tend in the foreground may have had children before. What they
 * leave behind cannot be told from what the daemon does.
 */
function childrenNow(): number[] {
  const { at, below } = familyNow();
  const self = at(getpid());
  return self === undefined ? [] : [...below(self)];
}

function becomeDaemon(
  { pidfile, overwritePidfile }: Pick<
    DaemonPlan,
    "pidfile" | "overwritePidfile"
  >,
  forked: Omit<Daemon, "pidfileFd">,
  prepareForSignals: () => void,
): Daemon {
  // Now: handling signals starts a thread, and with that it takes its time.
  if (pidfile !== undefined) makeRoomFor(PIDFILE_FD);
  prepareForSignals();
  const pidfileFd = pidfile === undefined
    ? undefined
    : makePidfile(pidfile, overwritePidfile);
  return { ...forked, pidfileFd };
}

/**
 * Starts the program again in this very process, as the monitor of a daemon in
 * the foreground. Our other threads have no signal blocked, and one of those
 * signals would end us and leave the daemon unwatched; the new image's threads
 * have them blocked from the first moment.
 */
function becomeMonitor({ path, argv }: SelfImage): never {
  const stage = { role: "monitor", notifyFd: -1, coreDumped: false } as const;
  try {
    return execve(path, argv, environmentWith(stage));
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.fatal(`could not initiate process monitoring: ${error.message}`);
  }
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
  const error = daemonizePostDetach(plan);
  if (error !== undefined) vlog.fatal(`${DETACH_FAILED}: ${error.message}`);
  dropConsole();
  if (notifyFd === -1) return;
  // The caller ends when it is told.
  outliveParent();
  // Nobody looks after us, and our caller believes that we have failed.
  if (!forkNotifyStartup(notifyFd)) {
    vlog.fatal("pipe write failed: the parent is gone");
  }
}
