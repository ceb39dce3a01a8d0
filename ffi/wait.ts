/**
 * Waiting: for descriptors, for a point in time, for changes of a directory.
 *
 * @module
 */
import { close, readIfAny } from "./descriptor.ts";
import { type CString, cString } from "./c_string.ts";
import {
  bind,
  checked,
  Errno,
  errno,
  LibcError,
  uninterrupted,
} from "./libc.ts";

const libc = bind({
  poll: {
    parameters: [
      "buffer", // struct pollfd *
      "u64", // nfds_t
      "i32", // int timeout, in milliseconds
    ],
    result: "i32",
  },
  clock_gettime: {
    parameters: ["i32", /* clockid_t */ "buffer" /* struct timespec * */],
    result: "i32",
  },
  timerfd_create: {
    parameters: ["i32", /* clockid_t */ "i32" /* int flags */],
    result: "i32",
  },
  timerfd_settime: {
    parameters: [
      "i32", // int fd
      "i32", // int flags
      "buffer", // const struct itimerspec *
      "buffer", // struct itimerspec *
    ],
    result: "i32",
  },
  eventfd: {
    parameters: ["u32", /* unsigned int */ "i32" /* int flags */],
    result: "i32",
  },
  timerfd_gettime: {
    parameters: ["i32", /* int fd */ "buffer" /* struct itimerspec * */],
    result: "i32",
  },
  inotify_init1: { parameters: ["i32" /* int flags */], result: "i32" },
  inotify_add_watch: {
    parameters: [
      "i32", // int fd
      "buffer", // const char *path
      "u32", // uint32_t mask
    ],
    result: "i32",
  },
  inotify_rm_watch: {
    parameters: ["i32", /* int fd */ "i32" /* int wd */],
    result: "i32",
  },
});

const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const TFD_FLAGS = 0o2000000 | 0o4000; // TFD_CLOEXEC | TFD_NONBLOCK
const EFD_FLAGS = 0o2000000 | 0o4000; // EFD_CLOEXEC | EFD_NONBLOCK
const TFD_TIMER_ABSTIME = 1;
const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;
const IN_MODIFY = 0x2;
const IN_ATTRIB = 0x4;
const IN_CLOSE_WRITE = 0x8;
const IN_MOVED_FROM = 0x40;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_DELETE = 0x200;
const IN_DELETE_SELF = 0x400;
const IN_MOVE_SELF = 0x800;
/** `poll()`: it can be read. */
export const POLLIN = 1;
/** Nothing but that the other end is gone, which is always told. */
const POLL_NOTHING = 0;
export const POLLOUT = 4;
const INT_MAX = 0x7fff_ffff;
const NANO = 1_000_000_000n;

/** `struct pollfd`. */
export const POLLFD = { size: 8, fd: 0, events: 4, revents: 6 } as const;

/**
 * Waits until a descriptor can be read or its other end is gone.
 *
 * @param fds The descriptors.
 * @param timeout How long, in milliseconds; -1 for as long as it takes.
 * @param outputs More descriptors, that are only written: they are ready once
 * their other end is gone.
 * @returns Those that are ready, `undefined` when the time is over. A signal
 * with a handler may end the wait with none: whoever waits looks at its world
 * again anyway.
 * @throws {LibcError} `ENOMEM`.
 */
export function waitReadable(
  fds: readonly number[],
  timeout?: -1,
  outputs?: readonly number[],
): number[];
export function waitReadable(
  fds: readonly number[],
  timeout: number,
  outputs?: readonly number[],
): number[] | undefined;
export function waitReadable(
  inputs: readonly number[],
  timeout = -1,
  outputs: readonly number[] = [],
): number[] | undefined {
  const fds = [...inputs, ...outputs];
  const view = pollfds(fds);
  for (let i = inputs.length; i < fds.length; i++) {
    view.setInt16(i * POLLFD.size + POLLFD.events, POLL_NOTHING, true);
  }
  // An int is 24 days: whoever waits for longer hears of that too early.
  const milliseconds = Math.min(timeout, INT_MAX);
  const count = libc.poll(
    new Uint8Array(view.buffer),
    BigInt(fds.length),
    milliseconds,
  );
  if (count === 0) return undefined;
  if (count === -1) {
    const why = errno();
    if (why === Errno.EINTR) return [];
    throw new LibcError("poll", why);
  }
  return fds.filter((_, i) =>
    view.getInt16(i * POLLFD.size + POLLFD.revents, true) !== 0
  );
}

