/**
 * Reading pidfiles: who runs, if anybody. Port of `read_pidfile__()` in
 * daemon-unix.c.
 *
 * @module
 */
import { close, read, readBeginning } from "../ffi/descriptor.ts";
import { fromBytes } from "../ffi/c_string.ts";
import {
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  open,
  unlink,
} from "../ffi/file.ts";
import {
  type FileStat,
  fstat,
  isDirectory,
  isRegular,
  isSameFile,
  statFile,
} from "../ffi/file_stat.ts";
import { Errno, LibcError, strerror } from "../ffi/libc.ts";
import { fcntlGetlk, fcntlSetlk } from "../ffi/lock.ts";
import { namespacePids } from "../ffi/proc.ts";
import { getpid } from "../ffi/process.ts";
import { foreignness, openOwnWay } from "./foreign_file.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** What a pidfile says, by its lock. */
export type PidfileState =
  /** There is none, or it was stale and is removed. */
  | { readonly kind: "none" }
  /** The daemon runs. */
  | { readonly kind: "running"; readonly pid: number }
  /** The daemon runs, in another PID namespace; `pid` if it has one in ours. */
  | { readonly kind: "elsewhere"; readonly pid?: number }
  /** Somebody else is about to remove it, and soon done. */
  | { readonly kind: "busy"; readonly errno: number }
  /** Nobody holds it, and what is in it no daemon has written. */
  | { readonly kind: "noPidfile" }
  /** It cannot be read, or names nobody. */
  | { readonly kind: "error"; readonly errno: number };

/**
 * Our own pidfile. We must not open it again: closing any descriptor of a
 * locked file gives up the lock.
 */
let ourPidfile: FileStat | undefined;

/**
 * Remembers which file is this process's pidfile.
 *
 * @param stat A look at it; `undefined` in a child, which has no lock.
 */
export function setOurPidfile(stat: FileStat | undefined): void {
  ourPidfile = stat;
}

/**
 * Reads a pidfile.
 *
 * @param pidfile The file.
 * @param deleteIfStale Whether one that nobody holds is removed.
 * @returns What it says. Problems are logged.
 */
export function pidfileState(
  pidfile: string,
  deleteIfStale: boolean,
): PidfileState {
  if (ourPidfile !== undefined && namesFile(pidfile, ourPidfile)) {
    return { kind: "running", pid: getpid() };
  }
  let fd: number;
  try {
    // Asking for a lock needs no write access.
    fd = openIfRegular(pidfile, deleteIfStale ? O_RDWR : O_RDONLY);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ENOENT) return { kind: "none" };
    vlog.warn(`${pidfile}: open: ${error.reason}`);
    return { kind: "error", errno: error.errno };
  }
  try {
    return openPidfileState(pidfile, fd, deleteIfStale);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.warn(`${pidfile}: ${error.call}: ${error.reason}`);
    return { kind: "error", errno: error.errno };
  } finally {
    close(fd);
  }
}

/**
 * Opens a file, which may be somebody else's by way of a link. To open a device
 * or a FIFO is an event for it, a watchdog's for example; to look at it is none.
 *
 * @param path The file.
 * @param mode `O_RDONLY` or `O_RDWR`.
 * @returns A descriptor; of anything but a regular file it is one to look at
 * alone.
 * @throws {LibcError} As `open()`.
 */
export function openIfRegular(path: string, mode: number): number {
  const look = openOwnWay(path, O_PATH);
  if (!isRegular(look)) return look;
  const flags = mode | O_NONBLOCK | O_NOCTTY;
  try {
    return open(`/proc/self/fd/${look}`, flags);
  } catch (error) {
    // Where /proc is not mounted.
    const isNoProc = error instanceof LibcError &&
      error.errno === Errno.ENOENT;
    if (!isNoProc) throw error;
    return open(path, flags);
  } finally {
    // Nobody's lock goes with it: it was not opened.
    close(look);
  }
}

