/**
 * Making pidfiles: the lock is the truth. Port of the pidfile part of
 * daemon-unix.c.
 *
 * A pidfile names a running daemon if and only if some process holds a write
 * lock on it and the file names that very process. Open vSwitch's programs
 * keep to the same protocol.
 *
 * @module
 */
import { awaitOther } from "./pidfile_contention.ts";
import { isThere } from "../ffi/access.ts";
import { ftruncate, writeFully } from "../ffi/descriptor.ts";
import { dirname } from "@std/path/dirname";
import { isAbsolute } from "@std/path/is-absolute";
import { O_APPEND, rename } from "../ffi/file.ts";
import { isRegularFile, lstatFile } from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { getpid } from "../ffi/process.ts";
import { geteuid } from "../ffi/user.ts";
import { bootTime } from "../ffi/wait.ts";
import { makeDirectory, rundir } from "./dirs.ts";
import { addFileToUnlink, removeFileToUnlink } from "./fatal_signal.ts";
import {
  CONTENTION_MS,
  type LockedFile,
  lockFile,
  lockOwnFile,
  PIDFILE_FD,
  step,
} from "./locked_file.ts";
import {
  pidfileState,
  removeIfStale,
  setOurPidfile,
  startObstacle,
} from "./pidfile_state.ts";
import { programName } from "./program_name.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

const PIDFILE_OPTIONS = { flags: O_APPEND, lowestFd: PIDFILE_FD };
/** How long to wait for another process that is about to remove a file. */
const REMOVAL_MS = 1_000;

/**
 * The file that a pidfile's name stands for. Port of `make_pidfile_name()`.
 *
 * @param name The name; a relative one is below the run directory. Without it,
 * `NAME.pid` there.
 * @returns Its absolute path.
 * @throws {Error} When the run directory is needed and nothing says where it is.
 * @example
 * ```ts
 * import { makePidfileName } from "@tend/daemon";
 *
 * makePidfileName("/srv/web.pid"); // "/srv/web.pid"
 * makePidfileName("web.pid"); // "/run/tend/web.pid" for root
 * ```
 */
export function makePidfileName(name?: string): string {
  // Not made shorter: after a symbolic link `..` is not what it looks like.
  return name !== undefined && isAbsolute(name)
    ? name
    : `${rundir()}/${name ?? `${programName()}.pid`}`;
}

/**
 * Makes the run directory for a pidfile that is named without a directory; any
 * other directory is the user's to make.
 *
 * @param name The name, as for {@linkcode makePidfileName}.
 * @throws {Error} When it cannot be made.
 */
export function makeRundirFor(name?: string): void {
  if (name === undefined || !name.includes("/")) makeDirectory(rundir());
}

/**
 * Makes the run directory anew for a pidfile that is in it, as the start did. It
 * may have gone under a monitor, by a tmpfiles.d or a hand that cleans up, and
 * without it no daemon could be started any more.
 *
 * @param pidfile The absolute path of the pidfile.
 * @throws {Error} When it cannot be made.
 */
export function remakeRundirFor(pidfile: string): void {
  const directory = dirname(pidfile);
  if (!isThere(directory) && directory === rundir()) makeDirectory(directory);
}

/**
 * Makes the pidfile of this process, and has it removed when the process ends.
 * Ends the process with a message when it cannot be had. Port of
 * `make_pidfile()`.
 *
 * @param pidfile The file.
 * @param overwrite Whether one that another process holds is replaced.
 * @returns The descriptor that holds the lock: it has to stay open.
 */
