/**
 * Stages: how a process hands its role to a fresh image of the same program.
 *
 * A process of several threads cannot fork and go on. It starts the program
 * again instead, from the top, and what the new process is to be stands in one
 * entry of the environment: a stage. A monitor that has slept wakes up in the
 * same way. Whoever starts with a stage takes it out, and checks it like any
 * input.
 *
 * Before it is taken, the program's own first lines run, which may copy the
 * environment or start commands. So the entry has no `=`: no runtime takes it
 * for a variable, and what it starts does not get it. The kernel hands it over
 * like any other; a shell does not.
 *
 * @module
 */
import { type CString, fromBytes, toBytes } from "../ffi/c_string.ts";
import { isChild } from "../ffi/child.ts";
import { close, closesOnExec, setCloseOnExec } from "../ffi/descriptor.ts";
import { readLink } from "../ffi/file.ts";
import {
  environment,
  initialEnvironment,
  takeEntry,
} from "../ffi/environment.ts";
import { LibcError } from "../ffi/libc.ts";
import { getpid, getppid } from "../ffi/process.ts";
import { fchdir } from "../ffi/working_directory.ts";
import {
  decodeLogState,
  decodeMonitorState,
  encodeMonitorState,
} from "./monitor_record.ts";
import type { MonitorState } from "./monitor_state.ts";
import { resumeLog } from "./vlog.ts";

/** What a stage is called in messages, and how its entry begins. */
const STAGE = "TEND_STAGE";
const ENTRY = `${STAGE}:`;
/** Of the record's form. */
const VERSION = 1;

const START_ROLES = ["detached", "monitor", "daemon"] as const;

/** What a process is to be that was started for it. */
export interface StartStage {
  /**
   * The caller's child in the background, the monitor of a daemon in the
   * foreground, or the daemon.
   */
  readonly role: typeof START_ROLES[number];
  /** For `forkNotifyStartup()`; -1 when nobody waits. */
  readonly notifyFd: number;
  /** Whether a daemon before this one has dumped core. */
  readonly coreDumped: boolean;
}

/** What a monitor is that has slept. */
export interface WokenStage {
  readonly role: "woken";
  /** What it knows. */
  readonly state: MonitorState;
  /** The program that it was, for the sleeper alone. */
  readonly keptFd: number;
  /** Its working directory, which Deno would not start in once it is removed. */
  readonly cwdFd: number;
}

/**
 * A program that is tried before it takes the place of a monitor that sleeps. It
 * ends as soon as it has read this, with {@linkcode TRIAL_STATUS}.
 */
export interface TrialStage {
  readonly role: "trial";
  /** What it is to understand, if that is to be tried too. */
  readonly state?: MonitorState;
}

/** The exit status of a program that gets so far; no other is likely to have it. */
export const TRIAL_STATUS = 123;

/** What a process is to be. */
export type Stage = StartStage | WokenStage | TrialStage;

/**
 * Our environment with a stage in it, for a program that is to have that.
 *
 * @param stage The stage.
 * @returns All entries.
 */
export function environmentWith(stage: Stage): CString[] {
  // A "=" can only be inside a string of it, where JSON has another word for it.
  const text = encodeStage(stage, getpid()).replaceAll("=", "\\u003d");
  return [...environment(), `${ENTRY}${text}`];
}

/**
 * Takes the stage out of the environment.
 *
 * @returns The stage; `undefined` in a process that its caller has started.
 * @throws {Error} When the entry holds anything but a stage for us.
 */
