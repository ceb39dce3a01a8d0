/**
 * Stopping a daemon and its monitor, for certain.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { close } from "../ffi/descriptor.ts";
import { readProcess } from "../ffi/process_table.ts";
import { Signal } from "../ffi/signal.ts";
import { bootTime, waitReadable } from "../ffi/wait.ts";
import {
  type Achieved,
  ActionFailure,
  KILL_GRACE_MS,
  type Say,
  seconds,
} from "./action.ts";
import { lookAt } from "./daemon_look.ts";
import { holdParts } from "./daemon_parts.ts";
import { viewOf } from "./daemon_state.ts";
import { LookError } from "./look_error.ts";
import { LEFT_GRACE_MS } from "./monitor_clearing.ts";
import type { MonitorRecord } from "./monitor_file.ts";
import { removeStaleMonitorFile } from "./monitor_hold.ts";
import { MonitorWatch } from "./monitor_watch.ts";
import {
  holdOrphanedParts,
  lastRecordOf,
  whoIsLeft,
} from "./orphaned_parts.ts";
import { GroupHold, type PartsHold } from "./parts_hold.ts";
import { removeLeftovers } from "./pidfile.ts";
import { isNoPidfile } from "./pidfile_state.ts";
import {
  DaemonHold,
  hasEnded,
  type ProvenMonitor,
  type ProvenProcess,
  sendSignal,
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
import { allEnd, type Job } from "./together.ts";

/** How often to try to remove what others have in their hands. */
const ATTEMPTS = 3;
/** How often to look whether a monitor has come to a stop, each for 1 ms. */
const STOP_LOOKS = 100;

/** How a daemon is stopped. */
export interface StopOptions extends StopWish {
  /** Whether all of its process group is told, where no monitor does that. */
  readonly killGroup: boolean;
}

/**
 * Stops a daemon and its monitor.
 *
 * The monitor is asked to: it notes that first, and then tells the daemon, so no
 * restart can come between. Where there is none the daemon is told itself. When
 * they have ended, the locks are read again: whoever holds them then has been
 * started meanwhile, and has to go too. So it is done when nobody holds them.
 *
 * @param pidfile Its pidfile.
 * @param options How.
 * @param say Is told what happens.
 * @returns The job.
 */
export function* stopDaemon(
  pidfile: string,
  options: StopOptions,
  say: Say,
): Job<Achieved> {
  const begin = bootTime();
  let seen: Pick<Achieved, "pid" | "monitor"> | undefined;
  let wasKilled = false;
  for (;;) {
    const held = DaemonHold.take(pidfile);
    try {
      checkReachable(held);
      const { daemon, monitor } = held;
      const last = monitor === undefined ? lastRecordOf(pidfile) : undefined;
      const terms = stopTerms(options, monitor?.record ?? last);
      const deadline = begin + terms.timeout;
      if (daemon === undefined && monitor === undefined) {
        const left = seen === undefined && last && whoIsLeft(last);
        if (left) say.warn(left);
        clearUp(pidfile, seen === undefined, held.view.state === "stale", say);
        const done = seen === undefined
          ? "none"
          : wasKilled
          ? "killed"
          : "stopped";
        return {
          done,
          state: viewOf(lookAt(pidfile)).state,
          pid: seen?.pid,
          monitor: seen?.monitor,
        };
      }
      if (seen !== undefined && bootTime() >= deadline) {
        throw new ActionFailure(
          `another was started meanwhile, as pid ${held.view.pid}, not stopped`,
        );
      }
      seen = {
        pid: daemon?.pid ?? seen?.pid,
        monitor: monitor?.pid ?? seen?.monitor,
      };
      const how = { ...terms, killGroup: options.killGroup };
      const ended = yield* endHeld(pidfile, held, last, how, deadline, say);
      wasKilled ||= ended === "killed";
    } finally {
      held.release();
    }
  }
}

function checkReachable({ view, daemon, monitor }: DaemonHold): void {
  if (view.isElsewhere) {
    throw new ActionFailure(
      "runs in another PID namespace, not stopped: stop it from within that",
    );
  }
  if (daemon !== undefined || monitor !== undefined) return;
  if (view.state === "unknown") throw new LookError(view.remark);
  if (view.pid !== undefined || view.record !== undefined) {
    throw new ActionFailure("is changing all the time, not stopped");
  }
}

