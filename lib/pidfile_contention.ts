/**
 * Waiting for another process that is in the middle of its own start.
 *
 * @module
 */
import { dirname } from "@std/path/dirname";
import { close } from "../ffi/descriptor.ts";
import { O_RDONLY } from "../ffi/file.ts";
import { fstat, isRegularFile } from "../ffi/file_stat.ts";
import { inotifyChanges } from "../ffi/inotify.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { fcntlGetlk } from "../ffi/lock.ts";
import { pidfdOpen } from "../ffi/pidfd.ts";
import { signalfd } from "../ffi/signal.ts";
import { bootTime, setTimerfd, timerfd, waitReadable } from "../ffi/wait.ts";
import { FATAL_SIGNALS, fatalSignalRun } from "./fatal_signal.ts";
import { openIfRegular } from "./pidfile_state.ts";

/** How often to look where the kernel cannot wake us. */
const LOOK_AGAIN_MS = 20;

/**
 * Waits until a file may be another's, or let go of by the process that has it
 * locked: until it is written, a name in its directory has changed or that
 * process has ended. Where the kernel cannot tell us of all this, we look again
 * from time to time.
 *
 * @param path The file.
 * @param deadline Until when, in milliseconds since boot.
 * @param isOver Whether there is nothing to wait for any more.
 * @returns Whether to look again; not when the time is over.
 */
export function awaitOther(
  path: string,
  deadline: number,
  isOver: () => boolean,
): boolean {
  const fds: number[] = [];
  try {
    const timer = timerfd();
    fds.push(timer);
    // The watch first: what happens after our look must wake us.
    const watch = ifToBeHad(() => inotifyChanges(dirname(path), path));
    if (watch !== undefined) fds.push(watch);
    const holder = holderOf(path);
    if (holder === undefined || isOver()) return true;
    const end = holder > 0 ? ifToBeHad(() => pidfdOpen(holder)) : undefined;
    if (end !== undefined) fds.push(end);
    fds.push(signalfd(FATAL_SIGNALS));
    const isWoken = watch !== undefined && end !== undefined;
    setTimerfd(
      timer,
      isWoken ? deadline : Math.min(deadline, bootTime() + LOOK_AGAIN_MS),
    );
    waitReadable(fds);
    fatalSignalRun();
    return bootTime() < deadline;
  } finally {
    fds.forEach(close);
  }
}

/** An old kernel has no pidfds, a busy one no watches left. */
function ifToBeHad(make: () => number): number | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}

/**
 * Asks who has a file locked.
 *
 * @param path The file.
 * @returns As `fcntlGetlk()`; `undefined` also when there is no such file.
 * @throws {LibcError} When it cannot be opened.
 */
export function holderOf(path: string): number | undefined {
  let fd: number;
  try {
    fd = openIfRegular(path, O_RDONLY);
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ENOENT) {
      return undefined;
    }
    throw error;
  }
  try {
    return isRegularFile(fstat(fd)) ? fcntlGetlk(fd) : undefined;
  } finally {
    close(fd);
  }
}
