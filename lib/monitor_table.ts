/**
 * What a monitor does on what it hears: a table of phases and events.
 *
 * @module
 */
import { leadsSession } from "../ffi/process.ts";
import { isInOurGroup } from "../ffi/process_group.ts";
import { type ReceivedSignal, Signal } from "../ffi/signal.ts";
import { bootTime } from "../ffi/wait.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import {
  crashed,
  ended,
  giveUp,
  lastWords,
  noteStart,
  startAnew,
  startFailed,
  startIsDue,
} from "./monitor_ends.ts";
import { runCrashHook } from "./crash_hook.ts";
import { publish } from "./monitor_hold.ts";
import type { Clearing, MonitorPhase, MonitorState } from "./monitor_state.ts";
import { showTitle } from "./monitor_title.ts";
import { passOn, STOP_SIGNALS } from "./pass_on.ts";
import type { MonitorRequest } from "./request.ts";
import { killLeft, notCleared } from "./monitor_clearing.ts";
import {
  isToEnd,
  killDaemon,
  killNow,
  noLongerAwaited,
  notInTime,
  notReadyYet,
  tellOthersToEnd,
  tellToEnd,
  timedOutAndEnded,
} from "./monitor_ready.ts";
import { leaveCallersOutput } from "./post_detach.ts";
import { isCrash } from "./restart.ts";
import { forkNotifyStartup } from "./startup.ts";
import { stopRelay } from "./stderr_relay.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import {
  abortDaemon,
  hungAndEnded,
  killHungDaemon,
  watch,
} from "./watchdog.ts";
import { dropConsole } from "./vlog_sinks.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** Signals that ask for the end come so close together when they are one wish. */
const SAME_STOP_MS = 100;

/** So much longer than whoever asks for the end a monitor waits for it. */
const ASKER_MS = 5_000;
/** So long after a Ctrl-C another one insists on it. */
const SAME_WISH_MS = 5_000;

