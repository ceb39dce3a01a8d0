/**
 * What a monitor knows: one plain record, so that a monitor can be put away
 * and resumed wherever it waits.
 *
 * @module
 */
import { Signal } from "../ffi/signal.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import type { Throttle } from "./restart_throttle.ts";
import type { Surroundings } from "./surroundings.ts";
import type { LogState } from "./vlog.ts";

/** Where a monitor is between two waits. */
export const MONITOR_PHASES = [
  /** The daemon is forked and has not said that it is ready. */
  "starting",
  /** The daemon is its command, and is not ready yet. */
  "notReady",
  /** The daemon was not ready in time, and has been told to end. */
  "timedOut",
  /** The daemon runs, and is ready. */
  "running",
  /** The daemon runs and does nothing any more, and is being killed for it. */
  "hung",
  /** The daemon has been told to end, and another is to follow it. */
  "restarting",
  /** The daemon has crashed, and it is too early for the next. */
  "backingOff",
  /** Somebody wants the end, and the daemon has been told. */
  "stopping",
  /** The daemon has ended, and what it has left is to end too. */
  "clearing",
] as const;
/** One of these. */
export type MonitorPhase = typeof MONITOR_PHASES[number];

/** Which ends of a daemon are followed by a new one. */
export const RESTART_POLICIES = [
  "no",
  /** The C's: an error signal. */
  "on-error-signal",
  /** Any signal, and any exit status but 0. */
  "on-failure",
  /** All. */
  "always",
  /** An uncaught error of a Deno program too, by its exit status. */
  "on-crash",
] as const;
/** One of these. */
export type RestartPolicy = typeof RESTART_POLICIES[number];

/** What a daemon is made of, when it is to end. */
export const KILL_MODES = [
  /** Its own process. */
  "process",
  /** The process group that it leads. */
  "group",
  /** All processes that come from it, whatever their group and session. */
  "tree",
] as const;
/** One of these. */
export type KillMode = typeof KILL_MODES[number];

/** How far it has come that what a daemon has left ends. */
export const CLEARING_STEPS = [
  /** It has been told to. */
  "told",
  /** It did not do so, and is killed. */
  "killed",
  /** Some of it cannot be ended. */
  "given up",
] as const;

/** The phases that somebody may ask for while a daemon's leftovers end. */
export const WISHES = ["stopping", "restarting"] as const;

/** A daemon that has ended, while what it has left has not. */
export interface Clearing {
  /** The phase in which it ended, and that is gone on from. */
  readonly phase: MonitorPhase;
  /** What somebody has asked for since, as the phase that it would lead to. */
  wish: typeof WISHES[number] | undefined;
  /** How it ended. */
  readonly status: WaitStatus;
  /** How far that has come. */
  step: typeof CLEARING_STEPS[number];
}

/** The signals that have another effect in us than our caller has given them. */
export const CHANGED_SIGNALS: readonly number[] = [
  Signal.SIGPIPE,
  Signal.SIGCHLD,
];

/** How a tend in the foreground has heard that its command is to hang up. */
export const HANGUPS = [
  /** By a SIGHUP of somebody's, as of the shell that loses its terminal. */
  "told",
  /** The terminal has gone. */
  "terminal",
] as const;

/** Which streams of a command go to one file. */
export const STREAMS = ["both", "stdout", "stderr"] as const;

/** A file that takes what a command writes. */
export interface OutputFile {
  /** Which of its streams. */
  readonly streams: typeof STREAMS[number];
  /** An absolute path. */
  readonly file: Uint8Array;
}

/** What a logger does to what it writes. */
export interface Logging {
  /** When it begins a new file, and how many older ones are kept. */
  readonly rotate:
    | { readonly size: number; readonly count: number }
    | undefined;
  /** Whether each line begins with the time. */
  readonly timestamps: boolean;
}

/** Where what a command writes goes. */
export interface Outputs {
  /** One, or two of which each takes one stream. */
  readonly files: readonly OutputFile[];
  /** What loggers do on the way; without it the command has the files. */
  readonly logging: Logging | undefined;
}

/** How far a file has been written. */
export interface FilePlace {
  /** The device. */
  readonly dev: string;
  /** The inode. */
  readonly ino: bigint;
  /** The size in bytes. */
  readonly size: bigint;
}

