/**
 * What a logger, `logger.ts`, makes of a piece that it has read: lines, which it
 * writes.
 *
 * The steps have no way to remember where they came from. So where they go on is
 * told by what is left: something to be written, something of the piece, or
 * nothing.
 *
 * @module
 */
import {
  addressOf,
  type CallScript,
  type Cell,
  goingOn,
} from "./call_script.ts";
import { Errno } from "./libc.ts";
import type { LogFiles } from "./log_files.ts";
import type { LogTrouble } from "./log_trouble.ts";
import { STAMP_LENGTH, stampRoom, writeStamp } from "./utc_stamp.ts";

/** How large a piece may be: as much as a pipe holds. */
export const PIECE = 65_536;
/** A piece of line feeds alone is that long when each has its timestamp. */
const STAMPED_PIECE = PIECE * (STAMP_LENGTH + 1) + 4096;
/** A timestamp is copied with what is behind it. */
const STAMP_ROOM = 32;
const LINE_FEED = 10;

/** Writes the steps that have to do with pieces, and knows their words. */
export class LogPieces {
  /** How much memory they take. */
  readonly memorySize: number;
  /** Where that is, and a piece is read to. */
  readonly piece: Cell;
  /** How much of the piece has not been looked at. */
  readonly rest: Cell;
  /** From where on something is to be written. */
  readonly start: Cell;
  /** Where that ends. */
  readonly end: Cell;
  readonly #at: Cell;
  /** Where that is made; it is in the piece itself without timestamps. */
  readonly #text: Cell;
  /** 1 in the middle of a line. */
  readonly #inLine: Cell;
  readonly #script: CallScript;
  readonly #files: LogFiles;
  readonly #timestamps: boolean;
  readonly #trouble: LogTrouble;

  /**
   * @param script The script.
   * @param files Where lines are written.
   * @param timestamps Whether each begins with the time.
   * @param trouble How it is told that they cannot be.
   */
  constructor(
    script: CallScript,
    files: LogFiles,
    timestamps: boolean,
    trouble: LogTrouble,
  ) {
    this.#trouble = trouble;
    this.#script = script;
    this.#files = files;
    this.#timestamps = timestamps;
    this.memorySize = PIECE + (timestamps ? STAMPED_PIECE : 0);
    this.piece = script.cell();
    this.rest = script.cell();
    this.start = script.cell();
    this.end = script.cell();
    this.#at = script.cell();
    this.#text = timestamps ? script.cell() : this.piece;
    this.#inLine = script.cell();
  }

  /**
   * Adds the steps that come once there is memory.
   *
   * @param label Where they begin.
   * @param next What follows.
   */
  begin(label: string, next: string): void {
    const offset = this.#timestamps ? PIECE : 0;
    this.#script.add(label, this.piece, offset, { result: this.#text });
    this.#nothing(next);
  }

