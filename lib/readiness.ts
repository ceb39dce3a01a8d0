/**
 * When a daemon is ready that does not say so by its exec alone: by what it
 * writes, or by what others find that look for it.
 *
 * @module
 */
import { dirname } from "@std/path/dirname";
import { close, pipe2, readIfAny, setNonBlocking } from "../ffi/descriptor.ts";
import { statFile } from "../ffi/file_stat.ts";
import { inotifyDirectory } from "../ffi/inotify.ts";
import { LibcError } from "../ffi/libc.ts";
import {
  accepts,
  type Address,
  tcpAddress,
  unixAddress,
} from "../ffi/socket.ts";
import { bootTime, setTimerfd, timerfd } from "../ffi/wait.ts";
import type { MonitorState, Readiness } from "./monitor_state.ts";
import { notifySocket } from "./notify_socket.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/**
 * How often to look where the kernel cannot tell: it has no word for a socket
 * that somebody begins to listen on.
 */
const LOOK_AGAIN_MS = { first: 20, last: 250 } as const;

/** What a command is given to say something of itself with. */
export interface ReadyMeans {
  /** The name of the socket for `NOTIFY_SOCKET`. */
  readonly notifySocket?: string;
  /** How often it has to say that it works, in milliseconds. */
  readonly watchdog?: number;
  /** The write end of a pipe, and its number in the command. */
  readonly pipe?: { readonly fd: number; readonly number: number };
}

/**
 * What is waited for, in words that follow `waiting for`.
 *
 * @param ready When the daemon is ready.
 * @returns The words.
 */
export function describeReadiness({ how, operand }: Readiness): string {
  switch (how) {
    case "notify":
      return "READY=1";
    case "fd":
      return `a newline on descriptor ${operand}`;
    case "delay":
      return `${Number(operand) / 1000} s to pass`;
    default:
      return `${how} ${operand}`;
  }
}

/**
 * The addresses of which one has to be listened on.
 *
 * @param ready When the daemon is ready.
 * @returns The addresses; none when it is not by listening, `undefined` when
 * there is no such address.
 * @throws {LibcError} `ENAMETOOLONG`.
 */
export function addressesOf(
  { how, operand }: Pick<Readiness, "how" | "operand">,
): Address[] | undefined {
  if (how === "unix") return [unixAddress(operand)];
  if (how !== "tcp") return [];
  const [, six, four, port] =
    /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(operand) ?? [];
  if (port === undefined || Number(port) > 0xffff || Number(port) === 0) {
    return undefined;
  }
  const host = six ?? four ?? "localhost";
  const hosts = host === "localhost" ? ["127.0.0.1", "::1"] : [host];
  if (six !== undefined && !six.includes(":")) return undefined;
  const addresses = hosts.map((host) => tcpAddress(host, Number(port)));
  return addresses.every((address) => address !== undefined)
    ? addresses
    : undefined;
}

/**
 * Says what stands in the way of a start: if somebody else listens where the
 * daemon is to listen, nobody could tell when that is ready.
 *
 * @param ready When the daemon is ready.
 * @returns The reason, if there is one.
 */
export function inUse(ready: Readiness): string | undefined {
  return isListenedOn(ready)
    ? `${describeReadiness(ready)} is in use already`
    : undefined;
}

function isListenedOn(ready: Readiness): boolean {
  return addressesOf(ready)?.some(accepts) ?? false;
}

/**
 * Gets ready for a start, before the fork.
 *
 * Each start has means of its own: what is left of the daemon before it, a
 * process that has outlived it perhaps, cannot say that this one is ready.
 *
 * @param state What the monitor knows.
 * @returns What the command is given.
 * @throws {LibcError} When there is no descriptor to be had.
 */
export function prepareReadiness(state: MonitorState): ReadyMeans {
  const { ready, watchdog } = state;
  closeReadiness(state);
  state.statusText = undefined;
  let means: ReadyMeans = {};
  if (ready?.how === "notify" || watchdog !== undefined) {
    const { fd, name } = notifySocket();
    state.messagesFd = fd;
    means = { notifySocket: name, ...(watchdog !== undefined && { watchdog }) };
  }
  switch (ready?.how) {
    case "fd": {
      const { readFd, writeFd } = pipe2();
      setNonBlocking(readFd);
      state.readinessFd = readFd;
      const pipe = { fd: writeFd, number: Number(ready.operand) };
      return { ...means, pipe };
    }
    case "file":
      state.fileBefore = stateOfFile(ready.operand);
      return means;
    case "tcp":
    case "unix": {
      // A first start is refused for it. Later nobody is served by a daemon
      // that is not started, or killed because that cannot be told.
      const why = state.everReady ? inUse(ready) : undefined;
      if (why !== undefined) {
        vlog.warn(`${why}, cannot tell when the daemon is ready`);
      }
      return means;
    }
    default:
      return means;
  }
}

