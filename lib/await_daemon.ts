/**
 * Waiting for a daemon: for its end, or until it is ready.
 *
 * @module
 */
import { bootTime } from "../ffi/wait.ts";
import { type Achieved, ActionFailure, seconds } from "./action.ts";
import { lookAtPidfile } from "./daemon_look.ts";
import { isDaemonOf } from "./daemon_state.ts";
import { LookError } from "./look_error.ts";
import type { MonitorRecord } from "./monitor_file.ts";
import { MonitorWatch } from "./monitor_watch.ts";
import { DaemonHold, type ProvenMonitor } from "./proven_process.ts";
import { allEnd, type Job } from "./together.ts";

/**
 * Waits until a daemon and its monitor have ended. A crash is no end while the
 * monitor lives.
 *
 * @param pidfile Its pidfile.
 * @param timeout For how long, in milliseconds; `Infinity` as long as it takes.
 * @returns The job.
 */
export function* awaitEnd(pidfile: string, timeout: number): Job<Achieved> {
  const deadline = bootTime() + timeout;
  let seen: Pick<Achieved, "pid" | "monitor"> = {
    pid: undefined,
    monitor: undefined,
  };
  for (;;) {
    const held = DaemonHold.take(pidfile);
    try {
      const { view, daemon, monitor, pidfds } = held;
      checkKnown(held);
      if (pidfds.length === 0) {
        return { ...seen, done: "ended", state: view.state };
      }
      seen = { pid: daemon?.pid ?? seen.pid, monitor: monitor?.pid };
      if (yield* allEnd(pidfds, deadline)) continue;
      const process = daemon === undefined
        ? "its monitor runs"
        : `pid ${daemon.pid} runs`;
      throw new ActionFailure(`${process} still after ${seconds(timeout)}`);
    } finally {
      held.release();
    }
  }
}

/**
 * Waits until a daemon is ready.
 *
 * @param pidfile Its pidfile.
 * @param timeout For how long, in milliseconds; `Infinity` as long as it takes.
 * @returns The job.
 */
export function* awaitReady(pidfile: string, timeout: number): Job<Achieved> {
  const deadline = bootTime() + timeout;
  for (;;) {
    const held = DaemonHold.take(pidfile);
    try {
      checkKnown(held);
      const { view, daemon, monitor } = held;
      const { state, isMonitorUnknown, remark } = view;
      if (monitor === undefined) {
        // It may have one that would say that it is not.
        if (isMonitorUnknown && view.monitor === undefined) {
          throw new LookError(remark);
        }
        // Nobody says more of it than that it runs.
        if (daemon === undefined) throw new ActionFailure("not running");
        return { done: "ready", state, pid: daemon.pid, monitor: undefined };
      }
      const pid = yield* readyUnder(pidfile, monitor, deadline, timeout);
      if (pid === undefined) continue;
      return { done: "ready", state: "running", pid, monitor: monitor.pid };
    } finally {
      held.release();
    }
  }
}

/** The daemon, once it is ready; `undefined` when its monitor has ended. */
function* readyUnder(
  pidfile: string,
  monitor: ProvenMonitor,
  deadline: number,
  timeout: number,
): Job<number | undefined> {
  const watch = MonitorWatch.start(pidfile, monitor);
  try {
    while (watch !== undefined) {
      const { record, isLast } = watch.look();
      if (isLast) return undefined;
      if (record.phase === "running" && runs(pidfile, record)) {
        return record.pid;
      }
      if (record.phase === "stopping") {
        throw new ActionFailure("is being stopped");
      }
      if (bootTime() >= deadline) {
        throw new ActionFailure(`is not ready after ${seconds(timeout)}`);
      }
      yield watch.next(deadline);
    }
    return undefined;
  } finally {
    watch?.stop();
  }
}

/** When it has crashed its monitor may not have seen that yet. */
function runs(pidfile: string, { pid, monitor }: MonitorRecord): boolean {
  const look = lookAtPidfile(pidfile);
  if (look.kind === "running" && look.pid === pid) return true;
  if (isDaemonOf(pid, monitor)) return true;
  if (look.kind === "error") throw new LookError(look.reason);
  return false;
}

function checkKnown({ view, pidfds }: DaemonHold): void {
  if (view.isElsewhere) {
    throw new ActionFailure(
      "runs in another PID namespace, and cannot be waited for from here",
    );
  }
  if (pidfds.length > 0) return;
  if (view.state === "unknown") throw new LookError(view.remark);
  if (view.pid !== undefined || view.record !== undefined) {
    throw new ActionFailure("is changing all the time");
  }
}
