/**
 * Sockets: asking whether anybody listens, and datagrams with their senders.
 *
 * @module
 */
import { type CString, cString, toBytes } from "./c_string.ts";
import { close } from "./descriptor.ts";
import {
  bind,
  checked,
  Errno,
  errno,
  LibcError,
  uninterrupted,
} from "./libc.ts";
import { waitWritable } from "./wait.ts";

const libc = bind({
  socket: {
    parameters: ["i32", /* int domain */ "i32", /* int type */ "i32"],
    result: "i32",
  },
  bind: {
    parameters: [
      "i32", // int fd
      "buffer", // const struct sockaddr *
      "u32", // socklen_t
    ],
    result: "i32",
  },
  connect: {
    parameters: [
      "i32", // int fd
      "buffer", // const struct sockaddr *
      "u32", // socklen_t
    ],
    result: "i32",
  },
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32" /* socklen_t */],
    result: "i32",
  },
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer" /* socklen_t * */],
    result: "i32",
  },
  sendto: {
    parameters: [
      "i32", // int fd
      "buffer", // const void *
      "usize", // size_t
      "i32", // int flags
      "buffer", // const struct sockaddr *
      "u32", // socklen_t
    ],
    result: "i64", // ssize_t
  },
  recvmsg: {
    parameters: ["i32", /* int fd */ "buffer", /* struct msghdr * */ "i32"],
    result: "i64", // ssize_t
  },
  inet_pton: {
    parameters: ["i32", /* int af */ "buffer", /* const char * */ "buffer"],
    result: "i32",
  },
});

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_FLAGS = 0o2000000 | 0o4000; // SOCK_CLOEXEC | SOCK_NONBLOCK
/** The level of a socket's own options and control messages. */
export const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_PASSCRED = 16;
const SO_SNDTIMEO = 21;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** The control message that tells who has sent a message. */
export const SCM_CREDENTIALS = 2;
/** `recvmsg()` leaves the message there. */
export const MSG_PEEK = 0x2;
const MSG_TRUNC = 0x20;

/** `struct sockaddr_un`: the longest path leaves room for a NUL. */
const SUN_PATH = { offset: 2, size: 108 } as const;

/** `struct sockaddr_in` and `struct sockaddr_in6`. */
const INET = { size: 16, port: 2, address: 4 } as const;
const INET6 = { size: 28, port: 2, address: 8 } as const;

/** `struct msghdr` of 64-bit machines. */
export const MSGHDR = {
  size: 56,
  iov: 16,
  iovlen: 24,
  control: 32,
  controllen: 40,
  flags: 48,
} as const;

/**
 * A control message with `struct ucred`, and not a byte more: descriptors that
 * somebody sends along find no room, and the kernel drops them.
 */
export const CREDENTIALS = {
  size: 32,
  level: 8,
  type: 12,
  uid: 20,
  gid: 24,
} as const;

/** How long a connection to this machine may take to come about. */
const CONNECT_MS = 20;

/** Where somebody may listen: a `struct sockaddr`. */
export type Address = Uint8Array<ArrayBuffer>;

/** The longest path of a socket, in bytes. */
export const LONGEST_SOCKET_PATH: number = SUN_PATH.size - 1;

/**
 * The address of a socket of the file system.
 *
 * @param path Its path.
 * @returns The address.
 * @throws {LibcError} `ENAMETOOLONG`.
 */
export function unixAddress(path: CString): Address {
  const bytes = cString(path);
  if (bytes.length > SUN_PATH.size) {
    throw new LibcError("connect", Errno.ENAMETOOLONG);
  }
  return unixSockaddr(bytes);
}

/**
 * The address of a socket with an abstract name, which is no file.
 *
 * @param name Its name, without the NUL that begins it.
 * @returns The address.
 * @throws {LibcError} `ENAMETOOLONG`.
 */
export function abstractAddress(name: CString): Address {
  const bytes = Uint8Array.of(0, ...toBytes(name));
  if (bytes.length > SUN_PATH.size) {
    throw new LibcError("bind", Errno.ENAMETOOLONG);
  }
  return unixSockaddr(bytes);
}

/** One whose name begins with NUL is no file: an abstract one. */
function unixSockaddr(name: Uint8Array): Address {
  const address = new Uint8Array(SUN_PATH.offset + name.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, SUN_PATH.offset);
  return address;
}

/**
 * The address of a TCP port.
 *
 * @param host A numeric address, of IPv4 or IPv6.
 * @param port The port.
 * @returns The address; `undefined` when the host is no such number.
 */
export function tcpAddress(host: string, port: number): Address | undefined {
  const family = host.includes(":") ? AF_INET6 : AF_INET;
  const layout = family === AF_INET ? INET : INET6;
  const address = new Uint8Array(layout.size);
  const view = new DataView(address.buffer);
  view.setUint16(0, family, true);
  view.setUint16(layout.port, port);
  const number = address.subarray(layout.address);
  const isOne = libc.inet_pton(family, cString(host), number) === 1;
  return isOne ? address : undefined;
}

/**
 * Asks whether somebody accepts connections, by making one.
 *
 * @param address Where, on this machine.
 * @returns Whether somebody does.
 * @throws {LibcError} `EMFILE`, `ENFILE`: there is no socket to be had.
 */