/** Something that a logger cannot do. */
export interface LoggerTrouble {
  /** The number by which it is told. */
  readonly kind: number;
  /** What it is, for people. */
  readonly text: string;
}

/** A process that writes to a file what comes out of a pipe. */
export interface Logger {
  /** The process; 0 when there is none. */
  pid: number;
  /** When it was started, in milliseconds since boot. */
  since: number;
  /** The pipe's read end, for another logger when this one is killed. */
  readonly readFd: number;
  /** The pipe's write end, for the command. */
  readonly writeFd: number;
  /** An event descriptor by which the logger says that all is written. */
  readonly ackFd: number;
  /** What it cannot do with its file: a message for each of `TROUBLES`. */
  troubles: readonly LoggerTrouble[];
}

/** A command that was found, for a daemon that becomes it. */
export interface Command {
  /** The file to execute. */
  readonly path: Uint8Array;
  /** Its arguments as they were given, with its name first. */
  readonly argv: readonly Uint8Array[];
  /** Which of {@linkcode CHANGED_SIGNALS} the caller had ignored. */
  readonly ignored: readonly number[];
  /** What it is to find otherwise than its caller has it, if anything. */
  readonly surroundings: Surroundings | undefined;
  /** Where what it writes goes, if not where its caller's does. */
  readonly outputs: Outputs | undefined;
}

/** How it may show that a daemon is ready, besides by its exec. */
export const READY_WAYS = [
  /** It says so, as systemd's daemons do. */
  "notify",
  /** It writes a newline to a descriptor, as those of s6 do. */
  "fd",
  /** Something accepts connections. */
  "tcp",
  "unix",
  /** A file appears, or changes. */
  "file",
  /** It has lived for some time. */
  "delay",
] as const;

/** When a daemon is ready. */
export interface Readiness {
  /** In which way that shows. */
  readonly how: typeof READY_WAYS[number];
  /**
   * The descriptor, `[HOST:]PORT`, the absolute path, or milliseconds; empty
   * for `notify`.
   */
  readonly operand: string;
  /** How long that may take, in milliseconds. */
  readonly timeout: number;
}

/** How a daemon ended. */
export interface DaemonEnd {
  /** The daemon. */
  readonly pid: number;
  /** How it ended: `killed (Segmentation fault)`. */
  readonly text: string;
  /** When, in milliseconds since 1970. */
  readonly at: number;
  /** How long it ran, in milliseconds. */
  readonly uptime: number | undefined;
}

/** How a start of a daemon came out, the first one or another. */
export interface StartOutcome {
  /** How many starts have come out, with this one. */
  readonly count: number;
  /** The daemon; 0 when there was no process for it. */
  readonly pid: number;
  /** Whether it was ready. */
  readonly ready: boolean;
  /** The exit status of one that failed; 0 of one that is ready. */
  readonly status: number;
  /** How it failed: `exit status 127`. */
  readonly text: string | undefined;
}

/** Something that has failed, and is to be tried again. */
export interface Retry {
  /** When, in milliseconds since boot. */
  readonly at: number;
  /** How long after it had failed, in milliseconds. */
  readonly delay: number;
}