function openPidfileState(
  pidfile: string,
  fd: number,
  deleteIfStale: boolean,
): PidfileState {
  const found = readOpenPidfile(fd);
  switch (found.kind) {
    case "running":
    case "elsewhere":
      return found;
    case "other":
      vlog.warn(`${pidfile}: not a regular file`);
      return { kind: "error", errno: found.errno };
    case "stale":
      // Whoever names the wrong file must not lose that one.
      if (!mayBePidfile(fd)) return { kind: "noPidfile" };
      if (deleteIfStale) return deleteStale(pidfile, fd, fstat(fd));
      vlog.dbg(`${pidfile}: pid file is stale`);
      return { kind: "error", errno: Errno.ESRCH };
    case "empty":
      vlog.warn(`${pidfile}: read: unexpected end of file`);
      return { kind: "error", errno: Errno.ESRCH };
    case "busy":
      vlog.warn(
        `${pidfile}: stale pidfile for pid ${found.text} being deleted by pid ` +
          found.holder,
      );
      return { kind: "busy", errno: Errno.ESRCH };
  }
}

/** What an open pidfile says, by its lock. */
export type OpenPidfile =
  /** It is no regular file. */
  | { readonly kind: "other"; readonly errno: number }
  /** Nobody holds it. */
  | { readonly kind: "stale" }
  /** The daemon runs. */
  | { readonly kind: "running"; readonly pid: number }
  /** The daemon runs, in another PID namespace; `pid` if it has one in ours. */
  | { readonly kind: "elsewhere"; readonly pid?: number }
  /** Somebody holds it, and there is nothing in it. */
  | { readonly kind: "empty" }
  /** Its holder has found it stale, and is about to remove it. */
  | { readonly kind: "busy"; readonly holder: number; readonly text: string };

/**
 * Reads a pidfile that is open.
 *
 * @param fd The file.
 * @returns What it says.
 * @throws {LibcError} `EIO`.
 */
export function readOpenPidfile(fd: number): OpenPidfile {
  if (!isRegular(fd)) {
    const errno = isDirectory(fstat(fd)) ? Errno.EISDIR : Errno.EINVAL;
    return { kind: "other", errno };
  }
  const holder = fcntlGetlk(fd);
  if (holder === undefined) return { kind: "stale" };
  if (holder <= 0) return { kind: "elsewhere" };
  const line = new Uint8Array(127);
  const length = read(fd, line);
  if (length === 0) return { kind: "empty" };
  const text = fromBytes(line.subarray(0, length)).split("\n")[0]!;
  // Blanks as the C has them: what is a pid for it is one for us.
  const pid = /^[ \t\v\f\r]*(\d+)/.exec(text)?.[1];
  if (Number(pid) === holder) return { kind: "running", pid: holder };
  // A daemon in a container has written the number that it has in there.
  if (pid !== undefined && namespacePids(holder).includes(Number(pid))) {
    return { kind: "elsewhere", pid: holder };
  }
  // The process that has the lock is not the one that wrote the file.
  return { kind: "busy", holder, text };
}

/**
 * Removes a pidfile that nobody holds.
 *
 * Removing it by name alone would be a race: by then somebody else may have
 * removed it and put a valid one in its place, and we would remove that. So we
 * lock it first. Only one process can have the lock, only that one has the
 * right to remove the file, and only while the name is still that file's.
 */
function deleteStale(
  pidfile: string,
  fd: number,
  file: FileStat,
): PidfileState {
  try {
    fcntlSetlk(fd);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno !== Errno.EAGAIN && error.errno !== Errno.EACCES) {
      throw error;
    }
    vlog.dbg(`${pidfile}: lost race to lock pidfile`);
    return { kind: "busy", errno: error.errno };
  }
  if (!namesFile(pidfile, file)) {
    vlog.dbg(`${pidfile}: lost race to delete pidfile`);
    return { kind: "busy", errno: Errno.EALREADY };
  }
  const foreign = foreignness(pidfile, file);
  if (foreign !== undefined) {
    vlog.warn(`${pidfile}: stale, not removed: ${foreign}`);
    return { kind: "error", errno: Errno.EPERM };
  }
  try {
    unlink(pidfile);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    vlog.warn(
      `${pidfile}: failed to delete stale pidfile (${error.reason})`,
    );
    return { kind: "error", errno: error.errno };
  }
  vlog.dbg(`${pidfile}: deleted stale pidfile`);
  return { kind: "none" };
}

/**
 * Removes a pidfile, or a temporary one, unless somebody holds it.
 *
 * @param path The file; a regular one.
 * @returns Whether it is gone by our doing.
 */
