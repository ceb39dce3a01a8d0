/**
 * What a monitor knows: one plain record, so that a monitor can be put away
 * and resumed wherever it waits.
 *
 * @module
 */

import type { SelfImage } from "./self_image.ts";

/** Where a monitor is between two waits. */
export type MonitorPhase =
  /** The daemon is forked and has not said that it is ready. */
  | "starting"
  /** The daemon runs. */
  | "running"
  /** The daemon has crashed, and it is too early for the next. */
  | "backingOff"
  /** Somebody wants the end, and the daemon has been told. */
  | "stopping";

/** Which ends of a daemon are followed by a new one. */
export type RestartPolicy =
  | "no"
  /** The C's: an error signal. */
  | "on-error-signal"
  /** An uncaught error of a Deno program too, by its exit status. */
  | "on-crash";

/** All that a monitor knows. Descriptors are those of this process. */
export interface MonitorState {
  /** Where it is. */
  phase: MonitorPhase;
  /** Which ends are followed by a restart. */
  readonly policy: RestartPolicy;
  /** The daemon's pidfile. */
  readonly pidfile: string | undefined;
  /** Whether the standard descriptors are let go of after the first start. */
  readonly detach: boolean;
  /** Whether the working directory becomes `/` after the first start. */
  readonly chdir: boolean;
  /** The daemon, or the last one while backing off. */
  daemonPid: number;
  /** Whether a daemon has been ready since this monitor began. */
  everReady: boolean;
  /** How often the daemon has died of an error. */
  crashes: number;
  /** The last crash, for the title and the log; `healthy` before the first. */
  statusMsg: string;
  /** The exit status by which the last end is passed on. */
  exitStatus: number;
  /** Whether a daemon has dumped core: the next ones do not. */
  coreDumped: boolean;
  /** When the last restart was, in milliseconds since boot. */
  lastRestart: number | undefined;
  /** The program to start again for a daemon; `undefined` forks in place. */
  readonly image: SelfImage | undefined;
  /** Read when a signal has come for the monitor or its daemon. */
  signalFd: number;
  /** Read when the daemon is ready; -1 while no start is under way. */
  startupFd: number;
  /** Written when the first daemon is ready; -1 afterwards. */
  notifyFd: number;
  /** When backing off is over, in milliseconds since boot. */
  deadline: number | undefined;
  /** Read from the deadline on. */
  readonly deadlineFd: number;
}
