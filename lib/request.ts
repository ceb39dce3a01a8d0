/**
 * What others may ask of a monitor, by signals that are queued with a value.
 *
 * The kernel checks who may send one, keeps it until the monitor reads it,
 * awake or asleep, and wakes it up; nothing has to be open for it.
 *
 * @module
 */
import { pidfdSendSignal } from "../ffi/pidfd.ts";
import { LAST_SIGNAL, type ReceivedSignal } from "../ffi/signal.ts";

/** What is asked for. */
export interface MonitorRequest {
  /**
   * That the daemon ends, and the monitor with it; or that it ends, and another
   * follows it.
   */
  readonly kind: "stop" | "restart";
  /** The signal by which the daemon is told to end. */
  readonly signal: number;
  /**
   * How long whoever asks gives it for that, in milliseconds, where that is more
   * than the monitor would.
   */
  readonly timeout?: number;
}

/** In a signal's value the time is above the signal's number. */
const TIMEOUT_SHIFT = 8n;
/** The longest time, more than three weeks. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * The signals for requests, `SIGRTMIN+1` and `SIGRTMIN+2`: glibc keeps 32 and 33
 * to itself.
 */
export const SIGNAL_OF = { stop: 35, restart: 36 } as const;
const KINDS = ["stop", "restart"] as const;

/** By this one a logger tells its monitor of trouble. */
export const TROUBLE_SIGNAL = 37;

/**
 * The signals by which a monitor is asked or told something; they are never
 * passed on.
 */
export const REQUEST_SIGNALS: readonly number[] = [
  ...Object.values(SIGNAL_OF),
  TROUBLE_SIGNAL,
];

/**
 * What a signal asks for.
 *
 * @param received The signal.
 * @returns The request; `undefined` when it is none, or not a valid one: it was
 * not queued, or its value is no signal.
 */
export function requestOf(
  { signal: received, value }: ReceivedSignal,
): MonitorRequest | undefined {
  const kind = KINDS.find((kind) => SIGNAL_OF[kind] === received);
  if (kind === undefined || value === undefined) return undefined;
  const timeout = Number(value >> TIMEOUT_SHIFT);
  const signal = Number(value - (BigInt(timeout) << TIMEOUT_SHIFT));
  const isValid = signal >= 1 && signal <= LAST_SIGNAL && timeout <= LONGEST_MS;
  if (!isValid) return undefined;
  return { kind, signal, ...timeout > 0 && { timeout } };
}

/**
 * Asks something of a monitor. It has heard of it when its file says so.
 *
 * @param pidfd The monitor, proved by the lock of its file to be one: any other
 * process would die of the signal.
 * @param request What is asked for.
 * @throws {LibcError} As `pidfdSendSignal()`.
 */
export function sendRequest(
  pidfd: number,
  { kind, signal, timeout = 0 }: MonitorRequest,
): void {
  const time = BigInt(Math.min(Math.ceil(timeout), LONGEST_MS));
  const value = (time << TIMEOUT_SHIFT) + BigInt(signal);
  pidfdSendSignal(pidfd, SIGNAL_OF[kind], value);
}
