/**
 * The state of a daemon, of what is to be seen of it.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { readFile } from "../ffi/file.ts";
import { LibcError } from "../ffi/libc.ts";
import { UNSHOWN } from "../ffi/proc.ts";
import { readProcessOrFail } from "../ffi/process_table.ts";
import type { DaemonLook } from "./daemon_look.ts";
import { LookError } from "./look_error.ts";
import type { MonitorRecord } from "./monitor_file.ts";
import type { MonitorPhase } from "./monitor_state.ts";

/** What a daemon is: what its monitor is at, or what the locks say. */
export type DaemonState =
  | MonitorPhase
  /** The daemon has ended, and its monitor has not seen it yet. */
  | "ended"
  /** It does not run, and has left a file behind. */
  | "stale"
  /** It does not run. */
  | "stopped"
  /** It cannot be told. */
  | "unknown";

/** What is known of a daemon. Numbers of processes are those that we see. */
export interface DaemonView {
  /** What it is. */
  readonly state: DaemonState;
  /** Its process; `undefined` without one, or one with a number for us. */
  readonly pid: number | undefined;
  /** Its monitor, or the tend that waits for its end. */
  readonly monitor: number | undefined;
  /** What that says. */
  readonly record: MonitorRecord | undefined;
  /** What else there is to know. */
  readonly remark: string | undefined;
  /** Whether one of them is in another PID namespace. */
  readonly isElsewhere: boolean;
  /** Whether there is something that keeps us from telling who looks after it. */
  readonly isMonitorUnknown: boolean;
}

/**
 * Says what is known of a daemon.
 *
 * @param look What is to be seen of it.
 * @returns It.
 */
export function viewOf(look: DaemonLook): DaemonView {
  const { pidfile, monitor } = look;
  const view = {
    pid: pidfile.kind === "running" || pidfile.kind === "elsewhere"
      ? pidfile.pid
      : undefined,
    monitor: monitor.kind === "held" ? monitor.monitor : undefined,
    record: monitor.kind === "held" ? monitor.record : undefined,
    remark: undefined,
    isElsewhere: pidfile.kind === "elsewhere",
    isMonitorUnknown: monitor.kind === "error" ||
      (monitor.kind === "held" && monitor.record === undefined),
  };
  if (view.record !== undefined) return monitored(view, view.record, pidfile);
  switch (pidfile.kind) {
    case "running":
      return {
        ...view,
        state: "running",
        remark: unmonitored(pidfile.pid, monitor),
      };
    case "elsewhere":
      return { ...view, state: "running", remark: "in another PID namespace" };
    case "busy":
    case "error":
      return { ...view, state: "unknown", remark: pidfile.reason };
  }
  switch (monitor.kind) {
    case "held":
      return {
        ...view,
        state: "unknown",
        remark: `pid ${monitor.monitor ?? "unknown"} has its monitor's file ` +
          "locked, with nothing in it that this tend can read",
      };
    case "error":
      return {
        ...view,
        state: "unknown",
        remark: `its monitor's file: ${monitor.reason}`,
      };
    case "stale": {
      const { gaveUp } = monitor.record ?? {};
      const remark = gaveUp === undefined ? undefined : `gave up: ${gaveUp}`;
      return { ...view, state: "stale", remark };
    }
    case "none":
      return { ...view, state: pidfile.kind === "stale" ? "stale" : "stopped" };
  }
}

/** Of one whose monitor lives, and says what it is at. */
function monitored(
  view: Omit<DaemonView, "state">,
  record: MonitorRecord,
  pidfile: DaemonLook["pidfile"],
): DaemonView {
  const { phase, policy } = record;
  if (view.monitor !== record.monitor) {
    // Its number for the daemon is none that we could look for.
    const remark = "in another PID namespace";
    return { ...view, state: phase, remark, isElsewhere: true };
  }
  const remark = [
    policy === "no" ? "unmonitored" : undefined,
    record.statusText || undefined,
    ...record.outputs.map(({ trouble }) => trouble),
  ].filter((text) => text !== undefined).join(", ") || undefined;
  const holdsPidfile = view.pid !== undefined || pidfile.kind === "elsewhere";
  if (holdsPidfile) {
    // It is forked before that is written down.
    const state = phase === "backingOff" || phase === "clearing"
      ? "starting"
      : phase;
    return { ...view, state, remark };
  }
  if (phase === "backingOff") return { ...view, state: phase, remark };
  let isRunning: boolean;
  try {
    isRunning = isDaemonOf(record.pid, record.monitor);
  } catch (error) {
    if (!(error instanceof LookError)) throw error;
    return { ...view, state: "unknown", remark: error.message };
  }
  if (isRunning) {
    const { pid } = record;
    if (pidfile.kind === "error") {
      return { ...view, pid, state: phase, remark: pidfile.reason };
    }
    return phase === "running"
      ? { ...view, pid, state: phase, remark: "not holding its pidfile" }
      : { ...view, pid, state: phase, remark };
  }
  return { ...view, state: phase === "running" ? "ended" : phase, remark };
}

/**
 * Asks whether a process is the daemon that a monitor speaks of.
 *
 * @param pid The process, as the monitor says.
 * @param monitor The monitor, which lives.
 * @returns Whether it is its child, and has not ended.
 * @throws {LookError} When it cannot be looked at.
 */
export function isDaemonOf(pid: number, monitor: number): boolean {
  try {
    const info = pid > 0 ? readProcessOrFail(pid) : undefined;
    return info?.ppid === monitor && !info.hasEnded;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw new LookError(`/proc/${pid}: ${error.reason}`, { cause: error });
  }
}

/** Nobody of ours looks after it: says why. */
function unmonitored(
  pid: number,
  monitor: DaemonLook["monitor"],
): string | undefined {
  switch (monitor.kind) {
    case "none":
      try {
        return ovsMonitorOf(pid) === undefined ? "unmonitored" : undefined;
      } catch (error) {
        if (!(error instanceof LibcError)) throw error;
        return `monitor unknown: ${error.message}`;
      }
    case "stale":
      return "monitor killed";
    case "held":
      return "monitor not readable";
    case "error":
      return `monitor unknown: ${monitor.reason}`;
  }
}

/**
 * The monitor of a daemon of Open vSwitch: its parent, which says so in its
 * title. It has no file of its own.
 *
 * @param pid The daemon.
 * @returns Its monitor; `undefined` when its parent is none, or not shown to us.
 * @throws {LibcError} When it cannot be looked at.
 */
export function ovsMonitorOf(pid: number): number | undefined {
  try {
    const parent = readProcessOrFail(pid)?.ppid ?? 0;
    return parent > 1 && readTitle(parent).includes(`monitoring pid ${pid} (`)
      ? parent
      : undefined;
  } catch (error) {
    const isUnshown = error instanceof LibcError &&
      UNSHOWN.includes(error.errno);
    if (isUnshown) return undefined;
    throw error;
  }
}

/**
 * The command line of a process.
 *
 * @param pid The process.
 * @returns Its words with blanks between them; empty where `/proc` does not tell.
 */
export function commandLineOf(pid: number): string {
  try {
    return readTitle(pid);
  } catch (error) {
    if (error instanceof LibcError) return "";
    throw error;
  }
}

function readTitle(pid: number): string {
  return fromBytes(readFile(`/proc/${pid}/cmdline`)).replace(/\0+$/, "")
    .replaceAll("\0", " ");
}
