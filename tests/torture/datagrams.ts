/**
 * Datagrams to a monitor, as a daemon sends them that has `NOTIFY_SOCKET`.
 *
 * `deno run -A datagrams.ts NAME`: a program that sends as many as it can, says
 * when that are very many, and ends when the socket is gone.
 *
 * @module
 */
import { toBytes } from "../../ffi/c_string.ts";
import { close } from "../../ffi/descriptor.ts";
import { bind, checked, Errno, LibcError } from "../../ffi/libc.ts";

const libc = bind({
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendmsg: {
    parameters: ["i32", /* int fd */ "buffer", /* struct msghdr * */ "i32"],
    result: "i64",
  },
});

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const EMSGSIZE = 90;
const ECONNREFUSED = 111;
const ENOBUFS = 105;

/** So many are more than a monitor has read that heeds nothing else. */
const VERY_MANY = 5000;

/** Where a daemon sends what it says to its monitor; an abstract name. */
export function socketOf(pid: number): string {
  const environment = Deno.readTextFileSync(`/proc/${pid}/environ`);
  const name = /(?:^|\0)NOTIFY_SOCKET=@([^\0]+)/.exec(environment)?.[1];
  if (name === undefined) throw new Error(`pid ${pid} has no NOTIFY_SOCKET`);
  return name;
}

/** Sends datagrams to a socket. */
export class Sender implements Disposable {
  readonly #fd: number;
  readonly #name: Uint8Array<ArrayBuffer>;

  /** @param name The socket's abstract name. */
  constructor(name: string) {
    this.#fd = checked("socket", libc.socket(AF_UNIX, SOCK_DGRAM, 0));
    this.#name = Uint8Array.of(AF_UNIX, 0, 0, ...toBytes(name));
  }

  /**
   * Sends one, and waits for room.
   *
   * @param bytes What it says.
   * @param fds Descriptors that are sent along.
   * @returns Whether it was sent: it may be too long for the kernel.
   */
  send(
    bytes: Uint8Array<ArrayBuffer>,
    fds: readonly number[] = [],
  ): boolean {
    const iovec = BigUint64Array.of(addressOf(bytes), BigInt(bytes.length));
    const control = rightsOf(fds);
    const header = new BigUint64Array(7); // struct msghdr
    header[0] = addressOf(this.#name);
    header[1] = BigInt(this.#name.length);
    header[2] = addressOf(iovec);
    header[3] = 1n;
    if (fds.length > 0) {
      header[4] = addressOf(control);
      header[5] = BigInt(control.length);
    }
    try {
      const bytes = new Uint8Array(header.buffer);
      checked("sendmsg", libc.sendmsg(this.#fd, bytes, MSG_NOSIGNAL));
      return true;
    } catch (error) {
      const isTooMuch = error instanceof LibcError &&
        [EMSGSIZE, ENOBUFS, Errno.ENOMEM].includes(error.errno);
      if (isTooMuch) return false;
      throw error;
    }
  }

  /** Sends a text. */
  say(text: string): boolean {
    return this.send(toBytes(text));
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

/** A control message with descriptors. */
function rightsOf(fds: readonly number[]): Uint8Array<ArrayBuffer> {
  const length = 16 + 4 * fds.length;
  const bytes = new Uint8Array(Math.ceil(length / 8) * 8);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(length), true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, SCM_RIGHTS, true);
  fds.forEach((fd, i) => view.setInt32(16 + 4 * i, fd, true));
  return bytes;
}

function addressOf(
  buffer: Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>,
): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}

function flood(name: string): void {
  using sender = new Sender(name);
  const words = ["STATUS=1", "STATUS=2", "WATCHDOG=1", "x".repeat(4000)];
  for (let count = 1;; count++) {
    try {
      sender.say(words[count % words.length]!);
    } catch (error) {
      const isOver = error instanceof LibcError &&
        error.errno === ECONNREFUSED;
      if (isOver) return;
      throw error;
    }
    if (count === VERY_MANY) console.log("very many");
  }
}

if (import.meta.main) flood(Deno.args[0]!);
