/**
 * What a command writes to stderr until it is ready: it goes to the caller.
 *
 * The command has a pipe for its stderr. A program of 16 KiB reads that, and
 * lives as long as somebody has the pipe: so nobody is held up by it, or dies of
 * SIGPIPE, when the monitor sleeps or has been killed.
 *
 * It is there only while a caller waits, and no monitor sleeps then; so it has no
 * place in the monitor's record.
 *
 * @module
 */
import { close, pipe2, setNonBlocking, writeFully } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { DRAIN, relayImage } from "../ffi/stderr_relay.ts";
import { waitReadable } from "../ffi/wait.ts";
import type { MonitorState } from "./monitor_state.ts";
import { startNative } from "./native_child.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { isTerminal } from "./waiting_line.ts";

const vlog: Vlog = vlogModule("daemon_unix");

const STDERR = 2;
/** As the terminal has it: erase what is behind the cursor. */
const ERASE = "\x1b[K";
/** Longer than a relay takes in the worst case. */
const PATIENCE_MS = 5_000;

/** The descriptors that lead to the relay. */
interface Relay {
  /** What the command has for its stderr. */
  readonly inputFd: number;
  /** Tells the relay to stop. */
  readonly controlFd: number;
  /** At its end when the relay has stopped. */
  readonly doneFd: number;
}

let relay: Relay | undefined;

/**
 * Whether what the command writes to stderr is to reach the caller.
 *
 * @param state What the monitor knows.
 * @returns Whether it is.
 */
export function wantsStderr(
  { ready, detach, everReady, notifyFd, command }: MonitorState,
): boolean {
  const hasFile =
    command?.outputs?.files.some(({ streams }) => streams !== "stdout") ??
      false;
  return ready !== undefined && detach && !everReady && notifyFd !== -1 &&
    !hasFile;
}

/**
 * What becomes the command's stderr. The caller's is to be ours still.
 *
 * @param state What the monitor knows.
 * @returns A descriptor; `undefined` where a relay cannot be had, which has been
 * said then.
 * @throws {LibcError} When there is no descriptor or process to be had.
 */
export function relayedStderr(state: MonitorState): number | undefined {
  // Another first start, because the one before it was given up.
  if (relay !== undefined) return relay.inputFd;
  relay = startRelay(state);
  return relay?.inputFd;
}

/**
 * Has all passed on that was written by now, and no more.
 */
export function stopRelay(): void {
  if (relay === undefined) return;
  const { inputFd, controlFd, doneFd } = relay;
  relay = undefined;
  close(inputFd);
  try {
    writeFully(controlFd, DRAIN);
  } catch (error) {
    // It has ended, or stopped by itself, since nobody listens to it.
    if (!(error instanceof LibcError)) throw error;
  }
  close(controlFd);
  waitReadable([doneFd], PATIENCE_MS);
  close(doneFd);
}

function startRelay(state: MonitorState): Relay | undefined {
  const [input, control, done] = [pipe2(), pipe2(), pipe2()];
  setNonBlocking(input.readFd);
  setNonBlocking(control.readFd);
  const theirs = [input.readFd, control.readFd, done.writeFd];
  const image = relayImage({
    name: "tend",
    input: input.readFd,
    output: STDERR,
    control: control.readFd,
    done: done.writeFd,
    prefix: isTerminal() ? ERASE : "",
  });
  try {
    const pid = startNative({
      name: "tend-stderr",
      title: "tend: showing stderr until ready",
      image,
      fds: theirs,
      nullFds: [0, 1],
    });
    state.helpers = [...state.helpers, pid];
    return {
      inputFd: input.writeFd,
      controlFd: control.writeFd,
      doneFd: done.readFd,
    };
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    [input.writeFd, control.writeFd, done.readFd].forEach(close);
    vlog.warn(
      `${error.message}: what the command writes to stderr is not shown`,
    );
    return undefined;
  } finally {
    theirs.forEach(close);
  }
}
