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
import { LEFT_GRACE_MS } from "./monitor_clearing.ts";
import { LookError } from "./look_error.ts";
import type { MonitorRecord } from "./monitor_file.ts";
import { MonitorWatch } from "./monitor_watch.ts";
import {
  DaemonHold,
  hasEnded,
  type ProvenMonitor,
  type ProvenProcess,
  signalIfThere,
} from "./proven_process.ts";
import { sendRequest } from "./request.ts";
import { signalName } from "./signal_name.ts";
import {
  endsMore,
  HEARING_MS,
  longerTimeout,
  type StopTerms,
  stopTerms,
  type StopWish,
} from "./stop_terms.ts";
import type { Job } from "./together.ts";

/**
 * Restarts a daemon: its monitor tells it to end, and starts another.
 *
 * @param pidfile Its pidfile.
 * @param wish How the old one is told to end.
 * @param say Is told what happens.
 * @returns The job. It is done when the new daemon is ready.
 */
export function* restartDaemon(
  pidfile: string,
  wish: StopWish,
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
    const terms = stopTerms(wish, before);
    ask(monitor, terms.signal, longerTimeout(terms, before));
    yield* outcome(watch, before, monitor, held, terms, say);
    const { record } = watch.look();
    const { pid, phase: state } = record;
    // While it backed off nothing has ended for us.
    if (before.phase !== "backingOff") warnOfLeft(record, say);
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
  if (daemon !== undefined && view.isMonitorUnknown) {
    throw new LookError(view.remark);
  }
  if (daemon !== undefined) {
    throw new ActionFailure(
      `no tend looks after pid ${daemon.pid}, not restarted: stop it with ` +
        "tend stop, and start it as it was started",
    );
  }
  if (view.state === "unknown") throw new LookError(view.remark);
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
  monitor: ProvenMonitor,
  { daemon }: DaemonHold,
  terms: StopTerms,
  say: Say,
): Job<void> {
  let deadline = bootTime() + terms.timeout;
  const hearing = Math.max(deadline, bootTime() + HEARING_MS);
  let wasKilled = false;
  for (;;) {
    const { record, isLast } = watch.look();
    if (isReady(record, before)) return;
    checkFailed(record, before);
    if (isLast) throw endedInstead(record);
    // One that sleeps, or is held up, may be longer about it than its daemon has.
    const isHeard = record.phase === "restarting" ||
      record.restarts > before.restarts;
    const until = isHeard || wasKilled ? deadline : hearing;
    if (bootTime() >= until) {
      if (record.restarts > before.restarts) {
        // It is starting, and has its own time for that.
        deadline = Infinity;
      } else if (record.phase === "restarting" && !wasKilled) {
        kill(monitor, daemon, terms, say);
        wasKilled = true;
        // Of what the daemon has left the monitor says so when that is over.
        deadline = bootTime() + LEFT_GRACE_MS + KILL_GRACE_MS;
      } else {
        throw notAnswering(record, wasKilled);
      }
      continue;
    }
    yield watch.next(until);
  }
}

/** It is restarted all the same: the monitor has given them up for that. */
function warnOfLeft({ left }: MonitorRecord, say: Say): void {
  if (left.length === 0) return;
  say.warn(
    `restarted, but pid ${left.join(", ")}, left of the old daemon, has not ` +
      `ended within ${seconds(LEFT_GRACE_MS)} of SIGKILL`,
  );
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

/** The monitor alone knows what belongs to its daemon. */
function kill(
  monitor: ProvenMonitor,
  daemon: ProvenProcess | undefined,
  { signal, timeout }: StopTerms,
  say: Say,
): void {
  const isLeft = daemon !== undefined && !hasEnded(daemon);
  if (!isLeft && !endsMore(monitor.record)) return;
  const who = isLeft
    ? `pid ${daemon.pid}`
    : `what ${
      daemon === undefined ? "the daemon" : `pid ${daemon.pid}`
    } has left`;
  say.warn(
    `${who} has not ended within ${seconds(timeout)} of ` +
      `${signalName(signal)}, killed (SIGKILL)`,
  );
  ask(monitor, Signal.SIGKILL);
}

function ask(
  monitor: ProvenMonitor,
  signal: number,
  longer: { timeout?: number } = {},
): void {
  const request = { kind: "restart", signal, ...longer } as const;
  signalIfThere(monitor, (pidfd) => sendRequest(pidfd, request));
}

function notAnswering(
  { monitor, pid }: MonitorRecord,
  wasKilled: boolean,
): ActionFailure {
  return new ActionFailure(
    wasKilled
      ? `pid ${pid} has not ended within ${
        seconds(LEFT_GRACE_MS + KILL_GRACE_MS)
      } of ` +
        "SIGKILL, not restarted"
      : `its monitor, pid ${monitor}, does not answer, not restarted: ` +
        "tend stop ends it",
  );
}
