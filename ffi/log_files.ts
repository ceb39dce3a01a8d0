/**
 * The files of a logger, `logger.ts`: how its script rotates and reopens them.
 *
 * A rotation renames `FILE.1` to `FILE.2` and so on, then `FILE` to `FILE.1`, and
 * makes a new `FILE`. It begins behind the first number for which there is no
 * file: where one that was interrupted has left a gap, nothing has to go.
 *
 * Nothing of this may lose a byte. Until a new file is open the logger writes to
 * the one it has, whatever that is called by then.
 *
 * @module
 */
import {
  addressOf,
  type CallScript,
  type Cell,
  goingOn,
  type Place,
} from "./call_script.ts";
import { type CString, cString } from "./c_string.ts";
import { O_CLOEXEC } from "./descriptor.ts";
import {
  AT_FDCWD,
  NOFOLLOW,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_NOCTTY,
  O_NONBLOCK,
  O_WRONLY,
} from "./file.ts";
import { Errno } from "./libc.ts";
import { LogLook } from "./log_look.ts";
import type { LogTrouble } from "./log_trouble.ts";

/** What is done with a file that has become large. */
export interface Rotation {
  /** How large a file may become, in bytes; twice as large by one long line. */
  readonly size: number;
  /** How many older files are kept, from 1 to 999. */
  readonly count: number;
}

/** No file becomes as large; twice as much is still a number of 64 bits. */
const UNLIMITED = 2n ** 60n;
/** Permission bits of a new file, less the umask. */
const MODE = 0o640;
const MODE_BITS = 0o1000;
const SEEK_END = 2;
const CLOCK_REALTIME = 0;
/** `.`, three digits, and the line feed behind them that becomes a NUL. */
const SUFFIX_ROOM = 5;

/** Writes the steps that have to do with files, and knows their words. */
export class LogFiles {
  /** The descriptor of `FILE`. */
  readonly output: Cell;
  /** How large it is. */
  readonly size: Cell;
  /** How large it may become. */
  readonly limit: Cell;
  /** Above 0 when it is to be reopened. */
  readonly wanted: Cell;
  /** Above 0 when something is to be tried again in another second than that. */
  readonly failed: Cell;
  /** A `struct timespec`: when the last piece came, if that is known. */
  readonly time: Place;
  readonly #script: CallScript;
  readonly #trouble: LogTrouble;
  /** What the last call returned that may fail: an errno below 0. */
  readonly #error: Cell;
  readonly #machine: typeof Deno.build.arch;
  readonly #rotation: Rotation | undefined;
  readonly #allowed: number | bigint;
  readonly #name: Uint8Array<ArrayBuffer>;
  readonly #path: Place;
  readonly #directory: Place;
  readonly #fresh: Cell;
  readonly #look: LogLook;
  readonly #failedAt: Cell;
  /** 1 when that is to reopen the file. */
  readonly #wantedLater: Cell;
  /** 1 when a rotation has found another's file, and none was made since. */
  readonly #moved: Cell;

