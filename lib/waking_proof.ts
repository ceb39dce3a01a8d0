/**
 * What a monitor that sleeps proves before it wakes up: that its program starts,
 * since a monitor that dies of that leaves its daemon unwatched.
 *
 * @module
 */
import { type CString, fromBytes } from "../ffi/c_string.ts";
import { closesOnExec } from "../ffi/descriptor.ts";
import { readDirectory } from "../ffi/directory.ts";
import { START_DESCRIPTORS } from "../ffi/entry_note.ts";
import { offsetOf, readFile, setOffset } from "../ffi/file.ts";
import { isSameFile, statFile } from "../ffi/file_stat.ts";
import { LibcError } from "../ffi/libc.ts";
import { getrlimit, RLIMITS } from "../ffi/limit.ts";
import { LATE, type Proof } from "../ffi/sleeper_proof.ts";
import type { MonitorState } from "./monitor_state.ts";
import { environmentWith, TRIAL_STATUS } from "./stage.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** The limits by which a start can fail. */
const LIMITS = ["as", "data", "stack", "nofile", "nproc", "memlock"]
  .concat("sigpending") as (keyof typeof RLIMITS)[];

/** The limits under which this process's program has started, or why not. */
let limits: Proof["limits"] | LibcError = [];

/**
 * Notes the limits under which this program has started: to be called soon, as
 * somebody else may lower them. Where they cannot be told nothing can be proved,
 * and the monitor stays awake.
 */
export function noteLimits(): void {
  try {
    limits = LIMITS.map((name) => ({
      resource: RLIMITS[name],
      soft: getrlimit(RLIMITS[name]).soft,
    }));
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    limits = error;
  }
}

/**
 * What is to be proved: that there is as much of everything as we have now, and
 * that another program than ours understands what we know.
 *
 * @param state What the monitor knows.
 * @param path The path of the program.
 * @param given The descriptors that the program is given.
 * @returns It; nothing for a program that is its own daemon, which is tried each
 * time.
 * @throws {LibcError} When `/proc` cannot be read, or the limits could not.
 */
export function proofOf(
  state: MonitorState,
  path: CString,
  given: readonly number[],
): Proof | undefined {
  if (state.command === undefined) return undefined;
  if (limits instanceof LibcError) throw limits;
  const status = fromBytes(readFile("/proc/self/status"));
  const data = Number(/^VmData:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
  const own = readDirectory("/proc/self/fd").map(Number)
    .filter((fd) => closesOnExec(fd) && !given.includes(fd));
  return {
    // What is asleep has some, too, and must get all else under the same limit.
    memory: data - data / 8,
    // With one for the image that we become, which is closed then.
    descriptors: Math.max(own.length + 1, START_DESCRIPTORS),
    limits,
    program: statFile("/proc/self/exe"),
    // One that is older does not know that it is tried, and does what it is told.
    trialArgv: [path, "--version"],
    trialEnv: environmentWith({ role: "trial", state }),
    trialStatus: TRIAL_STATUS,
    noteFd: state.monitorFd,
  };
}

/**
 * Says that a monitor has woken up late, or as the program that it was although
 * another has taken its place.
 *
 * @param state What the monitor knows.
 */
export function sayHowWoken(
  { command, program, monitorFd }: MonitorState,
): void {
  if (command === undefined) return;
  if (monitorFd !== -1 && offsetOf(monitorFd) === LATE) {
    setOffset(monitorFd, 0);
    vlog.warn(
      "tend could not start for a while, and nobody has looked after the daemon",
    );
  }
  try {
    if (isSameFile(statFile(program), statFile("/proc/self/exe"))) return;
  } catch (error) {
    // A program that was removed is none that does not start.
    if (!(error instanceof LibcError)) throw error;
    return;
  }
  vlog.warn(
    `${program}: does not start as this monitor, going on with what it was`,
  );
}