export function makePidfile(pidfile: string, overwrite: boolean): number {
  try {
    remakeRundirFor(pidfile);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    vlog.fatal(error.message);
  }
  const pid = getpid();
  const tmpfile = overwrite ? `${pidfile}.tmp${pid}` : `${pidfile}.tmp`;
  const { fd, file } = overwrite
    ? lockOwnFile(tmpfile, PIDFILE_OPTIONS)
    : lockSharedTmpfile(tmpfile, pidfile);
  addFileToUnlink(tmpfile);
  if (!overwrite) checkAlreadyRunning(pidfile);
  step(`${tmpfile}: truncate`, () => ftruncate(fd, 0));
  step(`${tmpfile}: write`, () => writeFully(fd, `${pid}\n`));
  try {
    rename(tmpfile, pidfile);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.fatal(
      `failed to rename "${tmpfile}" to "${pidfile}" (${error.reason})`,
    );
  }
  // From here on the name may be that of another process's file.
  removeFileToUnlink(tmpfile);
  addFileToUnlink(pidfile);
  setOurPidfile(file);
  return fd;
}

/**
 * Ends the process when the daemon of a pidfile runs already; removes a stale
 * one. Port of `check_already_running()`.
 *
 * @param pidfile The file.
 */
export function checkAlreadyRunning(pidfile: string): void {
  const deadline = bootTime() + REMOVAL_MS;
  // A daemon that is restarted locks the old file before it writes its number.
  const isSettled = () => pidfileState(pidfile, false).kind !== "busy";
  for (;;) {
    // Mostly. Making an error of that takes milliseconds in a bundled program.
    if (!isThere(pidfile)) return;
    const state = pidfileState(pidfile, true);
    if (state.kind === "busy" && awaitOther(pidfile, deadline, isSettled)) {
      continue;
    }
    const obstacle = startObstacle(pidfile, state);
    if (obstacle === undefined) return;
    vlog.fatal(obstacle);
  }
}

/**
 * Opens and locks the temporary file that everybody shares, so that there is
 * one start at a time.
 *
 * The C fails when it is locked. But whoever has it is done soon: the name goes
 * when it is renamed or removed, and the lock when its holder ends. Then we
 * look again.
 */
function lockSharedTmpfile(tmpfile: string, pidfile: string): LockedFile {
  const deadline = bootTime() + CONTENTION_MS;
  for (;;) {
    const locked = lockFile(tmpfile, PIDFILE_OPTIONS);
    if (!(locked instanceof LibcError)) return locked;
    const obstacle = obstacleOf(pidfile);
    if (obstacle !== undefined) vlog.fatal(obstacle);
    if (awaitOther(tmpfile, deadline, () => false)) continue;
    vlog.fatal(`${tmpfile}: fcntl(F_SETLK) failed (${locked.reason})`);
  }
}

/**
 * Says why a start would fail, as far as can be told without touching a stale
 * file.
 *
 * @param pidfile The file.
 * @returns The message, or `undefined` when nothing is in the way yet.
 */
export function obstacleOf(pidfile: string): string | undefined {
  if (!isThere(pidfile)) return undefined;
  const state = pidfileState(pidfile, false);
  // Its daemon may have ended and removed it since we looked: then it is "none".
  const isPassing = state.kind === "busy" ||
    (state.kind === "error" && state.errno === Errno.ESRCH);
  return isPassing ? undefined : startObstacle(pidfile, state);
}

/**
 * Removes what a process that has ended has left of its pidfile, unless
 * another has the name by now.
 *
 * @param pidfile The file.
 * @returns Whether there was something to remove.
 */
export function removeLeftovers(pidfile: string): boolean {
  const removed = isOurs(pidfile) && removeIfStale(pidfile);
  return removeTmpfile(pidfile) || removed;
}

/**
 * Removes the temporary file of a start that was killed, unless another start
 * has it by now.
 *
 * @param pidfile The pidfile that was to become of it.
 * @returns Whether there was one.
 */
export function removeTmpfile(pidfile: string): boolean {
  const path = `${pidfile}.tmp`;
  return isOurs(path) && removeIfStale(path);
}

/**
 * Whether a start would take a file over. One that it refuses is not ours to
 * remove either.
 *
 * @param path The file.
 * @returns Whether it is a regular file of this user's, with one name.
 */
export function isOurs(path: string): boolean {
  try {
    const file = lstatFile(path);
    return isRegularFile(file) && file.nlink === 1 && file.uid === geteuid();
  } catch (error) {
    if (error instanceof LibcError) return false;
    throw error;
  }
}