  /**
   * @param script The script.
   * @param machine The machine that it is for.
   * @param output A descriptor of the file.
   * @param file Its path.
   * @param rotation When it is rotated, if ever.
   * @param trouble How it is told that this, or reopening, has failed.
   */
  constructor(
    script: CallScript,
    machine: typeof Deno.build.arch,
    output: number,
    file: CString,
    rotation: Rotation | undefined,
    trouble: LogTrouble,
  ) {
    this.#trouble = trouble;
    this.#error = script.cell();
    this.#script = script;
    this.#machine = machine;
    this.#rotation = rotation;
    this.#allowed = rotation?.size ?? UNLIMITED;
    this.output = script.cell(output);
    this.size = script.cell();
    this.limit = script.cell(this.#allowed);
    this.wanted = script.cell();
    this.time = script.bytes(new Uint8Array(16));
    this.#name = cString(file);
    this.#path = script.bytes(this.#name);
    const slash = this.#name.lastIndexOf("/".charCodeAt(0));
    const directory = this.#name.slice(0, slash + 1);
    this.#directory = script.bytes(cString(directory));
    this.#fresh = script.cell();
    this.#look = new LogLook(script, machine, this.#error);
    this.failed = script.cell();
    this.#failedAt = script.cell();
    this.#wantedLater = script.cell();
    this.#moved = script.cell();
  }

  /** Adds a step that asks for the time. */
  askTime(label: string): void {
    this.#script.step(label, "clock_gettime", [CLOCK_REALTIME, this.time]);
  }

  /** Adds a step that finds out how large the file is: 0 for what is none. */
  measure(label: string, next: string): void {
    const found = this.#script.cell();
    this.#script.step(label, "lseek", [this.output, 0, SEEK_END], {
      result: found,
      failed: next,
      zero: next,
    });
    this.#script.assign("", this.size, found, next);
  }

  /**
   * Adds the steps that have what has failed tried again, if that was in another
   * second.
   *
   * @param label Where they begin.
   * @param next What follows.
   * @param hasTime Whether the time is known there.
   */
  retry(label: string, next: string, hasTime: boolean): void {
    const script = this.#script;
    script.subtract(label, this.failed, 0, { zero: next });
    if (!hasTime) this.askTime("");
    const seconds = [this.time, addressOf(this.#failedAt)];
    script.step("", "differ", seconds, { zero: next });
    script.assign("", this.failed, 0);
    script.assign("", this.#moved, 0);
    script.assign("", this.limit, this.#allowed);
    script.add("", this.wanted, this.#wantedLater, { result: this.wanted });
    script.assign("", this.#wantedLater, 0, next);
  }

  /**
   * Adds the steps that rotate, `rotate`, and that reopen, `reopen`.
   *
   * @param next What follows in any case.
   */
  write(next: string): void {
    if (this.#rotation) this.#rotate(this.#rotation.count, next);
    this.#reopen(next);

    const script = this.#script;
    script.assign("reopen failed", this.#wantedLater, 1);
    this.#trouble.begins("", "reopen", this.#error, "go on with it");
    this.#trouble.begins(
      "rotate failed",
      "rotate",
      this.#error,
      "go on with it",
    );
    // Better too large a file than none.
    script.assign("go on with it", this.limit, UNLIMITED);
    script.assign("", this.failed, 1);
    this.askTime("");
    script.assign("", this.#failedAt, { cell: this.time.place }, next);
  }

  /**
   * Adds the steps that find out whether the file still has its name.
   *
   * @param label Where they begin.
   * @param moved What follows if not.
   * @param ours What follows if it has.
   * @param unknown What follows if that is not to be learnt.
   */
  look(label: string, moved: string, ours: string, unknown: string): void {
    const [path, output] = [this.#path, this.output];
    this.#look.compare(label, path, output, moved, ours, unknown);
  }

  #rotate(count: number, next: string): void {
    const script = this.#script;
    const path = this.#path;
    const [from, to] = [0, 0].map(() => this.#numbered()) as [Place, Place];
    const [index, previous] = [script.cell(), script.cell()];
    const failed = "rotate failed";

    // Somebody else may have rotated it: the name is another's file then. Once:
    // where a file never is what its name says, this would not come to an end.
    this.look("rotate", "not ours", "ours", failed);
    script.assign("not ours", this.#error, -Errno.EEXIST);
    script.subtract("", this.#moved, 0, { positive: failed });
    script.assign("", this.#moved, 1, "reopen");

    script.assign("ours", index, 1);
    this.#number("gap?", to, index);
    this.#look.find("", to, "shift", failed);
    script.subtract("", index, count, { zero: "shift" });
    script.add("", index, 1, { result: index, ...goingOn("gap?") });

    this.#number("shift", to, index);
    script.add("", index, -1, { result: previous, zero: "first" });
    this.#number("", from, previous);
    const renamed = { result: this.#error, failed };
    script.step("", "renameat", [AT_FDCWD, from, AT_FDCWD, to], renamed);
    script.assign("", index, previous, "shift");

    script.step("first", "renameat", [AT_FDCWD, path, AT_FDCWD, to], renamed);
    this.#open("", O_CREAT | O_EXCL, failed);
    script.assign("", this.size, 0);
    script.assign("", this.#moved, 0);
    // Whoever was allowed to read the one before can read this one. What another
    // user allows for a file of his is none of ours.
    this.#look.compareOwner("", { failed: "new", positive: "new" });
    const { mode } = this.#look;
    const [above, bits] = [script.cell(), script.cell()];
    script.step("", "divide", [mode, MODE_BITS], { result: above });
    const product = [above, -MODE_BITS, mode];
    script.step("", "multiplyAdd", product, { result: bits });
    script.step("", "fchmod", [this.#fresh, bits]);
    this.#trouble.isOver("new", "rotate", "rotated");
    this.#become("rotated", next);
  }

  #reopen(next: string): void {
    const script = this.#script;
    const found = script.cell();
    script.assign("reopen", this.wanted, 0);
    // One that we have made is ours. Of any other it is to be seen.
    this.#open("", O_CREAT | O_EXCL, "existing");
    script.assign("", found, 0, "reopened");
    this.#open("existing", 0, "reopen failed");
    // A pipe or a terminal has no end.
    script.step("", "lseek", [this.#fresh, 0, SEEK_END], {
      result: found,
      failed: "no file of ours",
    });
    this.#look.refuseForeign(
      this.#fresh,
      this.#directory,
      "no file of ours",
      "reopened",
    );
    script.assign("reopened", this.size, found);
    script.assign("", this.limit, this.#allowed);
    script.assign("", this.#wantedLater, 0);
    script.assign("", this.failed, 0);
    this.#trouble.isOver("", "reopen", "with it");
    this.#become("with it", next);
    const fresh = [this.#fresh];
    script.step("no file of ours", "close", fresh);
    script.assign("", this.#error, -Errno.EPERM, "reopen failed");
  }

  #open(label: string, more: number, failed: string): void {
    const flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
      NOFOLLOW[this.#machine] | more;
    const operands = [AT_FDCWD, this.#path, flags, MODE];
    this.#script.step(label, "openat", operands, {
      result: this.#error,
      failed,
    });
    this.#script.assign("", this.#fresh, this.#error);
  }

  #become(label: string, next: string): void {
    this.#script.step(label, "close", [this.output]);
    this.#script.assign("", this.output, this.#fresh, next);
  }

  /** Makes room for the path with a number. */
  #numbered(): Place {
    const room = new Uint8Array(this.#name.length + SUFFIX_ROOM);
    room.set(this.#name);
    room[this.#name.length - 1] = ".".charCodeAt(0);
    return this.#script.bytes(room);
  }

  /** Adds the steps that put a number there. */
  #number(label: string, { place }: Place, index: Cell): void {
    const script = this.#script;
    const suffix = { place: place + this.#name.length };
    const [length, end] = [script.cell(), script.cell()];
    script.step(label, "decimal", [index, suffix], { result: length });
    const last = { place: suffix.place - 1 };
    script.add("", length, last, { result: end });
    const nul = script.bytes(cString(""));
    script.step("", "copy", [end, nul, 1, 0]);
  }
}
