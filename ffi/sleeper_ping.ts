/**
 * What a sleeper does when a daemon says that it works: it begins the interval
 * anew in which that has to say so again, and sleeps on. A daemon says it every
 * few seconds, and would else wake up a program each time.
 *
 * @module
 */
import { addressOf, type CallScript, type Place } from "./call_script.ts";
import { toBytes } from "./c_string.ts";
import {
  CREDENTIALS,
  MSG_PEEK,
  MSGHDR,
  SCM_CREDENTIALS,
  SOL_SOCKET,
} from "./socket.ts";
import { intervalOf, POLLFD, pollfds } from "./wait.ts";

/** A daemon that says again and again that it works. */
export interface Pings {
  /** A socket of `datagramSocket()` where it says so; it is watched. */
  readonly socketFd: number;
  /** A descriptor of `intervalTimerfd()`; it is watched. */
  readonly timerFd: number;
  /** The interval that each message begins anew, in milliseconds. */
  readonly interval: number;
  /** Who is believed without being looked at: the user and the group. */
  readonly sender: { readonly uid: number; readonly gid: number };
}

/**
 * What is understood; anything else is left for the program to read. The first
 * two say that the daemon works. The third is what `systemd-notify` waits for:
 * when it is read, so is all before it, and its descriptor is closed.
 */
const PING = "WATCHDOG=1";
const PING_LINE = `${PING}\n`;
const BARRIER = "BARRIER=1";
const KNOWN = [PING, PING_LINE, BARRIER] as const;
/** Longer than all: so a longer message has another length. */
const ROOM = 16;
const WORD = 8;

/**
 * Adds the steps from `ping`, for when something has come, to `sleep` or `here`.
 *
 * Nothing is taken out of the socket but what was seen to be a ping: the first
 * message stays the first, for nobody else reads. And only when nothing else has
 * come: a daemon that says nothing but this, without end, must not keep the
 * program from what others want.
 *
 * @param script The script.
 * @param pings Whose pings.
 * @param fds What was given to `ppoll()`.
 * @param watched The descriptors in that.
 */
export function writePings(
  script: CallScript,
  { socketFd, timerFd, interval, sender }: Pings,
  fds: Place,
  watched: readonly number[],
): void {
  const text = script.bytes(new Uint8Array(ROOM));
  const control = script.bytes(new Uint8Array(CREDENTIALS.size));
  const iovec = script.bytes(words(0n, BigInt(ROOM)));
  script.point({ cell: iovec.place }, text);
  // The kernel writes into it what it has filled, and that is always the same:
  // a sender is always told, and then there is no room for anything else.
  const header = script.bytes(new Uint8Array(MSGHDR.size));
  const field = (offset: number) => ({ cell: header.place + offset });
  script.point(field(MSGHDR.iov), iovec);
  script.set(field(MSGHDR.iovlen), 1);
  script.point(field(MSGHDR.control), control);
  script.set(field(MSGHDR.controllen), CREDENTIALS.size);
  const timer = script.bytes(intervalOf(interval));
  const length = script.cell();

  const differ = (
    label: string,
    place: Place,
    word: bigint,
    next: { zero?: string; positive?: string } = { positive: "here" },
  ) => {
    const is = addressOf(script.cell(word));
    script.step(label, "differ", [place, is], next);
  };
  const at = ({ place }: Place, offset: number) => ({ place: place + offset });

  const others = watched.filter((fd) => fd !== socketFd && fd !== timerFd);
  const labels = ["ping", ...others.map((fd) => `nothing from ${fd}`)];
  others.forEach((fd, i) => {
    // As it was before the call: nothing has come there.
    const silent = wordAt(new Uint8Array(pollfds([fd]).buffer), 0);
    const place = at(fds, POLLFD.size * watched.indexOf(fd));
    differ(labels[i]!, place, silent);
  });
  script.step(labels[others.length]!, "recvmsg", [socketFd, header, MSG_PEEK], {
    result: length,
    failed: "here",
    zero: "here",
  });
  // All are longer than a word, and shorter than two.
  KNOWN.forEach((message, i) => {
    const isLast = i === KNOWN.length - 1;
    differ(`is ${i}?`, addressOf(length), BigInt(message.length), {
      zero: `end of ${i}`,
      positive: isLast ? "here" : `is ${i + 1}?`,
    });
    const end = message.length - WORD;
    differ(`end of ${i}`, at(text, end), wordAt(toBytes(message), end));
    differ(`begin of ${i}`, text, wordAt(toBytes(message), 0), {
      zero: "told",
      positive: "here",
    });
  });
  differ("told", addressOf(field(MSGHDR.controllen)), BigInt(CREDENTIALS.size));
  const kind = BigInt(SOL_SOCKET) | BigInt(SCM_CREDENTIALS) << 32n;
  differ("by whom", at(control, CREDENTIALS.level), kind);
  const { uid, gid } = sender;
  const who = BigInt.asIntN(64, BigInt(uid) | BigInt(gid) << 32n);
  differ("by it", at(control, CREDENTIALS.uid), who);
  script.step("take", "recvmsg", [socketFd, header, 0], { failed: "here" });
  differ("barrier?", addressOf(length), BigInt(BARRIER.length), {
    zero: "sleep",
    positive: "anew",
  });
  script.step("anew", "timerfd_settime", [timerFd, 0, timer, 0], {
    failed: "here",
    zero: "sleep",
    positive: "sleep",
  });
}

function words(...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values).buffer);
}

function wordAt(bytes: Uint8Array, offset: number): bigint {
  const { buffer, byteOffset } = bytes;
  return new DataView(buffer, byteOffset + offset).getBigInt64(0, true);
}
