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
import { dirname } from "@std/path/dirname";
import { resolve } from "@std/path/resolve";
import {
  close,
  dupFrom,
  type FileStat,
  fstat,
  ftruncate,
  isRegularFile,
  O_APPEND,
  O_CREAT,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  open,
  rename,
  statFile,
  writeFully,
} from "../ffi/file.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { fcntlGetlk, fcntlSetlk } from "../ffi/lock.ts";
import { getpid } from "../ffi/process.ts";
import { signalfd } from "../ffi/signal.ts";
import { geteuid } from "../ffi/user.ts";
import {
  bootTime,
  inotifyNames,
  pidfdOpen,
  timerfd,
  waitReadable,
} from "../ffi/wait.ts";
import { rundir } from "./dirs.ts";
import {
  addFileToUnlink,
  FATAL_SIGNALS,
  fatalSignalRun,
  removeFileToUnlink,
} from "./fatal_signal.ts";
import {
  namesFile,
  pidfileState,
  setOurPidfile,
  startObstacle,
} from "./pidfile_state.ts";
import { programName } from "./program_name.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** The lowest descriptor for a pidfile: out of the way of what programs use. */
const PIDFILE_FD = 100;
/** How long to wait for another process in the middle of its own start. */
const CONTENTION_MS = 10_000;

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
  return name?.startsWith("/")
    ? resolve(name)
    : resolve(rundir(), name ?? `${programName()}.pid`);
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
  const pid = getpid();
  const tmpfile = overwrite ? `${pidfile}.tmp${pid}` : `${pidfile}.tmp`;
  const { fd, file } = overwrite
    ? lockTmpfile(tmpfile)
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
  const deadline = bootTime() + CONTENTION_MS;
  for (;;) {
    const state = pidfileState(pidfile, true);
    if (state.kind === "busy" && awaitOther(pidfile, deadline)) continue;
    const obstacle = startObstacle(pidfile, state);
    if (obstacle === undefined) return;
    vlog.fatal(obstacle);
  }
}

/** A temporary pidfile that this process has locked. */
interface LockedFile {
  readonly fd: number;
  readonly file: FileStat;
}

/**
 * Opens and locks the temporary file that everybody shares, so that there is
 * one start at a time.
 *
 * The C fails when it is locked. But whoever has it is done soon: the name goes
 * when it is renamed or removed, and the lock when its holder ends. Then we
 * look again, first whether its daemon runs now.
 */
function lockSharedTmpfile(tmpfile: string, pidfile: string): LockedFile {
  const deadline = bootTime() + CONTENTION_MS;
  for (;;) {
    const obstacle = runningObstacle(pidfile);
    if (obstacle !== undefined) vlog.fatal(obstacle);
    const fd = openTmpfile(tmpfile);
    const error = lockPidfile(fd);
    if (error === undefined) {
      const file = fstat(fd);
      // Between our open and our lock it may have become a pidfile, or gone.
      if (namesFile(tmpfile, file)) return { fd, file };
      close(fd);
      continue;
    }
    close(fd);
    const isLocked = error.errno === Errno.EAGAIN ||
      error.errno === Errno.EACCES;
    if (isLocked && awaitOther(tmpfile, deadline)) continue;
    vlog.fatal(`${tmpfile}: fcntl(F_SETLK) failed (${error.reason})`);
  }
}

function lockTmpfile(tmpfile: string): LockedFile {
  const fd = openTmpfile(tmpfile);
  const error = lockPidfile(fd);
  if (error !== undefined) {
    vlog.fatal(`${tmpfile}: fcntl(F_SETLK) failed (${error.reason})`);
  }
  return { fd, file: fstat(fd) };
}

/**
 * Says why a start would fail for a daemon that runs, without touching a stale
 * file.
 *
 * @param pidfile The file.
 * @returns The message, or `undefined` when no daemon runs.
 */
export function runningObstacle(pidfile: string): string | undefined {
  if (!exists(pidfile)) return undefined;
  const state = pidfileState(pidfile, false);
  return state.kind === "running" || state.kind === "elsewhere"
    ? startObstacle(pidfile, state)
    : undefined;
}

/**
 * Takes the lock of a pidfile. Port of `lock_pidfile()`.
 *
 * @param fd The file.
 * @returns Why it failed, or `undefined` when we have the lock.
 */
function lockPidfile(fd: number): LibcError | undefined {
  try {
    fcntlSetlk(fd);
    return undefined;
  } catch (error) {
    if (error instanceof LibcError) return error;
    throw error;
  }
}

/**
 * Opens a temporary pidfile on a high descriptor. It is moved there before it
 * is locked: closing the low one afterwards would give up the lock.
 */
function openTmpfile(tmpfile: string): number {
  const flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK |
    O_NOCTTY;
  const fd = step(`${tmpfile}: create`, () => open(tmpfile, flags, 0o644));
  const file = fstat(fd);
  if (!isRegularFile(file)) {
    vlog.fatal(`${tmpfile}: create failed (not a regular file)`);
  }
  if (file.uid !== geteuid()) {
    vlog.fatal(
      `${tmpfile}: create failed (it belongs to user ${file.uid}; remove it)`,
    );
  }
  return step(`${tmpfile}: dup`, () => moveOutOfTheWay(fd));
}

function moveOutOfTheWay(fd: number): number {
  let high: number;
  try {
    high = dupFrom(fd, PIDFILE_FD, true);
  } catch (error) {
    // A limit of open files below 100: then it stays where it is.
    if (error instanceof LibcError && error.errno === Errno.EINVAL) return fd;
    throw error;
  }
  close(fd);
  return high;
}

/**
 * Waits until a file may have been let go of by the process that has it
 * locked: until a name in its directory changes or that process ends.
 *
 * @returns Whether to look again; not when the time is over.
 */
function awaitOther(path: string, deadline: number): boolean {
  const fds: number[] = [];
  try {
    // The watch first: what happens after our look must wake us.
    fds.push(inotifyNames(dirname(path)), timerfd(deadline));
    const timer = fds[1]!;
    const holder = holderOf(path);
    if (holder === undefined) return true;
    if (holder > 0) fds.push(pidfdOpen(holder));
    fds.push(signalfd(FATAL_SIGNALS));
    const ready = waitReadable(fds);
    fatalSignalRun();
    return !ready.includes(timer);
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ESRCH) return true;
    throw error;
  } finally {
    fds.forEach(close);
  }
}

function holderOf(path: string): number | undefined {
  let fd: number;
  try {
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ENOENT) {
      return undefined;
    }
    throw error;
  }
  try {
    return fcntlGetlk(fd);
  } finally {
    close(fd);
  }
}

/**
 * Removes what a process that has ended has left of its pidfile, unless
 * another has the name by now.
 *
 * @param pidfile The file.
 * @returns Whether there was something to remove.
 */
export function removeLeftovers(pidfile: string): boolean {
  let removed = false;
  for (const path of [pidfile, `${pidfile}.tmp`]) {
    if (!exists(path)) continue;
    removed = pidfileState(path, true).kind === "none" || removed;
  }
  return removed;
}

function exists(path: string): boolean {
  try {
    statFile(path);
    return true;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    return error.errno !== Errno.ENOENT;
  }
}

/** Makes a step of a start that ends the process, with a message, if it fails. */
function step<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    return vlog.fatal(`${what} failed (${error.reason})`);
  }
}
