/**
 * What a monitor does on what it hears: a table of phases and events.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { isInOurGroup } from "../ffi/process.ts";
import { type ReceivedSignal, Signal } from "../ffi/signal.ts";
import { bootTime, setTimerfd } from "../ffi/wait.ts";
import { exitStatusOf, type WaitStatus } from "../ffi/wait_status.ts";
import { exit } from "./fatal_signal.ts";
import type { MonitorPhase, MonitorState } from "./monitor_state.ts";
import { passOn, STOP_SIGNALS } from "./pass_on.ts";
import { removeLeftovers } from "./pidfile.ts";
import { processStatusMsg } from "./process_status.ts";
import { isCrash } from "./restart.ts";
import { forkNotifyStartup, startupFailed } from "./startup.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { dropConsole } from "./vlog_sinks.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** Restarts are at least so far apart. */
export const RESTART_INTERVAL_MS = 10_000;

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
 * Does what is to be done on an event.
 *
 * @param state What the monitor knows.
 * @param event What it has heard.
 */
export function dispatch<K extends MonitorEvent["kind"]>(
  state: MonitorState,
  event: Extract<MonitorEvent, { kind: K }>,
): void {
  const handler = TABLE[state.phase][event.kind] as Handler<K>;
  handler(state, event);
}

/**
 * The caller has been killed while it waited: the write end of its pipe tells.
 * Nobody counts on this daemon any more.
 *
 * @param state What the monitor knows.
 */
export function abandonStart(state: MonitorState): void {
  state.notifyFd = -1;
  vlog.warn("the process that waited for the start-up is gone");
  const received = { signal: Signal.SIGTERM, fromKernel: false };
  dispatch(state, { kind: "signal", received });
}

function passOnAndNote(
  state: MonitorState,
  { received: { signal, fromKernel } }: { received: ReceivedSignal },
): void {
  if (STOP_SIGNALS.includes(signal)) state.phase = "stopping";
  // The terminal has sent it to the whole process group.
  if (fromKernel && isInOurGroup(state.daemonPid)) return;
  passOn(signal, state.daemonPid);
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

/**
 * The daemon has died of an error: there will be another, now or when the last
 * restart is long enough ago.
 *
 * @param state What the monitor knows.
 * @param status How it ended.
 */
export function crashed(state: MonitorState, status: WaitStatus): void {
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

/**
 * Waits before the next start.
 *
 * @param state What the monitor knows.
 * @param deadline Until when, in milliseconds since boot; not at all without it.
 */
export function backOffUntil(
  state: MonitorState,
  deadline: number | undefined,
): void {
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
