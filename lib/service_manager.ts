/**
 * What a service manager above us is told of our daemon, as systemd is by
 * `sd_notify()`.
 *
 * Only a tend that stays in the foreground tells it anything: then the manager
 * knows this process, and believes no other.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { getenv, unsetenv } from "../ffi/environment.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { getpid } from "../ffi/process.ts";
import {
  abstractAddress,
  type Address,
  sendDatagram,
  unixAddress,
} from "../ffi/socket.ts";
import type { MonitorState } from "./monitor_state.ts";
import { titleOf } from "./monitor_title.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** Where a program hears of its service manager. */
const VARIABLES = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] as const;
/** When to try again with a manager that reads nothing. */
const TRY_AGAIN_MS = 1_000;
/** So long a monitor that ends waits for one: there is no other time for it. */
const LAST_PATIENCE_MS = 500;
const AT = "@".charCodeAt(0);
const SLASH = "/".charCodeAt(0);

/**
 * Takes the service manager out of the environment: it is told of the daemon by
 * us, and not by the daemon.
 *
 * @returns Where it listens; `undefined` without one.
 * @throws {Error} When it wants to hear from us again and again, as systemd does
 * with `WatchdogSec=`: a monitor that sleeps would be killed for that.
 */
export function takeServiceManager(): Uint8Array | undefined {
  const socket = getenv("NOTIFY_SOCKET");
  if (socket === undefined || socket.length === 0) return undefined;
  if (wantsPings()) {
    throw new Error(
      "WATCHDOG_USEC is set for tend, which says nothing for as long as all is " +
        "well, and would be killed: remove WatchdogSec= from the unit, and " +
        "have tend watch COMMAND by --watchdog=DURATION",
    );
  }
  VARIABLES.forEach(unsetenv);
  return socket;
}

/** As `sd_watchdog_enabled()` has it. */
function wantsPings(): boolean {
  const [usec, pid] = ["WATCHDOG_USEC", "WATCHDOG_PID"].map((name) => {
    const value = getenv(name);
    return value && fromBytes(value);
  });
  if (usec === undefined) return false;
  return pid === undefined || pid === `${getpid()}`;
}

/** What went wrong last, to say it once. */
let failure: string | undefined;

/**
 * Tells the service manager what is new, if anything is. One that cannot be told
 * is no reason to end: it will have its own. Nor is one that reads nothing a
 * reason to wait, while a daemon may be due; it is told later what is new then.
 *
 * @param state What the monitor knows.
 * @returns In how many milliseconds to try again, if it is to be told later.
 */
export function tellServiceManager(state: MonitorState): number | undefined {
  return tell(state, 0);
}

/**
 * The same, from a monitor that is about to end.
 *
 * @param state What the monitor knows.
 */
export function tellServiceManagerLast(state: MonitorState): void {
  tell(state, LAST_PATIENCE_MS);
}

function tell(state: MonitorState, patience: number): number | undefined {
  const { managerSocket } = state;
  if (managerSocket === undefined) return undefined;
  const message = messageOf(state);
  if (message === state.toldManager) return undefined;
  try {
    sendDatagram(addressOf(managerSocket), message, patience);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.EAGAIN) {
      warn(
        managerSocket,
        "it reads nothing, and hears of the daemon when it does",
      );
      return TRY_AGAIN_MS;
    }
    warn(
      managerSocket,
      `${error.message}, the service manager hears nothing of the daemon`,
    );
  }
  // Also when it has failed: that will not be otherwise so soon.
  state.toldManager = message;
  return undefined;
}

function warn(managerSocket: Uint8Array, text: string): void {
  if (failure === text) return;
  failure = text;
  vlog.warn(`NOTIFY_SOCKET=${fromBytes(managerSocket)}: ${text}`);
}

/** What was true before is said again: that changes nothing for who knows it. */
function messageOf(state: MonitorState): string {
  const { phase, everReady, statusText, gaveUp } = state;
  const lines: string[] = [];
  const isGivenUp = gaveUp !== undefined;
  if (phase === "stopping" || isGivenUp) lines.push("STOPPING=1");
  else if (everReady) lines.push("READY=1");
  // Even an empty one: it takes the place of what was there. What a daemon has
  // said that is no more says nothing of why there is none.
  const status = isGivenUp ? titleOf(state) : statusText ?? titleOf(state);
  if (status !== undefined) lines.push(`STATUS=${status}`);
  return lines.join("\n");
}

function addressOf(socket: Uint8Array): Address {
  if (socket[0] === AT) return abstractAddress(socket.subarray(1));
  if (socket[0] === SLASH) return unixAddress(socket);
  throw new LibcError("connect", Errno.EAFNOSUPPORT);
}
