/**
 * Having a monitor start its daemon anew.
 *
 * @module
 */
import { Signal } from "../ffi/signal.ts";
import { bootTime } from "../ffi/wait.ts";
import {
  type Achieved,
  ActionFailure,
  KILL_GRACE_MS,
  type Say,
  seconds,
} from "./action.ts";
import type { MonitorRecord } from "./monitor_file.ts";
import { MonitorWatch } from "./monitor_watch.ts";
import {
  DaemonHold,
  hasEnded,
  type ProvenMonitor,
  sendSignal,
  signalIfThere,
} from "./proven_process.ts";
import { sendRequest } from "./request.ts";
import { signalName } from "./signal_name.ts";
import type { Job } from "./together.ts";

/** How a daemon is restarted. */
export interface RestartOptions {
  /** The number of the signal that tells the old one to end. */
  readonly signal: number;
  /** How long it has for that, in milliseconds. */
  readonly timeout: number;
}

/**
 * Restarts a daemon: its monitor tells it to end, and starts another.
 *
 * @param pidfile Its pidfile.
 * @param options How.
 * @param say Is told what happens.
 * @returns The job. It is done when the new daemon is ready.
 */
export function* restartDaemon(
  pidfile: string,
  options: RestartOptions,
  say: Say,
): Job<Achieved> {
  const held = DaemonHold.take(pidfile);
  let watch: MonitorWatch | undefined;
  try {
    const monitor = monitorToAsk(held);
    watch = MonitorWatch.start(pidfile, monitor);
    if (watch === undefined) {
      throw new ActionFailure("has just ended, not restarted");
    }
    const { record: before } = watch.look();
    const { signal } = options;
    signalIfThere(
      monitor,
      (pidfd) => sendRequest(pidfd, { kind: "restart", signal }),
    );
    yield* outcome(watch, before, held, options, say);
    const { record } = watch.look();
    const { pid, phase: state } = record;
    return { done: "restarted", state, pid, monitor: monitor.pid };
  } finally {
    watch?.stop();
    held.release();
  }
}

function monitorToAsk({ view, daemon, monitor }: DaemonHold): ProvenMonitor {
  if (view.isElsewhere) {
    throw new ActionFailure("runs in another PID namespace, not restarted");
  }
  if (monitor?.record.phase === "stopping") {
    throw new ActionFailure("is being stopped, not restarted");
  }
  if (monitor !== undefined) return monitor;
  if (daemon !== undefined) {
    throw new ActionFailure(
      `no tend looks after pid ${daemon.pid}, not restarted: stop it with ` +
        "tend stop, and start it as it was started",
    );
  }
  if (view.state === "unknown") {
    throw new ActionFailure(`${view.remark}, not restarted`);
  }
  throw new ActionFailure(
    "not running, start it with tend run --detach --monitor --pidfile=FILE " +
      "-- COMMAND",
  );
}

/**
 * Waits for how the start comes out.
 *
 * That another daemon was started because it was wanted shows in `restarts`, and
 * how it came out in `lastStart`. Its count alone would not do: the start after
 * a crash, that was under way when we asked, raises it too.
 */
function* outcome(
  watch: MonitorWatch,
  before: MonitorRecord,
  held: DaemonHold,
  options: RestartOptions,
  say: Say,
): Job<void> {
  let deadline = bootTime() + options.timeout;
  let wasKilled = false;
  for (;;) {
    const { record, isLast } = watch.look();
    if (isReady(record, before)) return;
    checkFailed(record, before);
    if (isLast) throw endedInstead(record);
    if (bootTime() >= deadline) {
      if (record.restarts > before.restarts) {
        // It is starting, and has its own time for that.
        deadline = Infinity;
      } else if (record.phase === "restarting" && !wasKilled) {
        kill(held, options, say);
        wasKilled = true;
        deadline = bootTime() + KILL_GRACE_MS;
      } else {
        throw notAnswering(record, wasKilled);
      }
    }
    yield watch.next(deadline);
  }
}

function isReady(record: MonitorRecord, before: MonitorRecord): boolean {
  const { restarts, lastStart, pid, phase } = record;
  return restarts > before.restarts && phase === "running" &&
    lastStart?.ready === true && lastStart.pid === pid;
}

/** Throws when the start has failed. */
function checkFailed(record: MonitorRecord, before: MonitorRecord): void {
  const { restarts, lastStart, monitor, policy } = record;
  if (lastStart === undefined || lastStart.ready) return;
  if (lastStart.count <= (before.lastStart?.count ?? 0)) return;
  // Without a process for it, it was not started, and is not counted.
  const isWanted = restarts > before.restarts || lastStart.pid === 0;
  if (!isWanted) return;
  const then = policy === "no"
    ? ""
    : `, its monitor, pid ${monitor}, tries again`;
  throw new ActionFailure(
    `the new daemon failed before it was ready (${lastStart.text})${then}`,
    lastStart.status || 1,
  );
}

function endedInstead({ lastEnd }: MonitorRecord): ActionFailure {
  const how = lastEnd === undefined
    ? ""
    : ` (pid ${lastEnd.pid} died, ${lastEnd.text})`;
  return new ActionFailure(`its monitor has ended${how}, not restarted`);
}

function kill(
  { daemon }: DaemonHold,
  { signal, timeout }: RestartOptions,
  say: Say,
): void {
  if (daemon === undefined || hasEnded(daemon)) return;
  say.warn(
    `pid ${daemon.pid} has not ended within ${seconds(timeout)} of ` +
      `${signalName(signal)}, killed (SIGKILL)`,
  );
  sendSignal(daemon, Signal.SIGKILL);
}

function notAnswering(
  { monitor, pid }: MonitorRecord,
  wasKilled: boolean,
): ActionFailure {
  return new ActionFailure(
    wasKilled
      ? `pid ${pid} has not ended within ${seconds(KILL_GRACE_MS)} of ` +
        "SIGKILL, not restarted"
      : `its monitor, pid ${monitor}, does not answer, not restarted: ` +
        "tend stop ends it",
  );
}
