/**
 * Files that a process makes its own by their lock: pidfiles while they are
 * made, and monitors' files.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { dupFrom } from "../ffi/duplicate.ts";
import {
  O_CREAT,
  O_EXCL,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDWR,
  open,
} from "../ffi/file.ts";
import { type FileStat, fstat, isRegularFile } from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { fcntlSetlk } from "../ffi/lock.ts";
import { geteuid } from "../ffi/user.ts";
import { namesFile } from "./pidfile_state.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** The lowest descriptor for a pidfile: out of the way of what programs use. */
export const PIDFILE_FD = 100;
/** How long to wait for another process in the middle of its own start. */
export const CONTENTION_MS = 10_000;

/** How a file is opened. */
export interface LockedFileOptions {
  /** More flags for `open()`. */
  readonly flags: number;
  /** The lowest descriptor for it. */
  readonly lowestFd: number;
}

/** A file that this process has locked. */
export interface LockedFile {
  readonly fd: number;
  readonly file: FileStat;
}

/**
 * Opens and locks a file that others want too; it is made if it is not there.
 * Ends the process with a message when it can be nobody's.
 *
 * @param path The file.
 * @param options How it is opened.
 * @returns The file, which has that name; or why there is no lock, another
 * process having it.
 */
export function lockFile(
  path: string,
  options: LockedFileOptions,
): LockedFile | LibcError {
  for (;;) {
    const fd = openFile(path, options);
    const error = lockPidfile(fd);
    if (error === undefined) {
      const file = fstat(fd);
      // Between our open and our lock it may have got another name, or gone.
      if (namesFile(path, file)) return { fd, file };
      close(fd);
      continue;
    }
    close(fd);
    const isLocked = error.errno === Errno.EAGAIN ||
      error.errno === Errno.EACCES;
    return isLocked ? error : notLocked(path, error);
  }
}

/**
 * Opens and locks a file whose name nobody else uses. Ends the process with a
 * message when it cannot be had.
 *
 * @param path The file.
 * @param options How it is opened.
 * @returns The file.
 */
export function lockOwnFile(
  path: string,
  options: LockedFileOptions,
): LockedFile {
  const fd = openFile(path, options);
  const error = lockPidfile(fd);
  if (error !== undefined) notLocked(path, error);
  return { fd, file: fstat(fd) };
}

/**
 * Makes and locks a file whose name nobody has.
 *
 * @param path The file.
 * @param options How it is opened.
 * @returns The descriptor that holds the lock; `undefined` when another process
 * has taken the name or the lock meanwhile.
 * @throws {LibcError} When it cannot be made.
 */
export function lockNewFile(
  path: string,
  { flags, lowestFd }: LockedFileOptions,
): number | undefined {
  const all = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | flags;
  let low: number;
  try {
    low = open(path, all, 0o644);
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.EEXIST) {
      return undefined;
    }
    throw error;
  }
  const fd = moveOutOfTheWay(low, lowestFd);
  // A start may have met it before it was locked, and have locked or removed it.
  if (lockPidfile(fd) === undefined && namesFile(path, fstat(fd))) return fd;
  close(fd);
  return undefined;
}

function notLocked(path: string, error: LibcError): never {
  return vlog.fatal(`${path}: fcntl(F_SETLK) failed (${error.reason})`);
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
 * Opens a file on a high descriptor. It is moved there before it is locked:
 * closing the low one afterwards would give up the lock.
 */
function openFile(
  path: string,
  { flags, lowestFd }: LockedFileOptions,
): number {
  const all = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | flags;
  const fd = step(`${path}: create`, () => open(path, all, 0o644));
  const file = fstat(fd);
  if (!isRegularFile(file)) {
    vlog.fatal(`${path}: create failed (not a regular file)`);
  }
  if (file.nlink > 1) {
    vlog.fatal(`${path}: create failed (it has another name too; remove it)`);
  }
  if (file.uid !== geteuid()) {
    vlog.fatal(
      `${path}: create failed (it belongs to user ${file.uid}; remove it)`,
    );
  }
  return step(`${path}: dup`, () => moveOutOfTheWay(fd, lowestFd));
}

function moveOutOfTheWay(fd: number, lowestFd: number): number {
  let high: number;
  try {
    high = dupFrom(fd, lowestFd, true);
  } catch (error) {
    // A limit of open files below that: then it stays where it is.
    if (error instanceof LibcError && error.errno === Errno.EINVAL) return fd;
    throw error;
  }
  close(fd);
  return high;
}

/**
 * Makes a step of a start that ends the process, with a message, if it fails.
 *
 * @param what The step, for the message.
 * @param make Makes it.
 * @returns What `make` returns.
 */
export function step<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    return vlog.fatal(`${what} failed (${error.reason})`);
  }
}
