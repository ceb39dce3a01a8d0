/**
 * How a monitor starts its daemons: the ordinary way, and a faster one for a
 * command that is restarted.
 *
 * @module
 */
import type { WaitStatus } from "../ffi/wait_status.ts";
import { Launcher } from "./launch.ts";
import type { MonitorState } from "./monitor_state.ts";
import type { SelfImage } from "./self_image.ts";
import { forkForStartup } from "./startup.ts";

/** How far a start has come. */
export type Start =
  /** This is the daemon; `notifyFd` is for `forkNotifyStartup()`. */
  | { readonly kind: "child"; readonly notifyFd: number }
  /** `startupFd` tells when it is ready. */
  | {
    readonly kind: "started";
    readonly pid: number;
    readonly startupFd: number;
  }
  | { readonly kind: "ready"; readonly pid: number }
  /** It ended before it was ready, and was waited for. */
  | {
    readonly kind: "ended";
    readonly pid: number;
    readonly status: WaitStatus;
  };

/** A launch has no place for what a command is given to say something with. */
function needsMeans({ ready, watchdog }: MonitorState): boolean {
  return ready?.how === "notify" || ready?.how === "fd" ||
    watchdog !== undefined;
}

/** Starts the daemons of one monitor. */
export class Starter {
  readonly #image: SelfImage | undefined;
  readonly #makeLauncher: (state: MonitorState) => Launcher | undefined;
  #launcher: Launcher | undefined;
  #isPrepared = false;

  /**
   * @param state What the monitor knows.
   * @param image The program to start again for a daemon; without it the
   * monitor forks in place.
   */
  constructor(state: MonitorState, image: SelfImage | undefined) {
    const { command, pidfile, overwritePidfile, policy, detach } = state;
    this.#image = image;
    this.#makeLauncher = ({ loggers }) =>
      command === undefined || overwritePidfile || policy === "no" ||
        image !== undefined || command.surroundings !== undefined ||
        needsMeans(state)
        ? undefined
        : new Launcher(
          command,
          pidfile,
          loggers.map(({ writeFd }) => writeFd),
          detach,
        );
  }

  /** Whether a daemon is a fork of the monitor's, and may become a command. */
  get forks(): boolean {
    return this.#image === undefined;
  }

  /** Whether there is nothing to do ahead. */
  get isPrepared(): boolean {
    return this.#isPrepared;
  }

  /**
   * Does ahead what a restart would take its time for.
   *
   * @param state What the monitor knows.
   */
  prepare(state: MonitorState): void {
    if (this.#isPrepared) return;
    this.#isPrepared = true;
    this.#launcher = this.#makeLauncher(state);
  }

  /**
   * Starts a daemon.
   *
   * The first one always the ordinary way: it leaves the caller together with
   * the monitor, and reports to it.
   *
   * @param state What the monitor knows.
   * @returns How far that has come, and in which process.
   * @throws {LibcError} When there is no new process to be had.
   */
  start(state: MonitorState): Start {
    const { everReady, coreDumped } = state;
    if (everReady) {
      this.prepare(state);
      const launched = this.#launcher?.launch(coreDumped);
      if (launched !== undefined && launched.kind !== "declined") {
        return launched;
      }
    }
    // Its pidfile will be another file.
    this.#isPrepared = false;
    const child = { role: "daemon", coreDumped, image: this.#image } as const;
    const forked = forkForStartup(child);
    return forked.role === "child"
      ? { kind: "child", notifyFd: forked.notifyFd }
      : { kind: "started", pid: forked.pid, startupFd: forked.startupFd };
  }
}
