/**
 * A monitor's state as text, from one image of its process to the next.
 *
 * @module
 */
import { RLIMITS } from "../ffi/limit.ts";
import { LAST_SIGNAL } from "../ffi/signal.ts";
import { LARGEST_ID } from "../ffi/user.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import {
  boolean,
  bytes,
  type Decoder,
  fields,
  integer,
  listOf,
  oneOf,
  optional,
  orElse,
  text,
  time,
  unsigned64,
} from "./fields.ts";
import {
  type Clearing,
  CLEARING_STEPS,
  type Command,
  type DaemonEnd,
  type FilePlace,
  HANGUPS,
  KILL_MODES,
  type KillMode,
  type Logger,
  type LoggerTrouble,
  type Logging,
  MONITOR_PHASES,
  type MonitorState,
  type OutputFile,
  type Outputs,
  type Readiness,
  READY_WAYS,
  RESTART_POLICIES,
  type Retry,
  type StartOutcome,
  STREAMS,
  WISHES,
} from "./monitor_state.ts";
import { DEFAULT_THROTTLE, type Throttle } from "./restart_throttle.ts";
import type { Identity, NewLimit, Surroundings } from "./surroundings.ts";
import type { LogState } from "./vlog.ts";

/** A signal's number. */
export const SIGNAL: Decoder<number> = integer(1, LAST_SIGNAL);

/** How a daemon ended. */
export const DAEMON_END: Decoder<DaemonEnd> = fields<DaemonEnd>({
  pid: integer(0),
  text,
  at: time,
  uptime: optional(time),
});

/** How a start came out. */
export const START_OUTCOME: Decoder<StartOutcome> = fields<StartOutcome>({
  count: integer(0),
  pid: integer(0),
  ready: boolean,
  status: integer(0, 255),
  text: optional(text),
});

/** What a command is to find. */
const SURROUNDINGS: Decoder<Surroundings> = fields<Surroundings>({
  limits: listOf(fields<NewLimit>({
    name: oneOf(Object.keys(RLIMITS) as (keyof typeof RLIMITS)[]),
    soft: unsigned64,
    hard: unsigned64,
  })),
  nice: optional(integer(-20, 19)),
  oomScoreAdj: optional(integer(-1000, 1000)),
  umask: optional(integer(0, 0o777)),
  identity: optional(fields<Identity>({
    uid: integer(0, LARGEST_ID),
    gid: integer(0, LARGEST_ID),
    groups: listOf(integer(0, LARGEST_ID)),
  })),
  chdir: optional(bytes),
  clearEnv: boolean,
  env: listOf(bytes),
  noNewPrivileges: boolean,
});

/** Where what a command writes goes. */
const OUTPUTS: Decoder<Outputs> = fields<Outputs>({
  files: listOf(fields<OutputFile>({ streams: oneOf(STREAMS), file: bytes })),
  logging: optional(fields<Logging>({
    rotate: optional(fields({
      size: integer(1, Number.MAX_SAFE_INTEGER),
      count: integer(1),
    })),
    timestamps: boolean,
  })),
});

/** How a process ended, by a signal or else. */
const WAIT_STATUS: Decoder<WaitStatus> = (value) => {
  const { kind } = fields({ kind: oneOf(["exited", "signaled"]) })(value);
  return kind === "exited"
    ? { kind, ...fields({ code: integer(0, 255) })(value) }
    : { kind, ...fields({ signal: SIGNAL, coreDumped: boolean })(value) };
};

/** When a daemon is ready. */
const READINESS: Decoder<Readiness> = fields<Readiness>({
  how: oneOf(READY_WAYS),
  operand: text,
  timeout: time,
});

