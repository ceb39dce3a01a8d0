/**
 * What has to be done before a process ends: files to remove, hooks to run.
 * Port of fatal-signal.c.
 *
 * The C handles its signals in a handler and acts on them where it polls. Here
 * they stay blocked, and are looked for in the same places.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { unlink } from "../ffi/file.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { exitNow } from "../ffi/process.ts";
import {
  isCaught,
  isIgnored,
  raise,
  setDisposition,
  setSignalMask,
  Signal,
  takePendingSignal,
} from "../ffi/signal.ts";
import { absolutePath } from "../ffi/working_directory.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { refuseWorker } from "./worker.ts";

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
/** Whether they are a child's to see to. */
let suspended = false;

/**
 * Has a file removed when the daemon ends, however it does. Port of
 * `fatal_signal_add_file_to_unlink()`.
 *
 * @param path Its name. A relative one is taken from the working directory as
 * it is now.
 * @throws {Error} In a Worker.
 */
export function addFileToUnlink(path: string): void {
  refuseWorker("addFileToUnlink: a Worker does not end the process");
  filesToUnlink.add(absolute(path));
}

/**
 * Forgets a file that was to be removed. Port of
 * `fatal_signal_remove_file_to_unlink()`.
 *
 * @param path The path as it was given.
 */
export function removeFileToUnlink(path: string): void {
  filesToUnlink.delete(absolute(path));
}

/** The working directory may be another by the time of the end. */
function absolute(path: string): string {
  return fromBytes(absolutePath(path));
}

/**
 * Has a function called when the daemon ends. Port of
 * `fatal_signal_add_hook()`.
 *
 * @param hook The function. What it throws is logged, and `Deno.exit()` ends it
 * alone.
 * @throws {Error} In a Worker.
 */
export function addExitHook(hook: () => void): void {
  refuseWorker("addExitHook: a Worker does not end the process");
  hooks.push(hook);
}

/**
 * Runs the hooks and removes the files, once.
 */
export function runExitHooks(): void {
  if (suspended) return;
  for (const hook of hooks.splice(0)) runHook(hook);
  for (const path of filesToUnlink) {
    filesToUnlink.delete(path);
    try {
      unlink(path);
    } catch (error) {
      // Whatever it is, the process has to end.
      const reason = error instanceof LibcError ? error.reason : String(error);
      if (error instanceof LibcError && error.errno === Errno.ENOENT) continue;
      vlog.warn(`could not unlink "${path}" (${reason})`);
    }
  }
}

/** Thrown where a hook calls `Deno.exit()`. */
class HookExit extends Error {}

/**
 * Runs a hook. `Deno.exit()` ends the hook alone: the process is ending, and
 * what comes after this hook has to be done all the same.
 */
function runHook(hook: () => void): void {
  const exit = Deno.exit;
  Deno.exit = () => {
    throw new HookExit();
  };
  try {
    hook();
  } catch (error) {
    if (!(error instanceof HookExit)) vlog.err(`exit hook failed: ${error}`);
  } finally {
    Deno.exit = exit;
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
 * Leaves all files and hooks to the child. The C forgets them in the parent; but
 * a monitor's later children are to have them too. Port of
 * `fatal_signal_fork()`.
 *
 * @param role Which process this is.
 */
export function fatalSignalFork(role: "parent" | "child"): void {
  suspended = role === "parent";
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
 * Takes away Rust's handlers of SIGSEGV and SIGBUS. They are for stacks that
 * overflow, and swallow the first of these that somebody sends; without them
 * both kinds end the process.
 */
export function dropRustHandlers(): void {
  for (const signal of [Signal.SIGSEGV, Signal.SIGBUS]) {
    if (isCaught(signal)) setDisposition(signal, "default");
  }
}

/**
 * Ends the process by a signal.
 *
 * @param signal The signal.
 */
export function dieOf(signal: number): never {
  setDisposition(signal, "default");
  setSignalMask([]);
  raise(signal);
  // The first process of a PID namespace is spared by its own signals.
  exitNow(128 + signal);
}
