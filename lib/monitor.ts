/**
 * Looking after a daemon: waiting for its end, starting it again. Port of
 * `monitor_daemon()` in daemon-unix.c.
 *
 * @module
 */
import { disableCoreDumps, isCrash } from "./restart.ts";
import { passOn, STOP_SIGNALS } from "./pass_on.ts";
import { close } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { waitpidNoHang } from "../ffi/process.ts";
import { readSignalfd, type ReceivedSignal, Signal } from "../ffi/signal.ts";
import { exitStatusOf, type WaitStatus } from "../ffi/wait_status.ts";
import { bootTime, setTimerfd, waitReadable } from "../ffi/wait.ts";
import { exit } from "./fatal_signal.ts";
import type { MonitorPhase, MonitorState } from "./monitor_state.ts";
import { removeLeftovers } from "./pidfile.ts";
import { daemonizePostDetach } from "./post_detach.ts";
import { processStatusMsg } from "./process_status.ts";
import { proctitleRestore, proctitleSet } from "./process_title.ts";
import { setSubprogramName } from "./program_name.ts";
import type { SelfImage } from "./self_image.ts";
import { fallAsleep } from "./sleep.ts";
import { type Start, Starter } from "./starter.ts";
import { forkNotifyStartup, readStartup, startupFailed } from "./startup.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { dropConsole } from "./vlog_sinks.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** Restarts are at least so far apart. */
const RESTART_INTERVAL_MS = 10_000;

/** A monitor that stays awake so long gets ready for a crash. */
const PREPARE_AFTER_MS = 1_000;

/** What a daemon is to know of its monitor. */
export interface MonitoredDaemon {
  /** For `forkNotifyStartup()`. */
  readonly notifyFd: number;
  /** Whether there was one before it: the caller has long gone. */
  readonly isRestart: boolean;
}

/** What a monitor hears. */
type MonitorEvent =
  | { readonly kind: "signal"; readonly received: ReceivedSignal }
  | { readonly kind: "ready" }
  | { readonly kind: "ended"; readonly status: WaitStatus }
  | { readonly kind: "deadline" };

type Handler<K extends MonitorEvent["kind"]> = (
  state: MonitorState,
  event: Extract<MonitorEvent, { kind: K }>,
) => void;

/** What to do in which phase on which event. A missing cell does not compile. */
const TABLE: {
  readonly [P in MonitorPhase]: {
    readonly [K in MonitorEvent["kind"]]: Handler<K>;
  };
} = {
  starting: {
    signal: passOnAndNote,
    ready: (state) => {
      state.phase = "running";
      becameReady(state);
    },
    ended: startFailed,
    deadline: impossible,
  },
  running: {
    signal: passOnAndNote,
    ready: impossible,
    ended: (state, { status }) => {
      if (isCrash(state.policy, status)) crashed(state, status);
      else ended(state, status);
    },
    deadline: impossible,
  },
  backingOff: {
    signal: (state, { received }) => {
      if (!STOP_SIGNALS.includes(received.signal)) return;
      vlog.info(`${state.statusMsg}, told not to restart, exiting`);
      leave(state);
    },
    ready: impossible,
    ended: impossible,
    deadline: (state) => {
      state.deadline = undefined;
    },
  },
  stopping: {
    signal: passOnAndNote,
    ready: becameReady,
    ended: (state, event) => {
      if (state.everReady) ended(state, event.status);
      else startFailed(state, event);
    },
    deadline: impossible,
  },
};

function impossible(state: MonitorState, event: MonitorEvent): never {
  throw new Error(`monitor: ${event.kind} while ${state.phase}`);
}

/**
 * Forks the daemon and looks after it. Returns in the daemon alone, once for
 * each that is forked; the monitor's process ends in here. Port of
 * `monitor_daemon()`.
 *
 * @param state What the monitor knows.
 * @param image The program to start again for a daemon; without it the monitor
 * forks in place.
 * @returns In the daemon: what it is to know.
 */
export function monitorDaemon(
  state: MonitorState,
  image: SelfImage | undefined,
): MonitoredDaemon {
  if (state.policy !== "no") setSubprogramName("monitor");
  const starter = new Starter(state, image);
  for (;;) {
    if (isDaemonDue(state)) {
      const daemon = startDaemon(state, starter);
      if (daemon !== undefined) return daemon;
    }
    if (state.policy !== "no") {
      proctitleSet(`monitoring pid ${state.daemonPid} (${state.statusMsg})`);
    }
    waitForEvents(state, starter);
  }
}

function isDaemonDue({ phase, daemonPid, deadline }: MonitorState): boolean {
  return daemonPid === 0 || (phase === "backingOff" && deadline === undefined);
}

