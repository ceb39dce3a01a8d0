/**
 * How a daemon is told to end, when somebody asks its monitor for that.
 *
 * @module
 */
import { Signal } from "../ffi/signal.ts";
import { DEFAULT_STOP_TIMEOUT_MS } from "./monitor_clearing.ts";
import type { MonitorRecord } from "./monitor_file.ts";

/** A monitor has so long to hear that its daemon is to end, at the least. */
export const HEARING_MS = 1_000;

/** What somebody wants; what is left out is the daemon's own affair. */
export interface StopWish {
  /** The number of the signal that tells it to end. */
  readonly signal: number | undefined;
  /** How long it has for that, in milliseconds. */
  readonly timeout: number | undefined;
}

/** The same with nothing left out. */
export interface StopTerms {
  /** The number of the signal that tells it to end. */
  readonly signal: number;
  /** How long it has for that, in milliseconds. */
  readonly timeout: number;
}

/**
 * How a daemon is told to end.
 *
 * @param wish What somebody wants.
 * @param record What its monitor says, if it has one.
 * @returns How.
 */
export function stopTerms(
  { signal, timeout }: StopWish,
  record: MonitorRecord | undefined,
): StopTerms {
  return {
    signal: signal ?? record?.stopSignal ?? Signal.SIGTERM,
    timeout: timeout ?? record?.stopTimeout ?? DEFAULT_STOP_TIMEOUT_MS,
  };
}

/**
 * What a monitor has to be told of the time that a daemon has.
 *
 * @param terms How that is told to end.
 * @param record What the monitor says.
 * @returns The time, in milliseconds, for a request: if it is longer than the
 * monitor would wait.
 */
export function longerTimeout(
  { timeout }: StopTerms,
  { stopTimeout = Infinity }: MonitorRecord,
): { timeout?: number } {
  return timeout > stopTimeout ? { timeout } : {};
}

/**
 * Whether a monitor ends more than its daemon's own process.
 *
 * @param record What it says.
 * @returns Whether it does.
 */
export function endsMore({ killMode }: MonitorRecord): boolean {
  return killMode === "group" || killMode === "tree";
}
