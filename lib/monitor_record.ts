/**
 * A monitor's state as text, from one image of its process to the next.
 *
 * @module
 */
import {
  type Command,
  MONITOR_PHASES,
  type MonitorState,
  RESTART_POLICIES,
} from "./monitor_state.ts";
import type { LogState } from "./vlog.ts";

/** Says whether a value of JSON is what a field has, and makes it that. */
type Decoder<T> = (value: unknown) => T;

/** A value that is not what its field has. */
class InvalidField extends Error {}

/** What each field of a record holds. A missing one does not compile. */
const STATE: { readonly [K in keyof MonitorState]: Decoder<MonitorState[K]> } =
  {
    phase: oneOf(MONITOR_PHASES),
    policy: oneOf(RESTART_POLICIES),
    command: optional(fields<Command>({
      path: bytes,
      argv: listOf(bytes),
      ignored: listOf(integer(1, 64)),
    })),
    pidfile: optional(text),
    overwritePidfile: boolean,
    detach: boolean,
    chdir: boolean,
    detachError: optional(text),
    daemonPid: integer(0),
    daemonIsFork: boolean,
    everReady: boolean,
    crashes: integer(0),
    statusMsg: text,
    exitStatus: integer(0, 255),
    coreDumped: boolean,
    lastRestart: optional(time),
    signalFd: integer(0),
    startupFd: integer(-1),
    notifyFd: integer(-1),
    deadline: optional(time),
    deadlineFd: integer(0),
    sleepAfter: optional(time),
    program: text,
    log: optional(decodeLogState),
  };

/**
 * What a monitor knows of its log, of a value as above.
 *
 * @param value The value, from anywhere.
 * @returns It.
 * @throws {Error} When it is none.
 */
export function decodeLogState(value: unknown): LogState {
  return fields<LogState>({
    sequence: integer(0, Number.MAX_SAFE_INTEGER),
    levels: listOf(text),
    file: optional(bytes),
  })(value);
}

/**
 * A monitor's state as a value for `JSON.stringify()`.
 *
 * @param state The state.
 * @returns The value.
 */
export function encodeMonitorState(state: MonitorState): unknown {
  return encode(state);
}

/**
 * A monitor's state of such a value.
 *
 * @param value The value, from anywhere.
 * @returns The state.
 * @throws {Error} When it is no monitor's state; the message names the field.
 */
export function decodeMonitorState(value: unknown): MonitorState {
  return fields(STATE)(value);
}

/** Bytes become a string of as many characters, for JSON has none. */
function encode(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return Array.from(value, (byte) => String.fromCharCode(byte)).join("");
  }
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, encode(part)]),
  );
}

function fields<T extends object>(
  decoders: { readonly [K in keyof T]: Decoder<T[K]> },
): Decoder<T> {
  return (value) => {
    if (typeof value !== "object" || value === null) {
      throw new InvalidField("no record");
    }
    const entries = Object.entries<Decoder<unknown>>(decoders);
    return Object.fromEntries(entries.map(([name, decode]) => {
      const part = Object.hasOwn(value, name)
        ? (value as Record<string, unknown>)[name]
        : undefined;
      try {
        return [name, decode(part)];
      } catch (error) {
        if (!(error instanceof InvalidField)) throw error;
        throw new InvalidField(`${name} is ${error.message}`);
      }
    })) as T;
  };
}

function optional<T>(decode: Decoder<T>): Decoder<T | undefined> {
  return (value) => value === undefined ? undefined : decode(value);
}

function listOf<T>(decode: Decoder<T>): Decoder<T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new InvalidField("no list");
    return value.map(decode);
  };
}

function oneOf<const T extends string>(words: readonly T[]): Decoder<T> {
  return (value) => {
    const word = words.find((word) => word === value);
    if (word === undefined) throw new InvalidField(`none of ${words}`);
    return word;
  };
}

function integer(least: number, most = 0x7fff_ffff): Decoder<number> {
  return (value) => {
    const isOne = Number.isInteger(value) && (value as number) >= least &&
      (value as number) <= most;
    if (!isOne) throw new InvalidField(`no whole number from ${least} on`);
    return value as number;
  };
}

/** Milliseconds, with fractions. */
function time(value: unknown): number {
  if (typeof value === "number" && value >= 0 && value < 2 ** 53) return value;
  throw new InvalidField("no time");
}

function boolean(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new InvalidField("no boolean");
}

/** Names and messages: a NUL in one could not be handed to libc. */
function text(value: unknown): string {
  if (typeof value === "string" && !value.includes("\0")) return value;
  throw new InvalidField("no text");
}

function bytes(value: unknown): Uint8Array {
  if (typeof value !== "string") throw new InvalidField("no bytes");
  const codes = Array.from(value, (character) => character.charCodeAt(0));
  if (codes.some((code) => code < 1 || code > 0xff)) {
    throw new InvalidField("no bytes");
  }
  return Uint8Array.from(codes);
}