/**
 * Closes what the command alone is to have.
 *
 * @param means What it was given.
 */
export function closeMeans({ pipe }: ReadyMeans): void {
  if (pipe !== undefined) close(pipe.fd);
}

/**
 * Begins to wait, when the daemon has become its command. `readinessFd` can be
 * read from then on when it may be ready.
 *
 * @param state What the monitor knows.
 * @throws {LibcError} When there is no descriptor to be had.
 */
export function awaitReadiness(state: MonitorState): void {
  const { ready } = state;
  state.lookAgain = LOOK_AGAIN_MS.first;
  // Those that say so have their own.
  if (ready === undefined || ready.how === "notify" || ready.how === "fd") {
    return;
  }
  if (state.readinessFd !== -1) return;
  state.readinessFd = timerfd();
  // The first look is at once: it may have been quick.
  const delay = ready.how === "delay" ? Number(ready.operand) : 0;
  setTimerfd(state.readinessFd, bootTime() + delay);
}

/**
 * Whether the daemon may have become ready just before it ended: it has said
 * so, and that is still to be read.
 *
 * @param state What the monitor knows.
 * @returns Whether to ask once more.
 */
export function speaksItself({ ready }: MonitorState): boolean {
  return ready?.how === "notify" || ready?.how === "fd";
}

/**
 * Looks whether the daemon is ready, and if not, has it told when to look again.
 *
 * @param state What the monitor knows.
 * @returns Whether it is.
 * @throws {LibcError} When there is no descriptor to be had.
 */
export function isReady(state: MonitorState): boolean {
  const { ready, readinessFd } = state;
  if (ready === undefined || readinessFd === -1) return false;
  switch (ready.how) {
    case "fd":
      return readNewline(state);
    case "delay":
      return readIfAny(readinessFd, new Uint8Array(8)) !== undefined;
    case "file": {
      // Anew each time: the directory may be another by now. And before the
      // look: what comes after that wakes us.
      watchFile(state, ready.operand);
      const now = stateOfFile(ready.operand);
      return now !== undefined && now !== state.fileBefore;
    }
    default:
      if (isListenedOn(ready)) return true;
      lookAgainLater(state);
      return false;
  }
}

/**
 * Lets go of all that a daemon says something with.
 *
 * @param state What the monitor knows.
 */
export function closeReadiness(state: MonitorState): void {
  stopAwaiting(state);
  if (state.messagesFd !== -1) close(state.messagesFd);
  state.messagesFd = -1;
}

/**
 * Stops waiting; only a socket for messages stays as long as the daemon does:
 * who writes to it and is not read may wait for that.
 *
 * @param state What the monitor knows.
 */
export function stopAwaiting(state: MonitorState): void {
  if (state.readinessFd !== -1) close(state.readinessFd);
  state.readinessFd = -1;
}

function readNewline(state: MonitorState): boolean {
  const bytes = new Uint8Array(512);
  for (;;) {
    const length = readIfAny(state.readinessFd, bytes);
    if (length === undefined) return false;
    if (bytes.subarray(0, length).includes(0x0a)) return true;
    if (length > 0) continue;
    // It will not say so any more: its end or the time decides.
    stopAwaiting(state);
    return false;
  }
}

/** Where a directory cannot be watched, the clock has us look. */
function watchFile(state: MonitorState, path: string): void {
  stopAwaiting(state);
  try {
    state.readinessFd = inotifyDirectory(dirname(path));
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    state.readinessFd = timerfd();
    lookAgainLater(state);
  }
}

/** Its identity and its time: a file that is there is ready when it changes. */
function stateOfFile(path: string): string | undefined {
  try {
    const { dev, ino, ctime } = statFile(path);
    return `${dev}:${ino}:${ctime}`;
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}

function lookAgainLater(state: MonitorState): void {
  setTimerfd(state.readinessFd, bootTime() + state.lookAgain);
  state.lookAgain = Math.min(2 * state.lookAgain, LOOK_AGAIN_MS.last);
}