/** What a monitor hears. */
type MonitorEvent =
  | { readonly kind: "signal"; readonly received: ReceivedSignal }
  | { readonly kind: "ready" }
  | { readonly kind: "ended"; readonly status: WaitStatus }
  | { readonly kind: "deadline" }
  | { readonly kind: "hung"; readonly why: string }
  | (MonitorRequest & { readonly kind: "stop" })
  | (MonitorRequest & { readonly kind: "restart" });

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
      if (state.ready === undefined) runs(state);
      else notReadyYet(state);
    },
    ended: startFailed,
    deadline: impossible,
    hung: impossible,
    stop: tell("stopping"),
    restart: tell("restarting"),
  },
  notReady: {
    signal: passOnAndNote,
    ready: runs,
    ended: startFailed,
    deadline: notInTime,
    hung: abortDaemon,
    stop: tell("stopping"),
    restart: tell("restarting"),
  },
  timedOut: {
    signal: passOnAndNote,
    // Too late.
    ready: () => {},
    ended: timedOutAndEnded,
    deadline: killDaemon,
    hung: impossible,
    stop: tell("stopping"),
    restart: tell("restarting"),
  },
  running: {
    signal: passOnAndNote,
    ready: impossible,
    ended: (state, { status }) => {
      if (isCrash(state.policy, status)) crashed(state, status);
      else ended(state, status);
    },
    deadline: impossible,
    hung: abortDaemon,
    stop: tell("stopping"),
    restart: tell("restarting"),
  },
  hung: {
    signal: passOnAndNote,
    ready: impossible,
    ended: hungAndEnded,
    deadline: killHungDaemon,
    hung: impossible,
    // The deadline stays: it would not end by any other signal.
    stop: tell("stopping"),
    restart: tell("restarting"),
  },
  restarting: {
    signal: passOnAndNote,
    // Of the start that is given up. Its caller got what it asked for.
    ready: becameReadyAnyway,
    ended: startAnew,
    deadline: killDaemon,
    hung: impossible,
    stop: tell("stopping"),
    // Once more, perhaps by a stronger signal.
    restart: tell("restarting"),
  },
  backingOff: {
    signal: (state, { received }) => {
      const isWish = STOP_SIGNALS.includes(received.signal);
      // Without its terminal there is no other, as there is no command to ask.
      if (isWish || isHangup(received)) giveUp(state);
    },
    ready: impossible,
    ended: impossible,
    deadline: startIsDue,
    hung: impossible,
    stop: giveUp,
    restart: (state) => {
      state.restartMsg ??= `told to restart, ${state.statusMsg}`;
      startIsDue(state);
    },
  },
  stopping: {
    signal: passOnAndNote,
    ready: becameReadyAnyway,
    ended: (state, event) => {
      if (state.everReady) ended(state, event.status);
      else startFailed(state, event);
    },
    deadline: killDaemon,
    hung: impossible,
    // Once more, perhaps by a stronger signal.
    stop: tell("stopping"),
    // The end that was wanted first is for good.
    restart: () => {},
  },
  clearing: {
    signal: noteWhileClearing,
    ready: impossible,
    ended: impossible,
    deadline: notCleared,
    hung: impossible,
    stop: noteWish("stopping"),
    restart: noteWish("restarting"),
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
 * Tells the daemon to end, for what is to come after that.
 *
 * Whoever asks kills it when its time is over, and says so. If that process has
 * gone by then, as by a Ctrl-C, the monitor does, where it has a limit at all.
 */
function tell(
  phase: MonitorPhase,
): (state: MonitorState, request: MonitorRequest) => void {
  return (state, { signal, timeout = 0 }) => {
    const { stopTimeout } = state;
    const limit = stopTimeout === undefined
      ? undefined
      : Math.max(stopTimeout, timeout) + ASKER_MS;
    isToEnd(state, limit, timeout > 0);
    state.phase = phase;
    if (signal === Signal.SIGKILL) killNow(state);
    else tellToEnd(state, signal);
  };
}

/**
 * What the daemon has left is being ended, for what is to come after that; all
 * that can be asked is that it be killed.
 */
function noteWish(
  wish: NonNullable<Clearing["wish"]>,
): (state: MonitorState, request: MonitorRequest) => void {
  return (state, { signal }) => {
    const { clearing } = state;
    // The end that was wanted first is for good.
    if (clearing !== undefined && clearing.wish !== "stopping") {
      clearing.wish = wish;
    }
    if (signal === Signal.SIGKILL) killLeft(state);
  };
}

/**
 * All has ended that a daemon has left: its end is gone on with.
 *
 * A crash stays one, whatever has been asked for since: it is counted and said,
 * and whoever has a command for crashes hears of it.
 *
 * @param state What the monitor knows, in the phase in which the daemon ended.
 * @param cleared That end.
 */
export function goOn(state: MonitorState, { status, wish }: Clearing): void {
  const { phase, policy, everReady } = state;
  const isUnasked = phase === "hung" || phase === "running";
  const end = { kind: "ended", status } as const;
  const hasCrashed = everReady && isUnasked &&
    (phase === "hung" ? policy !== "no" : isCrash(policy, status));
  if (wish === undefined || !hasCrashed) {
    // The end that was wanted first is for good.
    if (wish !== undefined && phase !== "stopping") state.phase = wish;
    return dispatch(state, end);
  }
  dispatch(state, end);
  // Of one that is waited for it has been said.
  if (state.deadline === undefined) {
    vlog.err(`${state.statusMsg}${lastWords(state)}`);
  }
  if (wish === "restarting") {
    return dispatch(state, { kind: "restart", signal: Signal.SIGTERM });
  }
  runCrashHook(state);
  giveUp(state);
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
  { received }: { received: ReceivedSignal },
): void {
  const { signal } = received;
  const hasIt = reachedDaemon(state, received);
  if (signal === Signal.SIGHUP && !state.detach) {
    state.hangup = isHangup(received) ? "terminal" : state.hangup ?? "told";
  }
  if (!STOP_SIGNALS.includes(signal)) {
    if (!hasIt) passOn(signal, state.daemonPid);
    return;
  }
  const again = noteStop(state, received);
  if (again === "now") {
    vlog.warn(`told to end once more, killing pid ${state.daemonPid}`);
    return killNow(state);
  }
  isToEnd(state, state.stopTimeout);
  state.phase = "stopping";
  if (again === "same") return;
  const stopSignal = state.stopSignal ?? signal;
  if (hasIt && stopSignal === signal) tellOthersToEnd(state, signal);
  else tellToEnd(state, stopSignal);
}

/** Whether the terminal is gone. */
function isHangup({ signal, fromKernel }: ReceivedSignal): boolean {
  return fromKernel && signal === Signal.SIGHUP;
}

/**
 * Whether the terminal has sent a signal to the whole process group, with the
 * daemon in it. When it goes, it tells the leader of the session alone; the
 * others hear of it only when that has ended.
 */
function reachedDaemon(
  { daemonPid }: MonitorState,
  received: ReceivedSignal,
): boolean {
  if (isHangup(received) && leadsSession()) return false;
  return received.fromKernel && isInOurGroup(daemonPid);
}

function noteWhileClearing(
  state: MonitorState,
  { received }: { received: ReceivedSignal },
): void {
  const { clearing, daemonPid } = state;
  if (clearing === undefined) return;
  if (isHangup(received)) clearing.wish = "stopping";
  if (!STOP_SIGNALS.includes(received.signal)) return;
  clearing.wish = "stopping";
  if (noteStop(state, received) !== "now") return;
  vlog.warn(`told to end once more, killing what pid ${daemonPid} has left`);
  killLeft(state);
}

/**
 * Whoever has tend in the foreground and asks for the end twice means now.
 *
 * But one wish may come twice: from `timeout`, which signals its child and then
 * its whole process group, or from a script that does likewise. And what goes on
 * after a Ctrl-C, as a shell does, has not taken it for the end: another one,
 * much later, is a first one again.
 *
 * @returns Whether it is the same wish, or a second one.
 */
function noteStop(
  state: MonitorState,
  { fromKernel }: ReceivedSignal,
): "now" | "same" | undefined {
  const { detach, stoppedAt } = state;
  const now = bootTime();
  const isFirst = stoppedAt === undefined ||
    (fromKernel && now >= stoppedAt + SAME_WISH_MS);
  if (isFirst) state.stoppedAt = now;
  if (detach || isFirst) return undefined;
  return now < stoppedAt + SAME_STOP_MS ? "same" : "now";
}

/** The daemon is ready, and is to stay. */
function runs(state: MonitorState): void {
  noLongerAwaited(state);
  state.phase = "running";
  state.readySince = bootTime();
  watch(state);
  const { daemonPid: pid } = state;
  noteStart(state, { pid, ready: true, status: 0, text: undefined });
  becameReady(state);
}

/** One that is told to end becomes its command first; is that ready to be? */
function becameReadyAnyway(state: MonitorState): void {
  if (state.ready === undefined) becameReady(state);
}

/**
 * The daemon is ready. Only when all is as it will stay is our caller told: it
 * returns to its own caller, who may look.
 *
 * @param state What the monitor knows.
 */
export function becameReady(state: MonitorState): void {
  state.everReady = true;
  if (state.notifyFd === -1) return;
  // What the daemon has written comes before our caller's prompt.
  stopRelay();
  const { detachError } = state;
  if (detachError !== undefined) {
    // The daemon has left; it would be lost if we gave up for this.
    vlog.warn(`${detachError}, the monitor may hold what the caller gave`);
    state.detachError = undefined;
  }
  dropConsole();
  // What still fails of it has just been told.
  if (detachError !== undefined) leaveCallersOutput();
  showTitle(state);
  publish(state);
  const { notifyFd } = state;
  if (forkNotifyStartup(notifyFd)) state.notifyFd = -1;
  else abandonStart(state);
}
