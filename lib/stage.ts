/**
 * Stages: how a process hands its role to a fresh image of the same program.
 *
 * A process of several threads cannot fork and go on. It starts the program
 * again instead, from the top, and what the new process is to be stands in one
 * variable of the environment: a stage. Whoever starts with it takes it out at
 * once, and checks it like any input.
 *
 * @module
 */
import { setCloseOnExec } from "../ffi/descriptor.ts";
import { fromBytes } from "../ffi/c_string.ts";
import { getenv, setenv, unsetenv } from "../ffi/environment.ts";
import { LibcError } from "../ffi/libc.ts";
import { getpid, getppid } from "../ffi/process.ts";

/** The variable that holds a stage. */
const VARIABLE = "TEND_STAGE";
/** Of the record's form. */
const VERSION = 1;

const ROLES = ["detached", "monitor", "daemon"] as const;

/** What a process is to be. */
export interface Stage {
  /**
   * The caller's child in the background, the monitor of a daemon in the
   * foreground, or the daemon.
   */
  readonly role: typeof ROLES[number];
  /** For `forkNotifyStartup()`; -1 when nobody waits. */
  readonly notifyFd: number;
  /** Whether a daemon before this one has dumped core. */
  readonly coreDumped: boolean;
}

/**
 * Puts a stage into the environment while a program is started with it.
 *
 * @param stage The stage.
 * @param start Starts the program.
 * @returns What `start` returns.
 */
export function withStage<T>(stage: Stage, start: () => T): T {
  setenv(VARIABLE, encodeStage(stage, getpid()));
  try {
    return start();
  } finally {
    unsetenv(VARIABLE);
  }
}

/**
 * Takes the stage out of the environment.
 *
 * @returns The stage; `undefined` in a process that its caller has started.
 * @throws {Error} When the variable holds anything but a stage for us.
 */
export function takeStage(): Stage | undefined {
  const value = getenv(VARIABLE);
  if (value === undefined) return undefined;
  unsetenv(VARIABLE);
  const { stage, from } = decodeStage(fromBytes(value));
  // Left over in somebody's environment it would make a caller a daemon. One
  // that comes by exec is from this very process.
  if (from !== getppid() && from !== getpid()) {
    throw new Error(
      `${VARIABLE} is from pid ${from}, which is not the parent of pid ` +
        `${getpid()}: unset it, or the parent has been killed`,
    );
  }
  if (stage.notifyFd !== -1) {
    try {
      setCloseOnExec(stage.notifyFd, true);
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      throw new Error(
        `${VARIABLE}: descriptor ${stage.notifyFd}: ${error.message}`,
      );
    }
  }
  return stage;
}

/**
 * A stage as text.
 *
 * @param stage The stage.
 * @param from The process that hands it over.
 * @returns JSON.
 */
export function encodeStage(stage: Stage, from: number): string {
  return JSON.stringify({ version: VERSION, from, ...stage });
}

/**
 * A stage of its text.
 *
 * @param text The text, from anywhere.
 * @returns The stage, and the process that handed it over.
 * @throws {Error} When the text is no stage, or one of another version.
 */
export function decodeStage(text: string): { stage: Stage; from: number } {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw invalid("it is not JSON");
  }
  if (typeof record !== "object" || record === null) {
    throw invalid("it is not a record");
  }
  const { version, from, role, notifyFd, coreDumped } = record as Record<
    string,
    unknown
  >;
  if (version !== VERSION) {
    throw invalid(
      `its version is ${version}, and this program knows ${VERSION}`,
    );
  }
  if (!isInteger(from, 1)) throw invalid("from is not a pid");
  if (!isRole(role)) throw invalid("its role is unknown");
  if (!isInteger(notifyFd, -1)) throw invalid("notifyFd is not a descriptor");
  if (typeof coreDumped !== "boolean") {
    throw invalid("coreDumped is no boolean");
  }
  return { stage: { role, notifyFd, coreDumped }, from };
}

function isRole(value: unknown): value is Stage["role"] {
  return (ROLES as readonly unknown[]).includes(value);
}

function isInteger(value: unknown, least: number): value is number {
  return typeof value === "number" && Number.isInteger(value) &&
    value >= least && value <= 0x7fff_ffff;
}

function invalid(why: string): Error {
  return new Error(`${VARIABLE} is not valid: ${why}`);
}