/** Removes what is left of it, unless somebody holds it by now. */
function clearUp(
  pidfile: string,
  isFirst: boolean,
  wasStale: boolean,
  say: Say,
): void {
  // Whoever mistypes a name must not lose that file.
  if (wasStale && isNoPidfile(pidfile)) {
    throw new ActionFailure("is no pidfile, left alone");
  }
  let isLeft = true;
  // A start may just have them in its hands, and leave them when it is killed.
  for (let attempt = 0; isLeft && attempt < ATTEMPTS; attempt++) {
    // In the order in which a monitor removes them.
    removeStaleMonitorFile(pidfile);
    removeLeftovers(pidfile);
    const { state, remark } = viewOf(lookAt(pidfile));
    if (state === "unknown") throw new LookError(remark);
    isLeft = state === "stale";
  }
  if (isLeft) say.warn("not running, its stale files could not be removed");
  else if (isFirst) {
    say.note(
      wasStale ? "not running, its stale files are removed" : "not running",
    );
  }
}

/** Ends those that are held, one way or the other. */
function* endHeld(
  pidfile: string,
  held: DaemonHold,
  last: MonitorRecord | undefined,
  how: StopTerms & Pick<StopOptions, "killGroup">,
  deadline: number,
  say: Say,
): Job<"stopped" | "killed"> {
  const { signal } = how;
  const { daemon, monitor } = held;
  const killGroup = how.killGroup &&
    !(monitor !== undefined && endsMore(monitor.record));
  // Before anybody has ended: then it could not be told whose group it was.
  const group = killGroup
    ? GroupHold.take(held)
    : holdOrphanedParts(held, last, say);
  const watch = monitor && MonitorWatch.start(pidfile, monitor);
  try {
    if (monitor !== undefined) {
      const longer = longerTimeout(how, monitor.record);
      const request = { kind: "stop", signal, ...longer } as const;
      signalIfThere(monitor, (pidfd) => sendRequest(pidfd, request));
    } else if (daemon !== undefined) {
      sendSignal(daemon, signal);
    }
    const members = group?.members ?? [];
    for (const member of members) sendSignal(member, signal);
    const all = [...held.pidfds, ...members.map(({ pidfd }) => pidfd)];
    const isInTime = yield* allEnd(all, deadline);
    if (!isInTime) yield* forceEnd(pidfile, held, group, how, say);
    const record = watch?.look().record;
    // It has ended since, with some of them running.
    const left = record?.left ?? [];
    if (left.length > 0) throw notKilled(left, LEFT_GRACE_MS);
    if (!isInTime) return "killed";
    if (record !== undefined) warnOfLate(record, say);
    return "stopped";
  } finally {
    watch?.stop();
    group?.release();
  }
}

/** The last word of a monitor names those loggers that have not written all. */
function warnOfLate({ outputs }: MonitorRecord, say: Say): void {
  for (const { file, logger = 0 } of outputs) {
    if (logger === 0) continue;
    say.warn(
      `output still on its way to ${fromBytes(file)}: logger pid ${logger} ` +
        "goes on",
    );
  }
}

/**
 * Ends by SIGKILL what is left when the time is over.
 *
 * A monitor that has heard that its daemon is to end sees that end, and clears
 * up; it is asked to kill what belongs to the daemon, as only it knows that. One that has not would take it for a crash, and start another: it is
 * stopped, in the sense of SIGSTOP, so that it can fork nobody any more, and
 * killed before the daemon.
 */
