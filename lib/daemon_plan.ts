/**
 * What is wanted of a process that becomes a daemon.
 *
 * @module
 */
import type {
  Command,
  KillMode,
  Readiness,
  RestartPolicy,
} from "./monitor_state.ts";
import type { Throttle } from "./restart_throttle.ts";

/** What kind of daemon a process becomes. */
export interface DaemonPlan {
  /** Under which it is known. */
  readonly name: string;
  /** Whether it runs in the background, in a session of its own. */
  readonly detach: boolean;
  /** Whether its working directory becomes `/` when it detaches. */
  readonly chdir: boolean;
  /**
   * Whether its monitor leaves the working directory too. Not that of a program
   * whose later daemons begin where the first did.
   */
  readonly monitorLeaves: boolean;
  /** The absolute path of its pidfile, if it has one. */
  readonly pidfile: string | undefined;
  /** Whether a pidfile that another process holds is replaced. */
  readonly overwritePidfile: boolean;
  /** Which of its ends are followed by a restart; without it, nobody watches. */
  readonly supervise: RestartPolicy | undefined;
  /** How fast restarts follow each other. */
  readonly throttle: Throttle;
  /** A shell's command for each crash, if there is one. */
  readonly onCrash: string | undefined;
  /** What it is made of, when it is to end. */
  readonly killMode: KillMode;
  /** By which it is told to end, whatever signal its monitor has got for that. */
  readonly stopSignal: number | undefined;
  /** How long it has for that, in milliseconds, if somebody has said so. */
  readonly stopTimeout: number | undefined;
  /** Its monitor sleeps when nothing has happened for so many milliseconds. */
  readonly sleepAfter: number | undefined;
  /**
   * The caller's descriptors that stay open when it detaches. They are not
   * closed on exec, so each later daemon has them from its monitor.
   */
  readonly keepFds: readonly number[];
  /**
   * When it is ready; without it, when it is its command or says so. Only where
   * somebody watches it.
   */
  readonly ready: Readiness | undefined;
  /** How often it has to say that it works, in milliseconds, if it has to. */
  readonly watchdog: number | undefined;
  /**
   * Where a service manager above us hears of it. Only where this process itself
   * watches it.
   */
  readonly managerSocket: Uint8Array | undefined;
  /** What it becomes; without it, it is this program itself. */
  readonly command: Command | undefined;
}
