/**
 * Names of signals.
 *
 * @module
 */
import { Signal } from "../ffi/signal.ts";

/** What glibc leaves to programs; it keeps 32 and 33 for itself. */
const RTMIN = 34;
const RTMAX = 64;

/**
 * The names of all signals but those of real time.
 *
 * @returns The names, without SIG.
 */
export function signalNames(): string[] {
  return Object.keys(Signal).map((name) => name.slice(3));
}

/**
 * Reads a signal as `kill` takes it: a name with SIG or without, in large
 * letters or small, or a number.
 *
 * @param text The text: `TERM`, `SIGTERM`, `15`, `RTMIN+1`.
 * @returns The signal's number.
 * @throws {TypeError} When it is something else.
 * @example
 * ```ts
 * import { parseSignal } from "./signal_name.ts";
 *
 * parseSignal("HUP"); // 1
 * parseSignal("sighup"); // 1
 * ```
 */
export function parseSignal(text: string): number {
  // Of ASCII alone: other letters become an S or an I when they are made large.
  const signal = /^\d+$/.test(text)
    ? Number(text)
    : /^[\w+-]+$/.test(text)
    ? numberOf(text.toUpperCase().replace(/^SIG/, ""))
    : NaN;
  const isThere = signal >= 1 && signal <= RTMAX &&
    (signal < 32 || signal >= RTMIN);
  if (isThere) return signal;
  throw new TypeError("not a signal, as TERM, SIGTERM and 15 are");
}

/** The number of a name without SIG; `NaN` when it is none. */
function numberOf(name: string): number {
  const [, base, sign, offset] =
    /^(RTMIN|RTMAX)(?:([+-])(\d{1,2}))?$/.exec(name) ?? [];
  if (base === undefined) {
    const index = signalNames().indexOf(name);
    return index === -1 ? NaN : Object.values(Signal)[index]!;
  }
  if (sign !== undefined && (base === "RTMIN") !== (sign === "+")) return NaN;
  const signal = base === "RTMIN"
    ? RTMIN + Number(offset ?? 0)
    : RTMAX - Number(offset ?? 0);
  return signal >= RTMIN && signal <= RTMAX ? signal : NaN;
}

/**
 * The name of a signal.
 *
 * @param signal Its number.
 * @returns The name with SIG; `signal 40` for one without a name of its own.
 */
export function signalName(signal: number): string {
  const name = Object.entries(Signal).find(([, n]) => n === signal)?.[0];
  return name ?? `signal ${signal}`;
}