/** All that a monitor knows. Descriptors are those of this process. */
export interface MonitorState {
  /** Where it is. */
  phase: MonitorPhase;
  /** Which ends are followed by a restart. */
  readonly policy: RestartPolicy;
  /** How fast restarts follow each other. */
  readonly throttle: Throttle;
  /** A shell's command for each crash. */
  readonly onCrash: string | undefined;
  /** Under which the daemon is known. */
  readonly name: string;
  /** What the daemon is made of, when it is to end. */
  readonly killMode: KillMode;
  /** By which it is told to end, whatever signal has come for that. */
  readonly stopSignal: number | undefined;
  /** How long it has for that, in milliseconds, if somebody has said so. */
  readonly stopTimeout: number | undefined;
  /**
   * Children of ours, besides its loggers, that the daemon has not started: they
   * are no part of it, whatever the kill mode. Those that have ended are taken out
   * before they are waited for, so a number in here is no other process's.
   */
  helpers: readonly number[];
  /** What the daemon becomes; without it, it is this program itself. */
  readonly command: Command | undefined;
  /** The daemon's pidfile. */
  readonly pidfile: string | undefined;
  /** Whether a pidfile that another process holds is replaced. */
  readonly overwritePidfile: boolean;
  /** Whether the standard descriptors are let go of after the first start. */
  readonly detach: boolean;
  /** Whether the working directory becomes `/` after the first start. */
  readonly chdir: boolean;
  /** Why the caller's things could not be left, until that is said. */
  detachError: string | undefined;
  /** The daemon, or the last one while backing off. */
  daemonPid: number;
  /** Whether it was forked, and may become a command; not started again. */
  daemonIsFork: boolean;
  /** Whether a daemon has been ready since this monitor began. */
  everReady: boolean;
  /** When the daemon was started, in milliseconds since 1970. */
  startedAt: number | undefined;
  /** How the last one ended. */
  lastEnd: DaemonEnd | undefined;
  /**
   * The last lines that it wrote to stderr, if they are known. The file that
   * took them need not be readable by all who may read the monitor's.
   */
  lastWords: string | undefined;
  /** How the last start came out. */
  lastStart: StartOutcome | undefined;
  /** The signal by which the daemon was told to end, if it was. */
  told: number | undefined;
  /** When a signal asked for the end first, in milliseconds since boot. */
  stoppedAt: number | undefined;
  /** What has been heard of a hangup, in the foreground. */
  hangup: typeof HANGUPS[number] | undefined;
  /** The daemon that has ended, in phase `clearing`. */
  clearing: Clearing | undefined;
  /** What the last one has left that does not end by SIGKILL. */
  left: readonly number[];
  /** How often the daemon was started anew because somebody wanted it. */
  restarts: number;
  /** Why it is about to be started anew, if somebody wants it. */
  restartMsg: string | undefined;
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
  /** How far the next one is from it, in milliseconds. */
  interval: number;
  /** Since when the daemon has been ready, in milliseconds since boot. */
  readySince: number | undefined;
  /** When the last daemons ended, as far as a limit counts them. */
  recentEnds: readonly number[];
  /** Why there is no other daemon, after too many. */
  gaveUp: string | undefined;
  /** Whether the command for crashes is to be started yet for the last one. */
  hookDue: boolean;
  /** Read when a signal has come for the monitor or its daemon. */
  readonly signalFd: number;
  /** Read when the daemon is ready; -1 while no start is under way. */
  startupFd: number;
  /** Written when the first daemon is ready; -1 afterwards. */
  notifyFd: number;
  /** When the daemon is ready; without it, when it is its command. */
  readonly ready: Readiness | undefined;
  /** Read when the daemon may be ready; -1 without that. */
  readinessFd: number;
  /** Read when the daemon says something of itself; -1 without that. */
  messagesFd: number;
  /** After how many milliseconds to look again whether it is ready. */
  lookAgain: number;
  /** The file that is to appear, as it was before the start. */
  fileBefore: string | undefined;
  /** Where a service manager above us hears of the daemon, if there is one. */
  readonly managerSocket: Uint8Array | undefined;
  /** What it was told last. */
  toldManager: string;
  /** What the daemon says of its state: `STATUS=`. */
  statusText: string | undefined;
  /** How often it has to say that it works, in milliseconds, if it has to. */
  readonly watchdog: number | undefined;
  /** The same as this one daemon has it, which may change it; 0 for never. */
  watchdogInterval: number;
  /** Read when it has not said so in time; -1 where it need not. */
  readonly watchdogFd: number;
  /** Why it counts as hung: `hung (WATCHDOG=trigger)`. */
  hungMsg: string | undefined;
  /**
   * When backing off is over, or the patience with a daemon, in milliseconds
   * since boot.
   */
  deadline: number | undefined;
  /** When backing off is over in milliseconds since 1970, as it was then. */
  backingOffUntil: number | undefined;
  /** Where in its file the daemon's stderr begins. */
  stderrFrom: FilePlace | undefined;
  /** Those of the command's files, in their order; none without logging. */
  loggers: readonly Logger[];
  /** The monitor's file, whose lock says that it lives; -1 without one. */
  monitorFd: number;
  /**
   * When to write to it again, which has failed, if it has: in milliseconds since
   * boot.
   */
  showAgain: Retry | undefined;
  /** Read from the deadline on, or when it is time to write to that file again. */
  readonly deadlineFd: number;
  /** Sleeps when nothing has happened for so many milliseconds. */
  sleepAfter: number | undefined;
  /** The file of this program, by the name that it had when it began. */
  readonly program: string;
  /** The log, as it was before the last sleep. */
  log: LogState | undefined;
}
