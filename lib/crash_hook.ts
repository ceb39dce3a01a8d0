/**
 * The command that somebody wants to be run at each crash.
 *
 * @module
 */
import { toBytes } from "../ffi/c_string.ts";
import { environment } from "../ffi/environment.ts";
import { LibcError } from "../ffi/libc.ts";
import { posixSpawn } from "../ffi/spawn.ts";
import type { MonitorState } from "./monitor_state.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

const SHELL = "/bin/sh";

/**
 * Starts the command for the last crash, if there is one that it was not started
 * for. Nobody waits for it: the monitor reaps it as any child, or init does.
 *
 * @param state What the monitor knows.
 */
export function runCrashHook(state: MonitorState): void {
  if (!state.hookDue) return;
  state.hookDue = false;
  if (state.onCrash === undefined) return;
  try {
    const pid = posixSpawn(SHELL, ["sh", "-c", state.onCrash], {
      env: [...environment(), ...facts(state)],
      unblockSignals: true,
    });
    state.helpers = [...state.helpers, pid];
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.warn(`--on-crash: ${SHELL}: ${error.message}`);
  }
}

function facts(
  { name, lastEnd, lastWords, crashes, pidfile, gaveUp }: MonitorState,
): Uint8Array[] {
  const uptime = lastEnd?.uptime;
  return Object.entries({
    TEND_NAME: name,
    TEND_PIDFILE: pidfile,
    TEND_PID: lastEnd?.pid,
    TEND_END: lastEnd?.text,
    TEND_UPTIME: uptime === undefined ? undefined : uptime / 1000,
    TEND_CRASHES: crashes,
    TEND_STDERR: lastWords,
    TEND_GAVE_UP: gaveUp,
  }).filter(([, value]) => value !== undefined)
    .map(([variable, value]) => toBytes(`${variable}=${value}`));
}
