/**
 * Sees a file being executed the moment it happens. The kernel opens what it
 * executes, and inotify tells; so nothing has to be asked again and again, and
 * the program that is executed need not do anything to be seen.
 */
import { close, read } from "../../ffi/descriptor.ts";
import { inotifyOpens } from "../../ffi/inotify.ts";
import { bootTime, setTimerfd, timerfd, waitReadable } from "../../ffi/wait.ts";

/** `struct inotify_event`; the name follows. */
const EVENT = { size: 16, len: 12 } as const;

/** After so long a wait the event loop has a turn, for Ctrl-C. */
const SLICE_MS = 250;

/** Watches a directory from its making on, for one of its files. */
export class OpenWatch implements Disposable {
  readonly #fd: number;
  readonly #name: string;

  constructor(directory: string, name: string) {
    this.#name = name;
    this.#fd = inotifyOpens(directory);
  }

  /**
   * Waits until the file is opened.
   *
   * @returns When that was, as `performance.now()` has it, or `undefined` if
   * it was not within the time.
   */
  async opened(patienceMs: number): Promise<number | undefined> {
    const deadline = performance.now() + patienceMs;
    while (performance.now() < deadline) {
      // In here nothing but the kernel is between the event and the clock: a
      // promise would come true whenever its turn is.
      const timer = timerfd();
      setTimerfd(timer, bootTime() + SLICE_MS);
      const ready = waitReadable([this.#fd, timer]);
      const now = performance.now();
      close(timer);
      if (ready.includes(this.#fd) && this.#names().includes(this.#name)) {
        return now;
      }
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  #names(): string[] {
    const buffer = new Uint8Array(4096);
    const length = read(this.#fd, buffer);
    const view = new DataView(buffer.buffer);
    const names: string[] = [];
    for (let at = 0; at < length;) {
      const begin = at + EVENT.size;
      at = begin + view.getUint32(at + EVENT.len, true);
      names.push(
        new TextDecoder().decode(buffer.subarray(begin, at)).replace(
          /\0+$/,
          "",
        ),
      );
    }
    return names;
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