export function accepts(address: Address): boolean {
  const family = new DataView(address.buffer).getUint16(0, true);
  let fd: number;
  try {
    fd = checked("socket", libc.socket(family, SOCK_STREAM | SOCK_FLAGS, 0));
  } catch (error) {
    // A kernel without IPv6 has nobody who listens there.
    const isUnknown = error instanceof LibcError &&
      error.errno === Errno.EAFNOSUPPORT;
    if (isUnknown) return false;
    throw error;
  }
  try {
    if (libc.connect(fd, address, address.length) === 0) return true;
    const why = errno();
    // So many wait to be accepted that there is no room for another.
    if (why === Errno.EAGAIN) return true;
    if (why !== Errno.EINPROGRESS) return false;
    return waitWritable(fd, CONNECT_MS) && socketError(fd) === 0;
  } finally {
    close(fd);
  }
}

function socketError(fd: number): number {
  const error = new Int32Array(1);
  const bytes = new Uint8Array(error.buffer);
  const length = new Uint8Array(Uint32Array.of(bytes.length).buffer);
  checked(
    "getsockopt(SO_ERROR)",
    libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, bytes, length),
  );
  return error[0]!;
}

/**
 * Makes a socket for datagrams, with an abstract name: it is no file, and gone
 * with its last descriptor. It does not block, and is closed on exec.
 *
 * @param name Its name, without the NUL that begins it.
 * @returns The descriptor.
 * @throws {LibcError} `EADDRINUSE`, `EMFILE`, `ENFILE`.
 */
export function datagramSocket(name: string): number {
  const address = abstractAddress(name);
  const fd = checked(
    "socket",
    libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_FLAGS, 0),
  );
  try {
    const on = new Uint8Array(Int32Array.of(1).buffer);
    checked(
      "setsockopt(SO_PASSCRED)",
      libc.setsockopt(fd, SOL_SOCKET, SO_PASSCRED, on, on.length),
    );
    checked("bind", libc.bind(fd, address, address.length));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Sends a message to a socket for datagrams.
 *
 * @param to Its address, of {@linkcode unixAddress} or
 * {@linkcode abstractAddress}.
 * @param message The message.
 * @param patience How long there may be no room for it, in milliseconds; with 0
 * it is sent at once or not at all.
 * @throws {LibcError} `ECONNREFUSED`, `ENOENT`, `EACCES`; `EAGAIN` when there was
 * no room for so long.
 */
export function sendDatagram(
  to: Address,
  message: CString,
  patience: number,
): void {
  const fd = checked(
    "socket",
    libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
  );
  try {
    const seconds = Math.floor(patience / 1000);
    const timeval = BigInt64Array.of(
      BigInt(seconds),
      BigInt(Math.round((patience - seconds * 1000) * 1000)),
    );
    const bytes = new Uint8Array(timeval.buffer);
    checked(
      "setsockopt(SO_SNDTIMEO)",
      libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, bytes, bytes.length),
    );
    const text = toBytes(message);
    // A timeout of 0 is none at all.
    const flags = MSG_NOSIGNAL | (patience > 0 ? 0 : MSG_DONTWAIT);
    uninterrupted("sendto", () =>
      libc.sendto(
        ...[fd, text, BigInt(text.length), flags] as const,
        ...[to, to.length] as const,
      ));
  } finally {
    close(fd);
  }
}

/** A message that somebody has sent. */
export interface Datagram {
  /** What it says; cut when there was no room for it. */
  readonly bytes: Uint8Array;
  /** Whether it was cut. */
  readonly isCut: boolean;
  /** The user who sent it, as the kernel says; `undefined` when it does not. */
  readonly uid: number | undefined;
}

/**
 * Receives a message, if there is one.
 *
 * @param fd A socket of {@linkcode datagramSocket}.
 * @param room How many bytes are read of one.
 * @param flags `MSG_PEEK` to leave it there; 0 by default.
 * @returns The message; `undefined` when there is none.
 * @throws {LibcError} `ENOMEM` and others.
 */
export function receive(
  fd: number,
  room: number,
  flags = 0,
): Datagram | undefined {
  const bytes = new Uint8Array(room);
  const control = new Uint8Array(CREDENTIALS.size);
  const address = (buffer: Uint8Array<ArrayBuffer>) =>
    Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
  const iovec = new Uint8Array(
    BigUint64Array.of(address(bytes), BigInt(room)).buffer,
  );
  const header = new DataView(new ArrayBuffer(MSGHDR.size));
  header.setBigUint64(MSGHDR.iov, address(iovec), true);
  header.setBigUint64(MSGHDR.iovlen, 1n, true);
  header.setBigUint64(MSGHDR.control, address(control), true);
  header.setBigUint64(MSGHDR.controllen, BigInt(control.length), true);
  for (;;) {
    const length = Number(
      libc.recvmsg(fd, new Uint8Array(header.buffer), flags),
    );
    if (length === -1) {
      const why = errno();
      if (why === Errno.EINTR) continue;
      if (why === Errno.EAGAIN) return undefined;
      throw new LibcError("recvmsg", why);
    }
    return {
      bytes: bytes.subarray(0, length),
      isCut: (header.getInt32(MSGHDR.flags, true) & MSG_TRUNC) !== 0,
      uid: senderOf(control, header),
    };
  }
}

function senderOf(
  control: Uint8Array<ArrayBuffer>,
  header: DataView,
): number | undefined {
  const view = new DataView(control.buffer);
  const isThere = header.getBigUint64(MSGHDR.controllen, true) > 0n &&
    view.getInt32(CREDENTIALS.level, true) === SOL_SOCKET &&
    view.getInt32(CREDENTIALS.type, true) === SCM_CREDENTIALS;
  return isThere ? view.getUint32(CREDENTIALS.uid, true) : undefined;
}
