/**
 * Both ends of `sd_notify()`: saying something for a daemon, and hearing what is
 * said.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import {
  abstractAddress,
  datagramSocket,
  receive,
  sendDatagram,
} from "../ffi/socket.ts";
import { fdsOf } from "./proc.ts";
import type { Sandbox } from "./sandbox.ts";

/** The variables that a process was started with. */
export function variablesOf(pid: number): Map<string, string> {
  const text = Deno.readTextFileSync(`/proc/${pid}/environ`);
  return new Map(
    text.split("\0").filter((entry) => entry.includes("=")).map((entry) => {
      const equals = entry.indexOf("=");
      return [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

/** Says something as a daemon would, from this process. */
export function sayFor(daemon: number, message: string): void {
  const socket = variablesOf(daemon).get("NOTIFY_SOCKET")!;
  sendDatagram(abstractAddress(socket.slice(1)), message, 10_000);
}

/** The timer of a monitor whose daemon has to say that it works, in ms. */
export interface Interval {
  /** How long it is. */
  readonly all: number;
  /** How long it takes until it is over; 0 when it is, or was not begun. */
  readonly left: number;
}

/** Looks at that timer. */
export function intervalIn(box: Sandbox, monitor: number): Interval {
  for (const [fd, file] of fdsOf(monitor)) {
    if (!file.includes("[timerfd]")) continue;
    const info = box.read(`/proc/${monitor}/fdinfo/${fd}`) ?? "";
    // The clock that stands still while the machine is suspended.
    if (!info.includes("clockid: 1\n")) continue;
    const ms = (field: string) => {
      const match = new RegExp(`^${field}: \\((\\d+), (\\d+)\\)`, "m");
      const [, seconds, nanoseconds] = match.exec(info)!;
      return Number(seconds) * 1000 + Number(nanoseconds) / 1e6;
    };
    return { all: ms("it_interval"), left: ms("it_value") };
  }
  throw new Error(`pid ${monitor} has no such timer`);
}

/** A service manager that only listens. */
export class Listener implements Disposable {
  /** For `NOTIFY_SOCKET`. */
  readonly socket: string;
  readonly #fd: number;
  /** All that it has heard. */
  readonly heard: string[] = [];

  constructor() {
    const name = `tend/test/${crypto.randomUUID()}`;
    this.#fd = datagramSocket(name);
    this.socket = `@${name}`;
  }

  /** The lines of the last message. */
  last(): string[] {
    for (;;) {
      const datagram = receive(this.#fd, 4096);
      if (datagram === undefined) return this.heard.at(-1)?.split("\n") ?? [];
      this.heard.push(new TextDecoder().decode(datagram.bytes));
    }
  }

  /** Waits until the last message is what is wanted, and has it. */
  async hears(
    box: Sandbox,
    what: string,
    isIt: (lines: string[]) => boolean,
  ): Promise<string[]> {
    return await box.until(`the service manager hears ${what}`, () => {
      const lines = this.last();
      return isIt(lines) && lines;
    });
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
