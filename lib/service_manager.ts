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
/** A manager that takes longer to read a message does not hold up a monitor. */
const PATIENCE_MS = 5_000;
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

let hasFailed = false;

/**
 * Tells the service manager what is new, if anything is. One that cannot be told
 * is no reason to end: it will have its own.
 *
 * @param state What the monitor knows.
 */
export function tellServiceManager(state: MonitorState): void {
  const { managerSocket } = state;
  if (managerSocket === undefined) return;
  const message = messageOf(state);
  if (message === state.toldManager) return;
  // Also when it fails: whoever has no room now is not to be waited for again.
  state.toldManager = message;
  try {
    sendDatagram(addressOf(managerSocket), message, PATIENCE_MS);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (hasFailed) return;
    hasFailed = true;
    vlog.warn(
      `NOTIFY_SOCKET=${fromBytes(managerSocket)}: ${error.message}, the ` +
        "service manager hears nothing of the daemon",
    );
  }
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