/**
 * Waits until a descriptor can be written, or never will be.
 *
 * @param fd The descriptor.
 * @param timeout How long, in milliseconds.
 * @returns Whether that has come before the time was over.
 * @throws {LibcError} `ENOMEM`.
 */
export function waitWritable(fd: number, timeout: number): boolean {
  const bytes = new Uint8Array(pollfds([fd], POLLOUT).buffer);
  return uninterrupted("poll", () => libc.poll(bytes, 1n, timeout)) > 0;
}

/**
 * What `poll()` is given.
 *
 * @param fds The descriptors of which is asked whether they can be read.
 * @param events What is asked of them instead.
 * @returns A `struct pollfd` for each.
 */
export function pollfds(
  fds: readonly number[],
  events: number = POLLIN,
): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(POLLFD.size * fds.length));
  fds.forEach((fd, i) => {
    view.setInt32(i * POLLFD.size + POLLFD.fd, fd, true);
    view.setInt16(i * POLLFD.size + POLLFD.events, events, true);
  });
  return view;
}

/**
 * A clock that no one sets and that goes on while the machine is suspended.
 *
 * @returns Milliseconds since boot.
 */
export function bootTime(): number {
  const timespec = new BigInt64Array(2);
  checked(
    "clock_gettime(CLOCK_BOOTTIME)",
    libc.clock_gettime(CLOCK_BOOTTIME, new Uint8Array(timespec.buffer)),
  );
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

/**
 * Makes a descriptor for {@linkcode setTimerfd}.
 *
 * @returns The descriptor; it is closed on exec.
 * @throws {LibcError} `EMFILE`, `ENFILE`, `ENOMEM`.
 */
export function timerfd(): number {
  return checked(
    "timerfd_create",
    libc.timerfd_create(CLOCK_BOOTTIME, TFD_FLAGS),
  );
}

/**
 * Makes a descriptor by which one process tells another that something is so:
 * it can be read from when 8 bytes, a number, were written to it.
 *
 * @returns The descriptor; it is closed on exec, and does not block.
 * @throws {LibcError} `EMFILE`, `ENFILE`, `ENOMEM`.
 */
export function eventfd(): number {
  return checked("eventfd", libc.eventfd(0, EFD_FLAGS));
}

/**
 * Sets when a descriptor can be read.
 *
 * @param fd A descriptor of {@linkcode timerfd}.
 * @param deadline Milliseconds on the clock of {@linkcode bootTime}, above 0.
 * @throws {LibcError} `EBADF`.
 */
export function setTimerfd(fd: number, deadline: number): void {
  const seconds = Math.floor(deadline / 1000);
  const nanoseconds = Math.ceil((deadline - seconds * 1000) * 1e6);
  // All zeros would mean "never".
  const itimerspec = BigInt64Array.of(
    0n,
    0n,
    BigInt(seconds),
    BigInt(Math.min(Math.max(nanoseconds, 1), 999_999_999)),
  );
  checked(
    "timerfd_settime",
    libc.timerfd_settime(
      fd,
      TFD_TIMER_ABSTIME,
      new Uint8Array(itimerspec.buffer),
      null,
    ),
  );
}

/**
 * Makes a descriptor for {@linkcode setTimerInterval}. Its clock stands still while
 * the machine is suspended.
 *
 * @returns The descriptor; it is closed on exec.
 * @throws {LibcError} `EMFILE`, `ENFILE`, `ENOMEM`.
 */
export function intervalTimerfd(): number {
  return checked(
    "timerfd_create",
    libc.timerfd_create(CLOCK_MONOTONIC, TFD_FLAGS),
  );
}

/**
 * Has a descriptor be readable when some time has passed from now on, and again
 * each time that as much has passed.
 *
 * @param fd A descriptor of {@linkcode intervalTimerfd}.
 * @param milliseconds How much; 0 for never.
 * @throws {LibcError} `EBADF`.
 */
export function setTimerInterval(fd: number, milliseconds: number): void {
  checked(
    "timerfd_settime",
    libc.timerfd_settime(fd, 0, intervalOf(milliseconds), null),
  );
}

/**
 * What {@linkcode setTimerInterval} gives to `timerfd_settime()`.
 *
 * @param milliseconds How much time passes each time; 0 for never.
 * @returns A `struct itimerspec`.
 */
export function intervalOf(milliseconds: number): Uint8Array<ArrayBuffer> {
  const total = BigInt(Math.round(milliseconds * 1e6));
  const [seconds, nanoseconds] = [total / NANO, total % NANO];
  const words = [seconds, nanoseconds, seconds, nanoseconds];
  return new Uint8Array(BigInt64Array.from(words).buffer);
}

/**
 * For how long the time of {@linkcode setTimerInterval} has been over. It is
 * asked for once: after that it can be read when the next time is.
 *
 * @param fd The descriptor.
 * @returns Milliseconds; `undefined` when it is not over.
 * @throws {LibcError} `EBADF`.
 */
export function overdueBy(fd: number): number | undefined {
  const count = new BigUint64Array(1);
  const bytes = new Uint8Array(count.buffer);
  if (readIfAny(fd, bytes) === undefined) return undefined;
  const itimerspec = new BigInt64Array(4);
  checked(
    "timerfd_gettime",
    libc.timerfd_gettime(fd, new Uint8Array(itimerspec.buffer)),
  );
  const [interval, left] = [0, 2].map((i) =>
    Number(itimerspec[i]! * NANO + itimerspec[i + 1]!) / 1e6
  ) as [number, number];
  return Number(count[0]) * interval - left;
}

/**
 * Makes a descriptor that can be read once a name in a directory has come or
 * gone, or a file was written. Other files there may be: our own log.
 *
 * @param directory The directory.
 * @param file The file; it need not be there.
 * @returns The descriptor; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyChanges(directory: CString, file: CString): number {
  const [directoryPath, filePath] = [cString(directory), cString(file)];
  return inotify((fd) => {
    watch(fd, directoryPath, IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE);
    try {
      watch(fd, filePath, IN_MODIFY);
    } catch (error) {
      if (!(error instanceof LibcError && error.errno === Errno.ENOENT)) {
        throw error;
      }
    }
  });
}

/**
 * Makes a descriptor that can be read once a file was written.
 *
 * @param file The file.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyWrites(file: CString): number {
  const path = cString(file);
  return inotify((fd) => watch(fd, path, IN_MODIFY));
}

/**
 * Makes a descriptor that can be read once a name in a directory has come, or
 * the directory itself has gone.
 *
 * @param directory The directory.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyArrivals(directory: CString): number {
  const path = cString(directory);
  const mask = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
  return inotify((fd) => watch(fd, path, mask));
}

/**
 * Has a descriptor of inotify be readable also once a file was written. Closing
 * such a descriptor takes the kernel some 10 ms, adding to it nothing.
 *
 * @param inotifyFd The descriptor.
 * @param file The file.
 * @returns What {@linkcode inotifyRemove} takes.
 * @throws {LibcError} `ENOENT`, `EACCES`, `ENOSPC`.
 */
export function inotifyAddWrites(inotifyFd: number, file: CString): number {
  return watch(inotifyFd, cString(file), IN_MODIFY);
}

/**
 * Ends that. It has ended by itself when the file is gone.
 *
 * @param inotifyFd The descriptor.
 * @param added What was returned then.
 */
export function inotifyRemove(inotifyFd: number, added: number): void {
  libc.inotify_rm_watch(inotifyFd, added);
}

/**
 * Makes a descriptor that can be read once a process has let go of a file that
 * it could write to.
 *
 * @param file The file.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyCloses(file: CString): number {
  const path = cString(file);
  return inotify((fd) => watch(fd, path, IN_CLOSE_WRITE));
}

/**
 * Makes a descriptor that can be read once something in a directory has come,
 * gone or changed, or the directory itself has gone.
 *
 * @param directory The directory.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyDirectory(directory: CString): number {
  const path = cString(directory);
  const mask = IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB |
    IN_DELETE_SELF | IN_MOVE_SELF;
  return inotify((fd) => watch(fd, path, mask));
}

function inotify(addWatches: (fd: number) => void): number {
  const flags = IN_CLOEXEC | IN_NONBLOCK;
  const fd = checked("inotify_init1", libc.inotify_init1(flags));
  try {
    addWatches(fd);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

function watch(
  fd: number,
  path: Uint8Array<ArrayBuffer>,
  mask: number,
): number {
  return checked("inotify_add_watch", libc.inotify_add_watch(fd, path, mask));
}
