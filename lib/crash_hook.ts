/**
 * The command that somebody wants to be run at each crash.
 *
 * @module
 */
import { checkExecutable } from "../ffi/access.ts";
import { fromBytes, toBytes } from "../ffi/c_string.ts";
import { close } from "../ffi/descriptor.ts";
import { environment } from "../ffi/environment.ts";
import { keeperImage } from "../ffi/keeper.ts";
import { LibcError } from "../ffi/libc.ts";
import { memfdProgram } from "../ffi/memfd.ts";
import { posixSpawn } from "../ffi/spawn.ts";
import { sparedOfXfsz } from "./file_size_limit.ts";
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
  const argv = ["sh", "-c", state.onCrash];
  const env = environmentWith(facts(state));
  try {
    const pid = state.killMode === "tree"
      ? startKept(argv, env)
      : posixSpawn(SHELL, argv, { env, unblockSignals: true });
    state.helpers = [...state.helpers, pid];
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.warn(`--on-crash: ${SHELL}: ${error.message}`);
  }
}

/**
 * Starts it where a monitor inherits what loses its parent: what the command
 * leaves in the background would become our child, and be taken for the daemon's.
 * It gets a parent that stays for as long as that does.
 */
function startKept(
  argv: readonly string[],
  env: readonly Uint8Array[],
): number {
  const spawn = (path: string, argv: readonly string[]) =>
    posixSpawn(path, argv, { env, unblockSignals: true });
  // Of what its parent cannot execute nobody would hear.
  checkExecutable(SHELL);
  let fd: number | undefined;
  try {
    const image = keeperImage({
      name: "tend-on-crash",
      path: SHELL,
      argv,
      env,
    });
    fd = sparedOfXfsz(() => memfdProgram("tend-on-crash", image));
    return spawn(`/proc/self/fd/${fd}`, ["tend: looking after --on-crash"]);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.warn(
      `--on-crash: ${error.message}, what it leaves in the background ends ` +
        "with the daemon",
    );
    return spawn(SHELL, argv);
  } finally {
    if (fd !== undefined) close(fd);
  }
}

/**
 * Our caller may be a hook itself, of another daemon: what that has been told must
 * not be taken for what happened to ours, least of all where ours has nothing to
 * say.
 */
function environmentWith(
  facts: Readonly<Record<string, string | number | undefined>>,
): Uint8Array[] {
  const isFact = (entry: Uint8Array) =>
    Object.hasOwn(facts, fromBytes(entry).split("=", 1)[0]!);
  const told = Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([variable, value]) => toBytes(`${variable}=${value}`));
  return [...environment().filter((entry) => !isFact(entry)), ...told];
}

function facts(
  { name, lastEnd, lastWords, crashes, pidfile, gaveUp }: MonitorState,
): Record<string, string | number | undefined> {
  const uptime = lastEnd?.uptime;
  return {
    TEND_NAME: name,
    TEND_PIDFILE: pidfile,
    TEND_PID: lastEnd?.pid,
    TEND_END: lastEnd?.text,
    TEND_UPTIME: uptime === undefined ? undefined : uptime / 1000,
    TEND_CRASHES: crashes,
    TEND_STDERR: lastWords,
    TEND_GAVE_UP: gaveUp,
  };
}