export function takeStage(): Stage | undefined {
  const value = takeEntry(ENTRY) ?? findLost();
  if (value === undefined) return undefined;
  const { stage, from } = decodeOrSay(fromBytes(value));
  // Left over in somebody's environment it would make a caller a daemon. One
  // that comes by exec is from this very process.
  const isOurs = from === getpid() ||
    (stage.role !== "woken" && from === getppid());
  if (!isOurs) {
    throw new Error(
      `${STAGE} is from pid ${from}, which is not the parent of pid ` +
        `${getpid()}: it is left over, or the parent has been killed`,
    );
  }
  if (stage.role === "woken") {
    // First: what is refused from here on has no other place to be said.
    resumeLogOf(stage.state);
    checkChildren(stage.state);
    const { signalFd, startupFd, deadlineFd } = stage.state;
    const { monitorFd, readinessFd, messagesFd, watchdogFd } = stage.state;
    keep({ signalFd, startupFd, deadlineFd, monitorFd });
    keep({ readinessFd, messagesFd, watchdogFd });
    checkKinds({ signalFd, startupFd, deadlineFd, monitorFd });
    checkKinds({ messagesFd, watchdogFd });
    for (const { readFd, writeFd, ackFd } of stage.state.loggers) {
      keep({ readFd, writeFd, ackFd });
      checkKinds({ readFd, writeFd, ackFd });
    }
    keep({ keptFd: stage.keptFd, cwdFd: stage.cwdFd });
    returnTo(stage.cwdFd);
    close(stage.keptFd);
    close(stage.cwdFd);
  } else if (stage.role !== "trial") {
    keep({ notifyFd: stage.notifyFd });
  }
  return stage;
}

/**
 * The stage where an emulator (`qemu-user`) has dropped what is no variable.
 * Without it a program would start itself again and again.
 */
function findLost(): Uint8Array | undefined {
  try {
    return initialEnvironment()
      .find((entry) => fromBytes(entry).startsWith(ENTRY))
      ?.slice(toBytes(ENTRY).length);
  } catch (error) {
    // Without `/proc`; but there nobody starts again.
    if (!(error instanceof LibcError)) throw error;
    return undefined;
  }
}

/**
 * Decodes a stage. One that is refused may be that of a monitor: then the reason
 * goes to its log, for it has no other place any more where anybody looks.
 */
function decodeOrSay(text: string): ReturnType<typeof decodeStage> {
  try {
    return decodeStage(text);
  } catch (refusal) {
    try {
      const { from, state } = JSON.parse(text);
      if (from === getpid()) resumeLog(decodeLogState(state.log));
    } catch (error) {
      // Whatever it is: the refusal says it.
      if (!(error instanceof Error)) throw error;
    }
    throw refusal;
  }
}

/**
 * Goes back to the working directory, which is another by now only if it was
 * removed: a relative name must not mean something below `/` then.
 */
function returnTo(cwdFd: number): void {
  try {
    fchdir(cwdFd);
  } catch (error) {
    // Not ours to search any more; but then it was not removed, and we are in it.
    if (!(error instanceof LibcError)) throw error;
  }
}

function resumeLogOf({ log }: MonitorState): void {
  try {
    if (log !== undefined) resumeLog(log);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw invalid(`state: log: ${error.message}`);
  }
}

/** A forged record could have us signal somebody else's process. */
function checkChildren({ phase, daemonPid, loggers }: MonitorState): void {
  const pids = loggers.map(({ pid }) => pid).filter((pid) => pid !== 0);
  if (phase !== "backingOff") pids.unshift(daemonPid);
  const other = pids.find((pid) => !isChild(pid));
  if (other === undefined) return;
  throw new Error(`${STAGE}: pid ${other} is not a child of pid ${getpid()}`);
}

/** What `/proc` calls a monitor's descriptors. */
const KINDS = {
  signalFd: /^anon_inode:\[signalfd\]$/,
  startupFd: /^pipe:/,
  deadlineFd: /^anon_inode:\[timerfd\]$/,
  messagesFd: /^socket:/,
  watchdogFd: /^anon_inode:\[timerfd\]$/,
  monitorFd: /^\//,
  readFd: /^pipe:/,
  writeFd: /^pipe:/,
  ackFd: /^anon_inode:\[eventfd\]$/,
} as const;