function* forceEnd(
  pidfile: string,
  { daemon, monitor, bystander }: DaemonHold,
  group: PartsHold | undefined,
  { signal, timeout }: StopTerms,
  say: Say,
): Job<void> {
  const doomed = daemon === undefined ? [] : [daemon];
  const children: ProvenProcess[] = [];
  try {
    const patience = Math.max(timeout, HEARING_MS);
    const isDeaf = monitor !== undefined &&
      !(yield* hears(pidfile, monitor, bootTime() + patience - timeout));
    if (isDeaf) {
      say.warn(
        `its monitor, pid ${monitor.pid}, has not answered within ` +
          `${seconds(patience)}, killed (SIGKILL)`,
      );
      freeze(monitor);
      children.push(...holdParts(monitor));
      sendSignal(monitor, Signal.SIGKILL);
      doomed.push(...children.filter(({ pid }) => pid !== daemon?.pid));
    }
    group?.findMore();
    doomed.push(...group?.members ?? []);
    const late = `has not ended within ${seconds(timeout)} of ${
      signalName(signal)
    }`;
    const killsMore = monitor !== undefined && !isDeaf &&
      endsMore(monitor.record);
    if (killsMore && (daemon === undefined || hasEnded(daemon))) {
      say.warn(`what ${nameOf(daemon)} has left ${late}, killed (SIGKILL)`);
    }
    for (const process of doomed) {
      if (hasEnded(process)) continue;
      const why = isDeaf ? "was not told to end" : late;
      say.warn(`pid ${process.pid} ${why}, killed (SIGKILL)`);
      sendSignal(process, Signal.SIGKILL);
    }
    if (killsMore) {
      const request = { kind: "stop", signal: Signal.SIGKILL } as const;
      signalIfThere(monitor, (pidfd) => sendRequest(pidfd, request));
    }
    const all = [monitor, bystander, ...doomed]
      .filter((process) => process !== undefined);
    const pidfds = all.map(({ pidfd }) => pidfd);
    // It says so itself when what it kills does not end.
    const grace = killsMore ? LEFT_GRACE_MS + KILL_GRACE_MS : KILL_GRACE_MS;
    if (yield* allEnd(pidfds, bootTime() + grace)) return;
    if (monitor !== undefined && !hasEnded(monitor)) {
      say.warn(
        `its monitor, pid ${monitor.pid}, has not ended within ` +
          `${seconds(grace)} of its daemon, killed (SIGKILL)`,
      );
      // It may have been unable to see what its daemon has left.
      freeze(monitor);
      const parts = holdParts(monitor);
      children.push(...parts);
      sendSignal(monitor, Signal.SIGKILL);
      for (const process of parts) {
        say.warn(`pid ${process.pid} was left, killed (SIGKILL)`);
        sendSignal(process, Signal.SIGKILL);
      }
      all.push(...parts);
      pidfds.push(...parts.map(({ pidfd }) => pidfd));
      if (yield* allEnd(pidfds, bootTime() + KILL_GRACE_MS)) return;
    }
    const left = all.filter((process) => !hasEnded(process));
    throw notKilled(left.map(({ pid }) => pid), KILL_GRACE_MS);
  } finally {
    for (const { pidfd } of children) close(pidfd);
  }
}

function notKilled(pids: readonly number[], grace: number): ActionFailure {
  return new ActionFailure(
    `not stopped: pid ${pids.join(", ")} has not ended within ` +
      `${seconds(grace)} of SIGKILL`,
  );
}

function nameOf(daemon: ProvenProcess | undefined): string {
  return daemon === undefined ? "the daemon" : `pid ${daemon.pid}`;
}

/** Whether a monitor notes that its daemon is to end, or has ended itself. */
function* hears(
  pidfile: string,
  monitor: ProvenMonitor,
  until: number,
): Job<boolean> {
  const watch = MonitorWatch.start(pidfile, monitor);
  if (watch === undefined) return hasEnded(monitor);
  try {
    for (;;) {
      const { record, isLast } = watch.look();
      if (isLast || record.phase === "stopping") return true;
      if (bootTime() >= until) return false;
      yield watch.next(until);
    }
  } finally {
    watch.stop();
  }
}

/** Returns when a monitor is stopped: from then on it does nothing. */
function freeze(monitor: ProvenMonitor): void {
  sendSignal(monitor, Signal.SIGSTOP);
  for (let look = 0; look < STOP_LOOKS; look++) {
    if (readProcess(monitor.pid)?.isStopped || hasEnded(monitor)) return;
    waitReadable([], 1);
  }
}
