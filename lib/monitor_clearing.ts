/**
 * What a monitor does when its daemon has ended, and has left processes behind
 * that its kill mode makes a part of it: they are to end too, before another
 * daemon follows, or the monitor ends. Else they would hold its port.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { Signal } from "../ffi/signal.ts";
import { bootTime, setTimerfd, waitReadable } from "../ffi/wait.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import {
  leftOf,
  mayBeLeft,
  signalLeft,
  someoneLeft,
  watchLeft,
} from "./kill_mode.ts";
import { noteEnd } from "./monitor_ends.ts";
import type { Clearing, MonitorState } from "./monitor_state.ts";
import { stopAwaiting } from "./readiness.ts";
import { signalName } from "./signal_name.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** How long a daemon has to end that is not given any other time. */
export const DEFAULT_STOP_TIMEOUT_MS = 10_000;
/** How often to look where the kernel cannot wake us. */
const LOOK_AGAIN_MS = 50;
/** How long what a daemon has left may take to end of SIGKILL, in milliseconds. */
export const LEFT_GRACE_MS = 5_000;

/**
 * Has all end that a daemon has left.
 *
 * What was told to end together with the daemon is not told again: to many that
 * means to drop all at once.
 *
 * @param state What the monitor knows.
 * @param status How the daemon ended, which was waited for.
 * @returns Whether there was anything left: then the end is to be gone on with
 * when {@linkcode endOfClearing} says so.
 */
export function clears(state: MonitorState, status: WaitStatus): boolean {
  // Of the one before, which whoever had it restarted has read by now.
  state.left = [];
  if (!mayBeLeft(state) || !isLeft(state)) return false;
  const { phase, told, daemonPid, stopTimeout } = state;
  stopAwaiting(state);
  const wasTold = told !== undefined;
  // What it has been running since then counts.
  const deadline = wasTold ? state.deadline : undefined;
  state.clearing = { phase, wish: undefined, status, step: "told" };
  noteEnd(state, status);
  state.phase = "clearing";
  if (told === Signal.SIGKILL) {
    killLeft(state);
    return true;
  }
  if (!wasTold) {
    state.told = state.stopSignal ?? Signal.SIGTERM;
    vlog.info(
      `pid ${daemonPid} has ended, telling what it has left to end by ${
        signalName(state.told)
      }`,
    );
    signalLeft(state, state.told);
  }
  setDeadline(
    state,
    deadline ?? bootTime() + (stopTimeout ?? DEFAULT_STOP_TIMEOUT_MS),
  );
  return true;
}

/** Where that cannot be told there may be: it is looked for again. */
function isLeft(state: MonitorState): boolean {
  try {
    return someoneLeft(state) !== undefined;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    const { daemonPid } = state;
    vlog.warn(`${error.message}, cannot tell what pid ${daemonPid} has left`);
    return true;
  }
}

/**
 * Looks whether all has ended that a daemon has left.
 *
 * @param state What the monitor knows.
 * @returns The daemon's end, to go on with in the phase in which that was;
 * `undefined` while something is left, or nothing was.
 */
export function endOfClearing(state: MonitorState): Clearing | undefined {
  const { clearing } = state;
  if (clearing === undefined) return undefined;
  if (clearing.step !== "given up" && someoneLeft(state) !== undefined) {
    // Again and again: one may have forked while we looked for it.
    if (clearing.step === "killed") signalLeft(state, Signal.SIGKILL);
    return undefined;
  }
  state.clearing = undefined;
  state.deadline = undefined;
  state.phase = clearing.phase;
  return clearing;
}

/**
 * Waits until something that a daemon has left may have ended, or something else
 * has come.
 *
 * @param state What the monitor knows.
 * @param watched The descriptors to wait for besides.
 * @param patience For how long at the most, in milliseconds; as long as it takes
 * without it.
 * @returns Those of them that are ready.
 */
export function waitWhileClearing(
  state: MonitorState,
  watched: readonly number[],
  patience = -1,
): number[] {
  // What has lost its parent to us sends SIGCHLD.
  if (state.killMode === "tree") return waitReadable(watched, patience) ?? [];
  const leftFd = watchLeft(state);
  if (leftFd === undefined) return waitReadable(watched, LOOK_AGAIN_MS) ?? [];
  try {
    return waitReadable([...watched, leftFd], patience) ?? [];
  } finally {
    close(leftFd);
  }
}

/**
 * What was to end has not done so in time.
 *
 * @param state What the monitor knows.
 */
export function notCleared(state: MonitorState): void {
  const { clearing, daemonPid, told } = state;
  if (clearing?.step === "killed") {
    clearing.step = "given up";
    state.deadline = undefined;
    state.left = leftOf(state);
    vlog.warn(
      `what pid ${daemonPid} has left does not end by SIGKILL, going on ` +
        `without pid ${state.left.join(", ")}`,
    );
    return;
  }
  vlog.warn(
    `what pid ${daemonPid} has left does not end by ${
      signalName(told ?? Signal.SIGTERM)
    }, killing it`,
  );
  killLeft(state);
}

/**
 * Kills what a daemon has left.
 *
 * @param state What the monitor knows.
 */
export function killLeft(state: MonitorState): void {
  if (state.clearing?.step === "told") {
    state.clearing.step = "killed";
    state.told = Signal.SIGKILL;
    setDeadline(state, bootTime() + LEFT_GRACE_MS);
  }
  signalLeft(state, Signal.SIGKILL);
}

function setDeadline(state: MonitorState, deadline: number): void {
  state.deadline = deadline;
  setTimerfd(state.deadlineFd, deadline);
}