/** Of another kind one could be read from for ever, or be another's file. */
function checkKinds(
  fds: { readonly [K in keyof typeof KINDS]?: number },
): void {
  for (const [name, fd] of Object.entries(fds)) {
    const kind = KINDS[name as keyof typeof KINDS];
    if (fd === -1) continue;
    let file: string;
    try {
      file = readLink(`/proc/self/fd/${fd}`);
    } catch (error) {
      // Another PID namespace's `/proc` does not tell.
      if (error instanceof LibcError) continue;
      throw error;
    }
    if (!kind.test(file)) {
      throw new Error(`${STAGE}: ${name} ${fd} is ${file}`);
    }
  }
}

/** They have come through an exec, and are for no other. */
function keep(fds: Record<string, number>): void {
  for (const [name, fd] of Object.entries(fds)) {
    if (fd === -1) continue;
    if (closesOnExec(fd) === undefined) {
      throw new Error(`${STAGE}: ${name} ${fd} is not open`);
    }
    setCloseOnExec(fd, true);
  }
}

/**
 * A stage as text.
 *
 * @param stage The stage.
 * @param from The process that hands it over.
 * @returns JSON.
 */
export function encodeStage(stage: Stage, from: number): string {
  const record = "state" in stage && stage.state !== undefined
    ? { ...stage, state: encodeMonitorState(stage.state) }
    : stage;
  return JSON.stringify({ version: VERSION, from, ...record });
}

/**
 * A stage of its text.
 *
 * @param text The text, from anywhere.
 * @returns The stage, and the process that handed it over.
 * @throws {Error} When the text is no stage, or one of another version.
 */
export function decodeStage(text: string): { stage: Stage; from: number } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw invalid("it is not JSON");
  }
  if (typeof value !== "object" || value === null) {
    throw invalid("it is not a record");
  }
  const record = value as Record<string, unknown>;
  const { version, from } = record;
  if (version !== VERSION) {
    throw invalid(
      `its version is ${
        JSON.stringify(version)
      }, and this program knows ${VERSION}`,
    );
  }
  if (!isInteger(from, 1)) throw invalid("from is not a pid");
  return { stage: decodeRole(record), from };
}

function decodeRole(record: Record<string, unknown>): Stage {
  if (record.role === "trial") {
    return record.state === undefined
      ? { role: "trial" }
      : { role: "trial", state: decodeState(record.state) };
  }
  return record.role === "woken" ? decodeWoken(record) : decodeStart(record);
}

function decodeStart(
  { role, notifyFd, coreDumped }: Record<string, unknown>,
): StartStage {
  if (!isStartRole(role)) throw invalid("its role is unknown");
  if (!isInteger(notifyFd, -1)) throw invalid("notifyFd is not a descriptor");
  if (typeof coreDumped !== "boolean") {
    throw invalid("coreDumped is no boolean");
  }
  return { role, notifyFd, coreDumped };
}

function decodeWoken(
  { state, keptFd, cwdFd }: Record<string, unknown>,
): WokenStage {
  if (!isInteger(keptFd, 3)) throw invalid("keptFd is not a descriptor");
  if (!isInteger(cwdFd, 3)) throw invalid("cwdFd is not a descriptor");
  return { role: "woken", state: decodeState(state), keptFd, cwdFd };
}

function decodeState(state: unknown): MonitorState {
  try {
    const decoded = decodeMonitorState(state);
    if (decoded.notifyFd !== -1) {
      throw new Error("notifyFd is one, and nobody waits for a monitor asleep");
    }
    return decoded;
  } catch (error) {
    if (error instanceof Error) throw invalid(`state: ${error.message}`);
    throw error;
  }
}

function isStartRole(value: unknown): value is StartStage["role"] {
  return (START_ROLES as readonly unknown[]).includes(value);
}

function isInteger(value: unknown, least: number): value is number {
  return typeof value === "number" && Number.isInteger(value) &&
    value >= least && value <= 0x7fff_ffff;
}

function invalid(why: string): Error {
  return new Error(`${STAGE} is not valid: ${why}`);
}
