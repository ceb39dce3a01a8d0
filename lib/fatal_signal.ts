/**
 * What has to be done before a process ends: files to remove, hooks to run.
 * Port of fatal-signal.c.
 *
 * The C handles its signals in a handler and acts on them where it polls. Here
 * they stay blocked, and are looked for in the same places.
 *
 * @module
 */
import { unlink } from "../ffi/file.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { exitNow, getpid, kill } from "../ffi/process.ts";
import {
  isIgnored,
  raise,
  setDisposition,
  setSignalMask,
  Signal,
  takePendingSignal,
} from "../ffi/signal.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("fatal_signal");

/** The signals that end a process after its hooks have run. */
export const FATAL_SIGNALS: readonly number[] = [
  Signal.SIGTERM,
  Signal.SIGINT,
  Signal.SIGHUP,
  Signal.SIGALRM,
];

const filesToUnlink = new Set<string>();
const hooks: (() => void)[] = [];

/**
 * Has a file removed when the process ends. Port of
 * `fatal_signal_add_file_to_unlink()`.
 *
 * @param path Its absolute path: the working directory may be another by then.
 */
export function addFileToUnlink(path: string): void {
  filesToUnlink.add(path);
}

/**
 * Forgets a file that was to be removed. Port of
 * `fatal_signal_remove_file_to_unlink()`.
 *
 * @param path The path as it was given.
 */
export function removeFileToUnlink(path: string): void {
  filesToUnlink.delete(path);
}

/**
 * Has a function called when the process ends. Port of
 * `fatal_signal_add_hook()`.
 *
 * @param hook The function; what it throws is logged.
 */
export function addExitHook(hook: () => void): void {
  hooks.push(hook);
}

/**
 * Runs the hooks and removes the files, once.
 */
export function runExitHooks(): void {
  for (const hook of hooks.splice(0)) {
    try {
      hook();
    } catch (error) {
      vlog.err(`exit hook failed: ${error}`);
    }
  }
  for (const path of filesToUnlink) {
    filesToUnlink.delete(path);
    try {
      unlink(path);
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      if (error.errno === Errno.ENOENT) continue;
      vlog.warn(`could not unlink "${path}" (${error.reason})`);
    }
  }
}

/**
 * Ends the process after its hooks.
 *
 * @param status The exit status, 0 to 255.
 * @returns Never.
 */
export function exit(status: number): never {
  runExitHooks();
  return exitNow(status);
}

/**
 * Forgets all files and hooks, in a parent whose child has them now. Port of
 * `fatal_signal_fork()`.
 */
export function fatalSignalFork(): void {
  filesToUnlink.clear();
  hooks.length = 0;
}

/**
 * Holds back the fatal signals, until {@linkcode fatalSignalRun} looks for
 * them. A signal that the caller had ignored stays ignored.
 */
export function fatalSignalBlock(): void {
  setSignalMask(caughtSignals(FATAL_SIGNALS));
}

/**
 * Those of some signals that a caller has not had ignored. One that is ignored
 * must not be blocked either: the kernel keeps a blocked signal pending, even
 * when it is ignored, and we would hear of it.
 *
 * @param signals The signals.
 * @returns Those that have an effect on this process.
 */
export function caughtSignals(signals: readonly number[]): number[] {
  return signals.filter((signal) => !isIgnored(signal));
}

/**
 * Ends the process when a fatal signal is pending: after the hooks, of that
 * same signal, so that whoever waits for it sees the truth. Port of
 * `fatal_signal_run()`.
 */
export function fatalSignalRun(): void {
  const signal = takePendingSignal(FATAL_SIGNALS);
  if (signal === undefined) return;
  runExitHooks();
  dieOf(signal);
}

/**
 * Ends the process by a signal.
 *
 * @param signal The signal.
 */
export function dieOf(signal: number): void {
  setDisposition(signal, "default");
  setSignalMask([]);
  raise(signal);
  kill(getpid(), Signal.SIGKILL);
}
