/**
 * What a daemon says of itself in systemd's words: `sd_notify()`.
 *
 * Who may say something? The name of the socket is no secret, so the kernel
 * tells who has sent a message. Believed are root, our own user and the user
 * that the daemon runs as by now. Not its pid decides: `systemd-notify` has
 * ended when we read what it has sent, and a process of one of these users could
 * do worse to the daemon than say that it is ready.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { readFile } from "../ffi/file.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import {
  type Datagram,
  datagramSocket,
  MSG_PEEK,
  receive,
} from "../ffi/socket.ts";
import { geteuid } from "../ffi/user.ts";
import type { MonitorState } from "./monitor_state.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** As much as systemd reads of a message. */
const LONGEST_MESSAGE = 4096;
/** Of `/proc`, where a process has ended. */
const GONE: readonly number[] = [Errno.ENOENT, Errno.ESRCH];
/** So many at a time: whoever floods us must not keep us from the rest. */
const MOST_MESSAGES = 64;
/** Ten years. */
const LONGEST_INTERVAL_MS = 3650 * 86_400_000;
/** So much is kept of what a daemon says of its state. */
const LONGEST_STATUS = 200;

/**
 * Makes the socket for a daemon's messages.
 *
 * It is an abstract one: nothing is left of it however we end, and a daemon that
 * has become another user, or has changed its root, still reaches it.
 *
 * @returns Its descriptor, and its name for `NOTIFY_SOCKET`.
 * @throws {LibcError} When there is no descriptor to be had.
 */
export function notifySocket(): { fd: number; name: string } {
  // Never the same: a process that is left of another daemon may know that.
  const uuid = fromBytes(readFile("/proc/sys/kernel/random/uuid")).trim();
  const name = `tend/notify/${uuid}`;
  return { fd: datagramSocket(name), name: `@${name}` };
}

/** What messages of a daemon have said, beside what is in the state then. */
export interface Said {
  /** That it is ready. */
  ready: boolean;
  /** That it works. */
  works: boolean;
  /** That it does not. */
  hangs: boolean;
  /** Anything but that it works, and that its sender waits for us to read it. */
  more: boolean;
  /** Perhaps not all yet: there may be messages that were not read. */
  isCut: boolean;
}

/**
 * Reads the messages that are there.
 *
 * @param state What the monitor knows.
 * @returns What they say.
 * @throws {Error} When it cannot be told now who runs the daemon, and the message
 * that comes next depends on it.
 */
export function readMessages(state: MonitorState): Said {
  const said = saidNothing();
  if (state.messagesFd === -1) return said;
  for (let i = 0; i < MOST_MESSAGES; i++) {
    // Until it is known whether its sender is believed it stays there: a daemon
    // says only once that it is ready.
    const datagram = receiveIfAny(state.messagesFd, MSG_PEEK);
    if (datagram === undefined) return said;
    let believed: boolean;
    try {
      believed = isBelieved(datagram, state.daemonPid);
    } catch (error) {
      // What was taken before counts; then we are back for this one at once.
      if (i > 0) break;
      throw error;
    }
    if (receiveIfAny(state.messagesFd, 0) === undefined) return said;
    if (believed) heed(state, fromBytes(datagram.bytes), said);
    else said.more = true;
  }
  said.isCut = true;
  return said;
}

/** @returns What no message says. */
export function saidNothing(): Said {
  return {
    ready: false,
    works: false,
    hangs: false,
    more: false,
    isCut: false,
  };
}

function receiveIfAny(fd: number, flags: number): Datagram | undefined {
  try {
    return receive(fd, LONGEST_MESSAGE, flags);
  } catch (error) {
    // No memory, for now: the message is still there.
    if (error instanceof LibcError && error.errno === Errno.ENOMEM) {
      return undefined;
    }
    throw error;
  }
}

function isBelieved({ uid, isCut }: Datagram, daemon: number): boolean {
  if (isCut) {
    warnOnce("a notification that is too long", "ignored");
    return false;
  }
  if (uid === undefined) return false;
  const isKnown = uid === 0 || uid === geteuid() ||
    usersOf(daemon).includes(uid);
  if (!isKnown) warnOnce(`a notification of user ${uid}`, "ignored");
  return isKnown;
}

const complaints = new Set<string>();
/** Other users have few words for this, and a daemon as many as restarts. */
const MOST_COMPLAINTS = 100;

/** Whoever floods us must not fill the log. */
function warnOnce(what: string, done: "ignored" | "refused"): void {
  if (complaints.has(what) || complaints.size >= MOST_COMPLAINTS) return;
  complaints.add(what);
  vlog.warn(`${done} ${what}`);
}

/**
 * As whom the kernel shows a process when it sends a message.
 *
 * @param pid The process.
 * @returns Its real user and group; `undefined` when that cannot be told.
 */
export function senderOf(
  pid: number,
): { uid: number; gid: number } | undefined {
  const [[uid], [gid]] = [idsIfKnown(pid, "Uid"), idsIfKnown(pid, "Gid")];
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

/** The users of a process: real, effective, saved; none of one that is gone. */
function usersOf(pid: number): number[] {
  try {
    return idsOf(pid, "Uid");
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (GONE.includes(error.errno)) return [];
    const what = `who has sent a notification for pid ${pid} cannot be told`;
    throw new Error(`${what}: /proc/${pid}/status: ${error.message}`);
  }
}

function idsIfKnown(pid: number, line: "Uid" | "Gid"): number[] {
  try {
    return idsOf(pid, line);
  } catch (error) {
    if (error instanceof LibcError) return [];
    throw error;
  }
}

function idsOf(pid: number, line: "Uid" | "Gid"): number[] {
  const status = fromBytes(readFile(`/proc/${pid}/status`));
  const ids = new RegExp(`^${line}:\t(\\d+)\t(\\d+)\t(\\d+)`, "m");
  return (ids.exec(status) ?? []).slice(1).map(Number);
}

/**
 * Takes what a message says.
 *
 * @param state What the monitor knows.
 * @param message The message: lines of `NAME=VALUE`.
 * @param said What is added to.
 */
export function heed(state: MonitorState, message: string, said: Said): void {
  for (const line of message.split("\n")) {
    if (line === "") continue;
    const equals = line.indexOf("=");
    const value = line.slice(equals + 1);
    if (line !== "WATCHDOG=1" && line !== "BARRIER=1") said.more = true;
    switch (line.slice(0, equals)) {
      case "READY":
        if (value === "1") said.ready = true;
        break;
      case "STATUS":
        state.statusText = printable(value);
        break;
      case "MAINPID":
        if (value !== `${state.daemonPid}`) {
          warnOnce(`MAINPID of pid ${state.daemonPid}`, "refused");
        }
        break;
      case "WATCHDOG":
        if (value === "1") said.works = true;
        if (value === "trigger") said.hangs = true;
        break;
      case "WATCHDOG_USEC":
        if (!/^\d{1,20}$/.test(value)) break;
        state.watchdogInterval = toInterval(Number(value) / 1000);
        said.works = true;
    }
  }
}

/** Longer than anybody would wait means never, as in systemd. */
function toInterval(milliseconds: number): number {
  return milliseconds > LONGEST_INTERVAL_MS ? 0 : milliseconds;
}

/** It is shown on terminals, which obey control characters. */
function printable(text: string): string {
  const characters = Array.from(text.slice(0, 2 * LONGEST_STATUS))
    .slice(0, LONGEST_STATUS);
  return characters.join("").replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ");
}
