/**
 * Signals: masks, dispositions, and reading them from a descriptor.
 *
 * @module
 */
import { fromBytes } from "./c_string.ts";
import { readIfAny } from "./descriptor.ts";
import { readFile } from "./file.ts";
import { bind, checked, Errno, errno, LibcError } from "./libc.ts";

const libc = bind({
  sigprocmask: {
    parameters: [
      "i32", // int how
      "buffer", // const sigset_t *set
      "buffer", // sigset_t *oldset
    ],
    result: "i32",
  },
  sigaction: {
    parameters: [
      "i32", // int signum
      "buffer", // const struct sigaction *act
      "buffer", // struct sigaction *oldact
    ],
    result: "i32",
  },
  sigtimedwait: {
    parameters: [
      "buffer", // const sigset_t *set
      "buffer", // siginfo_t *info
      "buffer", // const struct timespec *timeout
    ],
    result: "i32",
  },
  signalfd: {
    parameters: [
      "i32", // int fd
      "buffer", // const sigset_t *mask
      "i32", // int flags
    ],
    result: "i32",
  },
  raise: { parameters: ["i32" /* int sig */], result: "i32" },
  strsignal: { parameters: ["i32" /* int sig */], result: "pointer" }, // char *
});

/** Signal numbers; equal on x86-64 and aarch64. */
export const Signal = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
} as const;

/** The largest number of a signal. */
export const LAST_SIGNAL = 64;
export const SIG_SETMASK = 2;
export const SIG_DFL = 0n;
export const SIG_IGN = 1n;
const SFD_FLAGS = 0o2000000 | 0o4000; // SFD_CLOEXEC | SFD_NONBLOCK

/** glibc's `struct sigaction` and `sigset_t`, the same on x86-64 and aarch64. */
const SIGACTION = { size: 152, handler: 0, flags: 136 } as const;
const SIGSET_SIZE = 128;
/** The kernel's `sigset_t`, which its system calls take. */
export const KERNEL_SIGSET_SIZE = 8;
/** The kernel's `struct sigaction`; all zeros stand for the default effect. */
export const KERNEL_SIGACTION_SIZE = 32;
const SIGINFO_SIZE = 128;

/** `struct signalfd_siginfo`. */
export const SIGNALFD_SIGINFO = {
  size: 128,
  signo: 0,
  code: 8,
  value: 48,
} as const;
/** `si_code` of what the kernel sends, as the terminal's Ctrl-C. */
export const SI_KERNEL = 0x80;
/** `si_code` of what is queued with a value: `sigqueue()`. */
export const SI_QUEUE = -1;

/** A signal that was read from a signalfd. */
export interface ReceivedSignal {
  /** Its number. */
  readonly signal: number;
  /** Whether the kernel sent it itself: a terminal, to a whole process group. */
  readonly fromKernel: boolean;
  /** What its sender has queued with it; `undefined` when it was not queued. */
  readonly value?: bigint;
}

/**
 * Makes a `sigset_t`.
 *
 * @param signals The signals in it.
 * @returns Its bytes.
 */
export function sigset(signals: Iterable<number>): Uint8Array<ArrayBuffer> {
  const set = new Uint8Array(SIGSET_SIZE);
  for (const signal of signals) {
    const bit = signal - 1;
    set[bit >> 3]! |= 1 << (bit & 7);
  }
  return set;
}

/**
 * Blocks these signals and no others: `sigprocmask(SIG_SETMASK)`.
 *
 * @param signals The signals.
 * @throws {LibcError} Does not happen on Linux.
 */
export function setSignalMask(signals: Iterable<number>): void {
  const set = sigset(signals);
  checked("sigprocmask", libc.sigprocmask(SIG_SETMASK, set, null));
}

/**
 * Asks whether this process ignores a signal.
 *
 * @param signal The signal.
 * @returns Whether it does.
 * @throws {LibcError} `EINVAL` when there is no such signal.
 */
export function isIgnored(signal: number): boolean {
  return handlerOf(signal) === SIG_IGN;
}

/**
 * Asks whether this process has a handler for a signal.
 *
 * @param signal The signal.
 * @returns Whether it has.
 * @throws {LibcError} `EINVAL` when there is no such signal.
 */
export function isCaught(signal: number): boolean {
  return ![SIG_DFL, SIG_IGN].includes(handlerOf(signal));
}