/**
 * The one place where a monitor waits, awake and asleep: it returns when
 * something has come, falls asleep here when nothing has, and is woken by the
 * same descriptors, to come here anew. What has come is handled in this order:
 *
 * 1. Signals. Whoever sends SIGTERM and sees the daemon die of it, or kills it
 *    next, must not get a new one; so the wish is noted before the end is seen.
 * 2. Start-up. A daemon that was ready and has died since was ready first.
 * 3. Ends. SIGCHLD was taken out in step 1, and a child that ends after that
 *    sends it anew: none is overlooked.
 * 4. The deadline.
 */
function waitForEvents(state: MonitorState, starter: Starter): void {
  const { signalFd, startupFd, deadline, sleepAfter } = state;
  // While there is no deadline its timer may be one that has run out.
  const deadlineFd = deadline === undefined ? -1 : state.deadlineFd;
  const watched = [signalFd, startupFd, deadlineFd, state.notifyFd]
    .filter((fd) => fd !== -1);
  // A caller that waits for us is not to wait for us to wake up.
  const isAlone = state.notifyFd === -1;
  const mayPrepare = isAlone && state.phase === "running" &&
    !starter.isPrepared;
  const patience = Math.min(
    isAlone ? sleepAfter ?? Infinity : Infinity,
    mayPrepare ? PREPARE_AFTER_MS : Infinity,
  );
  const ready = waitReadable(watched, patience === Infinity ? -1 : patience);
  if (ready === undefined) {
    return patience === sleepAfter
      ? fallAsleep(state, watched)
      : prepareForCrash(state, starter);
  }
  handleSignals(state);
  if (state.notifyFd !== -1 && ready.includes(state.notifyFd)) {
    close(state.notifyFd);
    abandonStart(state);
  }
  if (ready.includes(startupFd)) {
    state.startupFd = -1;
    const startup = readStartup(
      state.daemonPid,
      startupFd,
      state.daemonIsFork,
    );
    dispatch(state, startup);
  }
  reapChildren(state);
  if (ready.includes(deadlineFd)) {
    dispatch(state, { kind: "deadline" });
  }
}

/**
 * Does ahead what a crash would take its time for, now that there is time.
 * JavaScript is compiled, and libc looked up, when it is first used: so the
 * crash is rehearsed, by a monitor that is a copy.
 */
function prepareForCrash(state: MonitorState, starter: Starter): void {
  starter.prepare();
  const status = { kind: "signaled", signal: Signal.SIGSEGV } as const;
  const copy: MonitorState = { ...state, lastRestart: undefined };
  if (isCrash(copy.policy, { ...status, coreDumped: true })) {
    crashed(copy, { ...status, coreDumped: true });
    isDaemonDue(copy);
  }
}

function dispatch<K extends MonitorEvent["kind"]>(
  state: MonitorState,
  event: Extract<MonitorEvent, { kind: K }>,
): void {
  const handler = TABLE[state.phase][event.kind] as Handler<K>;
  handler(state, event);
}

/**
 * The caller has been killed while it waited: the write end of its pipe tells.
 * Nobody counts on this daemon any more.
 */
function abandonStart(state: MonitorState): void {
  state.notifyFd = -1;
  vlog.warn("the process that waited for the start-up is gone");
  const received = { signal: Signal.SIGTERM, fromKernel: false };
  dispatch(state, { kind: "signal", received });
}

function handleSignals(state: MonitorState): void {
  for (;;) {
    const received = readSignalfd(state.signalFd);
    if (received === undefined) return;
    if (received.signal === Signal.SIGCHLD) continue;
    dispatch(state, { kind: "signal", received });
  }
}

/** Waits for every child that has ended: a monitor may inherit some. */
function reapChildren(state: MonitorState): void {
  for (;;) {
    const child = waitpidNoHang(-1);
    if (child === "running" || child === "none") return;
    if (child.pid !== state.daemonPid || state.phase === "backingOff") continue;
    dispatch(state, { kind: "ended", status: child.status });
  }
}

function passOnAndNote(
  state: MonitorState,
  { received: { signal, fromKernel } }: { received: ReceivedSignal },
): void {
  if (STOP_SIGNALS.includes(signal)) state.phase = "stopping";
  // The terminal has sent it to the daemon too, for the same process group.
  if (!fromKernel) passOn(signal, state.daemonPid);
}

/**
 * Forks the daemon.
 *
 * @returns In the daemon: what it is to know.
 */