/** What each field of a record holds. A missing one does not compile. */
const STATE: { readonly [K in keyof MonitorState]: Decoder<MonitorState[K]> } =
  {
    phase: oneOf(MONITOR_PHASES),
    policy: oneOf(RESTART_POLICIES),
    throttle: orElse<Throttle>(
      DEFAULT_THROTTLE,
      fields<Throttle>({
        delay: time,
        maxDelay: time,
        reset: optional(time),
        limit: optional(fields({ ends: integer(1), within: time })),
      }),
    ),
    onCrash: optional(text),
    name: orElse("", text),
    // That of a monitor that knew no other: its daemon leads no group.
    killMode: orElse<KillMode>("process", oneOf(KILL_MODES)),
    stopSignal: optional(SIGNAL),
    stopTimeout: optional(time),
    helpers: orElse<readonly number[]>([], listOf(integer(1))),
    command: optional(fields<Command>({
      path: bytes,
      argv: listOf(bytes),
      ignored: listOf(integer(1, 64)),
      surroundings: optional(SURROUNDINGS),
      outputs: optional(OUTPUTS),
    })),
    pidfile: optional(text),
    overwritePidfile: boolean,
    detach: boolean,
    chdir: boolean,
    detachError: optional(text),
    daemonPid: integer(0),
    daemonIsFork: boolean,
    everReady: boolean,
    startedAt: optional(time),
    lastEnd: optional(DAEMON_END),
    lastWords: optional(text),
    lastStart: optional(START_OUTCOME),
    told: optional(SIGNAL),
    stoppedAt: optional(time),
    hangup: optional(oneOf(HANGUPS)),
    clearing: optional(fields<Clearing>({
      phase: oneOf(MONITOR_PHASES),
      wish: optional(oneOf(WISHES)),
      status: WAIT_STATUS,
      step: oneOf(CLEARING_STEPS),
    })),
    left: orElse<readonly number[]>([], listOf(integer(1))),
    restarts: orElse(0, integer(0)),
    restartMsg: optional(text),
    crashes: integer(0),
    statusMsg: text,
    exitStatus: integer(0, 255),
    coreDumped: boolean,
    lastRestart: optional(time),
    interval: orElse(DEFAULT_THROTTLE.delay, time),
    readySince: optional(time),
    recentEnds: orElse<readonly number[]>([], listOf(time)),
    gaveUp: optional(text),
    hookDue: orElse(false, boolean),
    signalFd: integer(0),
    startupFd: integer(-1),
    notifyFd: integer(-1),
    ready: optional(READINESS),
    readinessFd: orElse(-1, integer(-1)),
    lookAgain: orElse(0, integer(0)),
    fileBefore: optional(text),
    messagesFd: orElse(-1, integer(-1)),
    managerSocket: optional(bytes),
    toldManager: orElse("", text),
    statusText: optional(text),
    watchdog: optional(time),
    watchdogInterval: orElse(0, time),
    watchdogFd: orElse(-1, integer(-1)),
    hungMsg: optional(text),
    deadline: optional(time),
    backingOffUntil: optional(time),
    stderrFrom: optional(fields<FilePlace>({
      dev: text,
      ino: unsigned64,
      size: unsigned64,
    })),
    loggers: orElse<readonly Logger[]>(
      [],
      listOf(fields<Logger>({
        pid: integer(0),
        since: time,
        readFd: integer(0),
        writeFd: integer(0),
        ackFd: integer(0),
        troubles: orElse<readonly LoggerTrouble[]>(
          [],
          listOf(fields<LoggerTrouble>({ kind: integer(0), text })),
        ),
      })),
    ),
    monitorFd: orElse(-1, integer(-1)),
    showAgain: optional(fields<Retry>({ at: time, delay: time })),
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
  return encodeParts(state);
}

/**
 * A monitor's state of such a value.
 *
 * @param value The value, from anywhere.
 * @returns The state.
 * @throws {Error} When it is no monitor's state; the message names the field.
 */
export function decodeMonitorState(value: unknown): MonitorState {
  const state = fields(STATE)(value);
  const isOlder = !Object.hasOwn(value as object, "messagesFd");
  // Then there was one descriptor for both.
  return isOlder && state.ready?.how === "notify"
    ? { ...state, messagesFd: state.readinessFd, readinessFd: -1 }
    : state;
}

/**
 * A record as a value for `JSON.stringify()`: bytes become a string of as many
 * characters, and what has 64 bits one of digits, for JSON has neither.
 *
 * @param value The record.
 * @returns The value.
 */
export function encodeParts(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) {
    return Array.from(value, (byte) => String.fromCharCode(byte)).join("");
  }
  if (Array.isArray(value)) return value.map(encodeParts);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, encodeParts(part)]),
  );
}
