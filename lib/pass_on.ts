/**
 * Signals that a parent or monitor passes on to its child.
 *
 * @module
 */
import { Errno, LibcError } from "../ffi/libc.ts";
import { kill } from "../ffi/process.ts";
import {
  readSignalfd,
  setDisposition,
  setSignalMask,
  Signal,
  signalfd,
} from "../ffi/signal.ts";
import { caughtSignals } from "./fatal_signal.ts";
import { REQUEST_SIGNALS } from "./request.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** The signals that ask a daemon to end for good. */
export const STOP_SIGNALS: readonly number[] = [Signal.SIGTERM, Signal.SIGINT];

/** The signals that are passed on to the daemon. */
const PASSED_ON_SIGNALS: readonly number[] = [
  ...STOP_SIGNALS,
  Signal.SIGHUP,
  Signal.SIGQUIT,
  Signal.SIGUSR1,
  Signal.SIGUSR2,
  Signal.SIGALRM,
];

/**
 * Holds back the signals that a parent or monitor passes on, and those that ask
 * something of a monitor, and makes the descriptor where they are read.
 *
 * SIGCHLD gets its default effect back: a caller that had it ignored would
 * have the kernel throw away how our children ended.
 *
 * @returns The descriptor.
 * @throws {LibcError} When it cannot be made.
 */
export function catchSignals(): number {
  setDisposition(Signal.SIGCHLD, "default");
  const signals = [
    ...caughtSignals([...PASSED_ON_SIGNALS, Signal.SIGCHLD]),
    // Even where they are ignored, the kernel keeps them while they are blocked.
    ...REQUEST_SIGNALS,
  ];
  setSignalMask(signals);
  return signalfd(signals);
}

/**
 * Passes on to a child all signals that are there.
 *
 * @param signalFd Where they are read.
 * @param pid The child, which has not been waited for.
 * @returns The last one that asks for the end, if any.
 */
export function passOnPending(
  signalFd: number,
  pid: number,
): number | undefined {
  let stopSignal: number | undefined;
  for (;;) {
    const received = readSignalfd(signalFd);
    if (received === undefined) return stopSignal;
    const isOurs = received.signal === Signal.SIGCHLD ||
      REQUEST_SIGNALS.includes(received.signal);
    if (isOurs) continue;
    if (STOP_SIGNALS.includes(received.signal)) stopSignal = received.signal;
    passOn(received.signal, pid);
  }
}

/**
 * Sends a signal on to a child. One that has ended meanwhile is no error: the
 * caller is about to hear of that.
 *
 * @param signal The signal.
 * @param pid The child, which has not been waited for: the pid is still its.
 * Negative for the process group that it leads.
 */
export function passOn(signal: number, pid: number): void {
  try {
    kill(pid, signal);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ESRCH) return;
    const whom = pid < 0 ? `process group ${-pid}` : `pid ${pid}`;
    vlog.warn(`${whom}: ${error.message}, signal ${signal} not passed on`);
  }
}
