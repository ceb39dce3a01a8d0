/**
 * Waiting: for descriptors, for a point in time.
 *
 * @module
 */
import { readIfAny } from "./descriptor.ts";
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
});

const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const TFD_FLAGS = 0o2000000 | 0o4000; // TFD_CLOEXEC | TFD_NONBLOCK
const EFD_FLAGS = 0o2000000 | 0o4000; // EFD_CLOEXEC | EFD_NONBLOCK
const TFD_TIMER_ABSTIME = 1;
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
