/**
 * Following what a daemon writes, whoever rotates its files and however fast.
 *
 * Files are known by their descriptors, never by their names. The newest that
 * is known may be renamed while it is written to, and until the writer opens
 * `FILE` anew it goes on in the renamed one. So a file is left behind only when
 * there is something in a newer one: then its writer has let go of it, and what
 * is in it when it is read once more is all there will be.
 *
 * @module
 */
import { close, readIfAny } from "../ffi/descriptor.ts";
import { type FileStat, isSameFile, statFile } from "../ffi/file_stat.ts";
import {
  inotifyAddWrites,
  inotifyArrivals,
  inotifyRemove,
} from "../ffi/inotify.ts";
import { LibcError } from "../ffi/libc.ts";
import { bootTime } from "../ffi/wait.ts";
import { directoryOf } from "./foreign_file.ts";
import { type LogFile, type LogNames, openNewer } from "./log_files.ts";
import type { LogTail } from "./log_tail.ts";
import type { Pause } from "./together.ts";

/** How often to look where the kernel cannot wake us. */
const LOOK_AGAIN_MS = 100;

/** Takes what was read; it is overwritten when more is read. */
export type Write = (block: Uint8Array<ArrayBuffer>) => void;

/** Reads the files of one output, as they come. */
export class LogFollower {
  readonly #names: LogNames;
  readonly #onLoss: () => void;
  /** From the one that is being read on. */
  readonly #files: LogFile[];
  /** The last that was left behind. */
  #before: LogFile | undefined;
  /** Is told of writes and new names; `undefined` when that cannot be had. */
  #events: number | undefined;
  /** The directory whose new names are told. */
  #directory: FileStat | undefined;
  /** The files whose writes are told. */
  readonly #watches = new Map<LogFile, number>();

  /**
   * @param names The files.
   * @param tail Where to begin. It is this one's to close.
   * @param onLoss Is called when files may have gone before they were seen.
   */
  constructor(names: LogNames, tail: LogTail, onLoss: () => void) {
    this.#names = names;
    this.#files = tail.files;
    this.#before = tail.before;
    this.#onLoss = onLoss;
  }

  /**
   * Reads all that is there.
   *
   * Nothing is missed between two looks: all files that are being read are
   * watched before they are read, and the directory before they are looked for.
   *
   * @param write Takes it.
   * @throws {Error} When a file cannot be read; says which and why.
   */
  look(write: Write): void {
    this.#dropEvents();
    this.#findNewer();
    for (;;) {
      const [file] = this.#files;
      if (file === undefined) return;
      // Asked before it is read: what its writer wrote last is there by then.
      const isLeft = this.#isNewerWritten();
      for (let block; (block = file.read()) !== undefined;) {
        write(block);
        // That may have taken long. What is open cannot be lost any more.
        this.#findNewer();
      }
      if (isLeft) {
        this.#leaveFirst();
      } else if (!this.#isNewerWritten()) {
        return;
      }
    }
  }

  /** What to wait for: something more to read. */
  get next(): Pause {
    return this.#events === undefined
      ? { fds: [], until: bootTime() + LOOK_AGAIN_MS }
      : { fds: [this.#events], until: Infinity };
  }

  /** Closes all. */
  stop(): void {
    this.#before?.close();
    this.#files.forEach((file) => file.close());
    this.#unwatch();
  }

  #isNewerWritten(): boolean {
    return this.#files.slice(1).some(({ size }) => size > 0);
  }

  #findNewer(): void {
    for (;;) {
      this.#watch();
      const known = [...this.#files];
      if (this.#before !== undefined) known.push(this.#before);
      const { files, isJoined } = openNewer(this.#names, known);
      if (files.length === 0) return;
      const areAllNew = known.length > 0 && !isJoined;
      const { count } = this.#names;
      if (areAllNew && count > 0 && files.length > count) this.#onLoss();
      // Watched before they are read, and before others are looked for.
      this.#files.push(...files);
    }
  }

  #leaveFirst(): void {
    this.#before?.close();
    this.#before = this.#files.shift()!;
    const watch = this.#watches.get(this.#before);
    if (watch === undefined || this.#events === undefined) return;
    inotifyRemove(this.#events, watch);
    this.#watches.delete(this.#before);
  }

  /** Watches what is not watched yet; nothing where that cannot be had. */
  #watch(): void {
    try {
      const directory = directoryOf(this.#names.file);
      // Asked first: if another takes its place, we see that at the next look.
      const stat = statFile(directory);
      if (this.#events === undefined || !isSameFile(stat, this.#directory!)) {
        this.#unwatch();
        this.#events = inotifyArrivals(directory);
        this.#directory = stat;
      }
      for (const file of this.#files) {
        if (this.#watches.has(file)) continue;
        // By the descriptor: the name may be another file's by now.
        const path = `/proc/self/fd/${file.fd}`;
        this.#watches.set(file, inotifyAddWrites(this.#events, path));
      }
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      this.#unwatch();
    }
  }

  #unwatch(): void {
    if (this.#events !== undefined) close(this.#events);
    this.#events = undefined;
    this.#watches.clear();
  }

  /** What they say of is looked at anyway. */
  #dropEvents(): void {
    const events = new Uint8Array(4096);
    while (this.#events !== undefined && readIfAny(this.#events, events)) {
      // There may be more.
    }
  }
}