export function removeIfStale(path: string): boolean {
  try {
    const flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    const fd = open(path, flags);
    try {
      return deleteStale(path, fd, fstat(fd)).kind === "none";
    } finally {
      close(fd);
    }
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno !== Errno.ENOENT) {
      vlog.warn(`${path}: ${error.call}: ${error.reason}`);
    }
    return false;
  }
}

/**
 * Whether a file can be what a daemon has left: a number and whatever follows
 * its line, or nothing but blanks, as after a loss of power.
 */
function mayBePidfile(fd: number): boolean {
  const bytes = new Uint8Array(127);
  const text = fromBytes(bytes.subarray(0, readBeginning(fd, bytes)));
  return /^[ \t\v\f\r\n\0]*([-+]?\d+[ \t\r]*(\n[^]*)?)?[ \t\v\f\r\n\0]*$/
    .test(text);
}

/**
 * Whether a file is anything but a pidfile: nobody holds it, and it does not hold
 * a number and nothing else.
 *
 * @param path The file.
 * @returns Whether it is; not when it has gone.
 * @throws {LibcError} When it cannot be read.
 */
export function isNoPidfile(path: string): boolean {
  try {
    const fd = openIfRegular(path, O_RDONLY);
    try {
      if (!isRegular(fd)) return true;
      const bytes = new Uint8Array(127);
      const text = fromBytes(bytes.subarray(0, read(fd, bytes)));
      // One that was being taken over may have more behind the number.
      const isNumber = /^\d{1,10}\n[\n\0]*$/.test(text);
      // In this order: a daemon that takes it over locks it first, and may have
      // emptied it by the time that we read.
      return !isNumber && fcntlGetlk(fd) === undefined;
    } finally {
      close(fd);
    }
  } catch (error) {
    const isGone = error instanceof LibcError &&
      error.errno === Errno.ENOENT;
    if (isGone) return false;
    throw error;
  }
}

/**
 * Whether a name is that of a file we have looked at.
 *
 * @param path The name.
 * @param file The look.
 * @returns Whether it is; not when nothing has that name.
 */
export function namesFile(path: string, file: FileStat): boolean {
  try {
    return isSameFile(statFile(path), file);
  } catch (error) {
    if (error instanceof LibcError) return false;
    throw error;
  }
}

/**
 * Opens and reads a pid from a pidfile. Port of `read_pidfile()`.
 *
 * @param pidfile The file.
 * @returns The pid of the running daemon; otherwise an errno, negative:
 * `-ENOENT` without a file, `-ESRCH` for a stale one and for one that somebody
 * is removing. Beyond the C: `-EREMOTE` when the daemon runs in a PID namespace
 * where it has no pid of ours.
 * @example
 * ```ts
 * import { readPidfile } from "@tend/daemon";
 *
 * const pid = readPidfile("/run/web.pid");
 * console.log(pid > 0 ? `runs as pid ${pid}` : "does not run");
 * ```
 */
export function readPidfile(pidfile: string): number {
  const state = pidfileState(pidfile, false);
  switch (state.kind) {
    case "running":
      return state.pid;
    case "elsewhere":
      return state.pid ?? -Errno.EREMOTE;
    case "none":
      return -Errno.ENOENT;
    case "noPidfile":
      return -Errno.ESRCH;
    case "busy":
    case "error":
      return -state.errno;
  }
}

/**
 * Says why a pidfile forbids a start.
 *
 * @param pidfile The file.
 * @param state What it says.
 * @returns The C's message, or `undefined` when nothing forbids it.
 */
export function startObstacle(
  pidfile: string,
  state: PidfileState,
): string | undefined {
  switch (state.kind) {
    case "none":
      return undefined;
    case "running":
      return `${pidfile}: already running as pid ${state.pid}, aborting`;
    case "elsewhere":
      return `${pidfile}: already running (in another PID namespace), aborting`;
    case "noPidfile":
      return `${pidfile}: pidfile check failed (it is no pidfile; remove it, or ` +
        "name another), aborting";
    case "busy":
    case "error":
      return `${pidfile}: pidfile check failed (${
        strerror(state.errno)
      }), aborting`;
  }
}