function startDaemon(
  state: MonitorState,
  starter: Starter,
): MonitoredDaemon | undefined {
  const isRestart = state.phase === "backingOff";
  if (isRestart) {
    // Once more, right before the fork. A signal that comes later finds the
    // new daemon and is passed on to it.
    handleSignals(state);
    state.lastRestart = bootTime();
  }
  let start: Start;
  try {
    start = starter.start(state);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (!state.everReady) vlog.fatal(`could not start: ${error.message}`);
    vlog.err(`${error.message}, trying again in 10 seconds`);
    backOffUntil(state, bootTime() + RESTART_INTERVAL_MS);
    return undefined;
  }
  if (start.kind === "child") {
    if (state.notifyFd !== -1) close(state.notifyFd);
    close(state.deadlineFd);
    if (state.policy !== "no") proctitleRestore();
    setSubprogramName("");
    if (state.coreDumped) disableCoreDumps();
    return { notifyFd: start.notifyFd, isRestart };
  }
  // After the fork: the daemon's users wait for it, and not for our log.
  if (isRestart) vlog.err(`${state.statusMsg}, restarting`);
  state.phase = "starting";
  state.daemonPid = start.pid;
  state.daemonIsFork = starter.forks;
  if (start.kind !== "started") {
    dispatch(state, start);
    return undefined;
  }
  state.startupFd = start.startupFd;
  // Meanwhile the daemon starts, and the caller waits for both.
  if (state.notifyFd !== -1) {
    state.detachError = daemonizePostDetach(state)?.message;
  }
  return undefined;
}

/**
 * The daemon is ready. Only when all is as it will stay is our caller told: it
 * returns to its own caller, who may look.
 */
function becameReady(state: MonitorState): void {
  state.everReady = true;
  if (state.notifyFd === -1) return;
  if (state.detachError !== undefined) {
    // The daemon has left; it would be lost if we gave up for this.
    vlog.warn(`${state.detachError}, the monitor holds what the caller gave`);
    state.detachError = undefined;
  }
  dropConsole();
  const { notifyFd } = state;
  if (forkNotifyStartup(notifyFd)) state.notifyFd = -1;
  else abandonStart(state);
}

/** A start came to nothing. The first one is the caller's affair. */
function startFailed(
  state: MonitorState,
  { status }: { status: WaitStatus },
): void {
  if (!state.everReady) {
    if (state.pidfile !== undefined) removeLeftovers(state.pidfile);
    if (state.phase === "stopping") exit(exitStatusOf(status));
    startupFailed(
      status,
      state.policy === "no"
        ? "could not start the daemon"
        : "could not initiate process monitoring",
    );
  }
  vlog.err(
    `fork child died before signaling startup (${processStatusMsg(status)})`,
  );
  // Whoever ends it on purpose while it starts wants no other.
  if (status.kind === "signaled" && STOP_SIGNALS.includes(status.signal)) {
    ended(state, status);
  } else {
    crashed(state, status);
  }
}

function crashed(state: MonitorState, status: WaitStatus): void {
  state.crashes++;
  state.statusMsg = `${state.crashes} crashes: pid ${state.daemonPid} died, ${
    processStatusMsg(status)
  }`;
  state.exitStatus = exitStatusOf(status);
  if (status.kind === "signaled" && status.coreDumped) state.coreDumped = true;
  const earliest = (state.lastRestart ?? -Infinity) + RESTART_INTERVAL_MS;
  if (bootTime() < earliest) {
    vlog.warn(
      `${state.statusMsg}, waiting until 10 seconds since last restart`,
    );
    backOffUntil(state, earliest);
  } else {
    backOffUntil(state, undefined);
  }
}

function backOffUntil(state: MonitorState, deadline: number | undefined): void {
  closeStartup(state);
  state.phase = "backingOff";
  state.deadline = deadline;
  if (deadline !== undefined) setTimerfd(state.deadlineFd, deadline);
}

/** The daemon has ended, and there will be no other. */
function ended(state: MonitorState, status: WaitStatus): void {
  state.exitStatus = exitStatusOf(status);
  if (state.policy !== "no") {
    vlog.info(
      `pid ${state.daemonPid} died, ${processStatusMsg(status)}, exiting`,
    );
  }
  const wasKilled = status.kind === "signaled" && state.phase !== "stopping";
  leave(state, wasKilled);
}

/** Ends the monitor, with nothing of its daemon's left. */
function leave(state: MonitorState, warn = false): never {
  if (state.pidfile !== undefined && removeLeftovers(state.pidfile) && warn) {
    vlog.warn(
      `${state.pidfile}: removed, pid ${state.daemonPid} had left it behind`,
    );
  }
  exit(state.exitStatus);
}

function closeStartup(state: MonitorState): void {
  if (state.startupFd !== -1) close(state.startupFd);
  state.startupFd = -1;
}
