/**
 * What a monitor that sleeps proves before it wakes up: that its program starts,
 * since a monitor that dies of that leaves its daemon unwatched.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { closesOnExec } from "../ffi/descriptor.ts";
import { readDirectory } from "../ffi/directory.ts";
import { readFile } from "../ffi/file.ts";
import { isSameFile, statFile } from "../ffi/file_stat.ts";
import { LibcError } from "../ffi/libc.ts";
import type { Proof } from "../ffi/sleeper_proof.ts";
import type { MonitorState } from "./monitor_state.ts";
import { environmentWith, TRIAL_STATUS } from "./stage.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/**
 * What is to be proved: that there is as much of everything as we have now, and
 * that another program than ours understands what we know.
 *
 * @param state What the monitor knows.
 * @param given The descriptors that the program is given.
 * @returns It; nothing for a program that is its own daemon, which is tried each
 * time.
 * @throws {LibcError} When `/proc` cannot be read.
 */
export function proofOf(
  state: MonitorState,
  given: readonly number[],
): Proof | undefined {
  if (state.command === undefined) return undefined;
  const status = fromBytes(readFile("/proc/self/status"));
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  const own = readDirectory("/proc/self/fd").map(Number)
    .filter((fd) => closesOnExec(fd) && !given.includes(fd));
  return {
    addresses: bytes("VmPeak"),
    memory: bytes("VmData"),
    descriptors: own.length,
    program: statFile("/proc/self/exe"),
    trialEnv: environmentWith({ role: "trial", state }),
    trialStatus: TRIAL_STATUS,
  };
}

/**
 * Says that a monitor has woken up as the program that it was although another
 * has taken its place.
 *
 * @param state What the monitor knows.
 */
export function sayIfKept({ command, program }: MonitorState): void {
  if (command === undefined) return;
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