  /** Nothing is to be written. */
  #nothing(next?: string): void {
    this.#script.assign("", this.start, this.#text);
    this.#script.assign("", this.end, this.#text, next);
  }

  /**
   * Adds the steps that take a piece, `take`: they look at it line by line, and
   * have it written, `flush`, when a file is full or nothing is left of it.
   */
  take(): void {
    const script = this.#script;
    const timestamps = this.#timestamps;
    const { size, limit, wanted } = this.#files;
    const { start, end, rest } = this;
    const [at, inLine] = [this.#at, this.#inLine];
    const stamp = stampRoom(script);

    script.assign("take", at, this.piece);
    this.#nothing();
    if (timestamps) {
      this.#files.askTime("");
      writeStamp(script, this.#files.time, stamp);
    }
    this.#files.retry("retry", "fresh", timestamps);
    // A file is reopened between two lines, if they are told apart in here.
    script.subtract("fresh", wanted, 0, { zero: "lines" });
    script.subtract("", inLine, 0, { zero: "reopen", positive: "lines" });

    // How far this file may be filled.
    const full = script.cell();
    if (!timestamps) this.#takeAll("lines", "many lines");
    const first = timestamps ? "lines" : "many lines";
    script.subtract(first, limit, size, { result: full });
    script.add("", full, start, { result: full });
    script.subtract("", inLine, 0, { zero: "line", positive: "in line" });

    const text = timestamps ? script.cell() : end;
    const [length, next] = [script.cell(), script.cell()];
    if (timestamps) {
      script.step("line", "copy", [end, stamp, STAMP_ROOM, LINE_FEED]);
      script.add("", end, STAMP_LENGTH, { result: text });
    }
    script.step(timestamps ? "" : "line", "copy", [text, at, rest, LINE_FEED], {
      result: length,
      failed: "part",
    });
    script.add("", text, length, { result: next });
    script.subtract("", next, full, { positive: "too much" });
    script.assign("", end, next);
    script.add("", at, length, { result: at });
    script.subtract("", rest, length, {
      result: rest,
      failed: "flush",
      zero: "flush",
      positive: "line",
    });

    script.add("part", text, rest, { result: next });
    script.subtract("", next, full, { positive: "too much" });
    script.assign("", end, next);
    script.assign("", inLine, 1);
    script.assign("", rest, 0, "flush");

    // With nothing in the file before it, it is a long line.
    script.subtract("too much", end, start, { positive: "flush" });
    script.subtract("", size, 0, { positive: "flush" });
    if (timestamps) script.assign("", end, text);
    script.assign("", inLine, 1);

    // The rest of a line may fill the file once more.
    const room = script.cell();
    script.add("in line", full, limit, { result: room });
    script.subtract("", room, end, {
      result: room,
      failed: "flush",
      zero: "flush",
    });
    script.subtract("", rest, room, { positive: "cut" });
    script.assign("", room, rest);
    script.step("cut", "copy", [end, at, room, LINE_FEED], {
      result: length,
      positive: "line end",
    });
    script.add("", end, room, { result: end });
    script.add("", at, room, { result: at });
    script.subtract("", rest, room, { result: rest, ...goingOn("flush") });

    script.assign("line end", inLine, 0);
    script.add("", end, length, { result: end });
    script.add("", at, length, { result: at });
    script.subtract("", rest, length, { result: rest, zero: "flush" });
    script.subtract("", wanted, 0, { zero: "line", positive: "flush" });
  }

  /** Takes all that is left as it is, where the file has room for it. */
  #takeAll(label: string, otherwise: string): void {
    const script = this.#script;
    const { size, limit, wanted } = this.#files;
    const last = script.cell();
    script.subtract(label, wanted, 0, { positive: otherwise });
    script.add("", size, this.rest, { result: last });
    script.subtract("", last, limit, { positive: otherwise });
    script.add("", this.#at, this.rest, { result: this.end });
    script.add("", this.end, -1, { result: last });
    script.assign("", this.rest, 0);
    script.assign("", this.#inLine, 0);
    const byte = addressOf(script.cell());
    script.step("", "copy", [byte, last, 1, LINE_FEED], { positive: "flush" });
    script.assign("", this.#inLine, 1, "flush");
  }

  /**
   * Adds the steps that write, `flush`, and those that go on with what is left,
   * `resume`.
   *
   * @param rotates Whether there are steps that rotate.
   */
  write(rotates: boolean): void {
    const script = this.#script;
    const { output, size, wanted, failed } = this.#files;
    const { start, end } = this;
    const [length, written] = [script.cell(), script.cell()];

    script.subtract("flush", end, start, {
      result: length,
      failed: "written",
      zero: "written",
    });
    script.step("", "write", [output, start, length], {
      result: written,
      failed: rotates ? "too large?" : "cannot write",
      zero: "blocked",
    });
    script.add("", size, written, { result: size });
    script.add("", start, written, { result: start });
    this.#trouble.isOver("", "write", "flush");
    this.#trouble.begins("cannot write", "write", written, "blocked");

    if (rotates) {
      // Another file may be as large again, unless that was tried just now.
      const blocked = goingOn("cannot write");
      const tooLarge = { ...blocked, zero: "not empty?" };
      script.subtract("too large?", written, -Errno.EFBIG, tooLarge);
      script.subtract("not empty?", size, 0, {
        ...blocked,
        positive: "tried?",
      });
      script.subtract("tried?", failed, 0, { ...blocked, zero: "rotate" });
    }

    script.subtract("written", wanted, 0, { positive: "reopen" });
    script.subtract("", this.rest, 0, {
      zero: "wait",
      positive: rotates ? "rotate" : "resume",
    });

    // With another file, or the same one.
    script.subtract("resume", end, start, { positive: "flush" });
    if (this.#timestamps) this.#nothing();
    script.subtract("", this.rest, 0, { zero: "wait", positive: "lines" });
  }
}