function handlerOf(signal: number): bigint {
  const old = new DataView(new ArrayBuffer(SIGACTION.size));
  checked(
    "sigaction",
    libc.sigaction(signal, null, new Uint8Array(old.buffer)),
  );
  return old.getBigUint64(SIGACTION.handler, true);
}

/**
 * The signals to which this process does not leave their default effect; libc's
 * own are among them, of which it says nothing itself.
 *
 * @returns Those that have a handler, and those that are ignored.
 * @throws {LibcError} When `/proc` is not mounted.
 */
export function alteredSignals(): { caught: number[]; ignored: number[] } {
  const status = fromBytes(readFile("/proc/self/status"));
  const signalsOf = (line: string) => {
    const mask = RegExp(`^${line}:\\s*(\\w+)$`, "m").exec(status)?.[1];
    const bits = BigInt(`0x${mask ?? 0}`);
    return Array.from({ length: LAST_SIGNAL }, (_, i) => i + 1)
      .filter((signal) => (bits >> BigInt(signal - 1)) & 1n);
  };
  return { caught: signalsOf("SigCgt"), ignored: signalsOf("SigIgn") };
}

/**
 * Ignores a signal, or gives it its default effect again.
 *
 * @param signal The signal.
 * @param disposition Which of both.
 * @throws {LibcError} `EINVAL` for SIGKILL and SIGSTOP.
 */
export function setDisposition(
  signal: number,
  disposition: "default" | "ignore",
): void {
  const act = new DataView(new ArrayBuffer(SIGACTION.size));
  const handler = disposition === "ignore" ? SIG_IGN : SIG_DFL;
  act.setBigUint64(SIGACTION.handler, handler, true);
  checked(
    "sigaction",
    libc.sigaction(signal, new Uint8Array(act.buffer), null),
  );
}

/**
 * Takes a pending signal out of those that are blocked, without waiting.
 *
 * @param signals The signals to look for; they should be blocked.
 * @returns Its number, or `undefined` when none is pending.
 * @throws {LibcError} Does not happen on Linux.
 */
export function takePendingSignal(
  signals: Iterable<number>,
): number | undefined {
  const set = sigset(signals);
  const info = new Uint8Array(SIGINFO_SIZE);
  const zero = new Uint8Array(16);
  for (;;) {
    const signal = libc.sigtimedwait(set, info, zero);
    if (signal !== -1) return signal;
    const why = errno();
    if (why === Errno.EAGAIN) return undefined;
    if (why !== Errno.EINTR) throw new LibcError("sigtimedwait", why);
  }
}

/**
 * Makes a descriptor from which these signals are read while they are blocked.
 *
 * @param signals The signals.
 * @returns The descriptor; it does not block and is closed on exec.
 * @throws {LibcError} `EMFILE`, `ENOMEM`.
 */
export function signalfd(signals: Iterable<number>): number {
  const set = sigset(signals);
  return checked("signalfd", libc.signalfd(-1, set, SFD_FLAGS));
}

/**
 * Reads one signal.
 *
 * @param fd A descriptor of {@linkcode signalfd}.
 * @returns The signal, or `undefined` when none is pending.
 * @throws {LibcError} `EBADF`.
 */
export function readSignalfd(fd: number): ReceivedSignal | undefined {
  const info = new DataView(new ArrayBuffer(SIGNALFD_SIGINFO.size));
  if (readIfAny(fd, new Uint8Array(info.buffer)) === undefined) {
    return undefined;
  }
  const code = info.getInt32(SIGNALFD_SIGINFO.code, true);
  return {
    signal: info.getUint32(SIGNALFD_SIGINFO.signo, true),
    fromKernel: code === SI_KERNEL,
    ...(code === SI_QUEUE && {
      value: info.getBigUint64(SIGNALFD_SIGINFO.value, true),
    }),
  };
}

/**
 * Sends a signal to this process.
 *
 * @param signal The signal.
 * @throws {LibcError} `EINVAL`.
 */
export function raise(signal: number): void {
  checked("raise", libc.raise(signal));
}

/**
 * libc's words for a signal.
 *
 * @param signal The signal.
 * @returns `Segmentation fault`.
 */
export function strsignal(signal: number): string {
  const text = libc.strsignal(signal);
  return text === null
    ? `signal ${signal}`
    : Deno.UnsafePointerView.getCString(text);
}
