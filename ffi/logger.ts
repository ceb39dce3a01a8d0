/**
 * A program of a few KiB that writes what comes out of a pipe to a file, and
 * rotates that file. It is a script, `call_script.ts`, and never executes
 * anything else: it weighs what its buffer weighs, and sleeps in `ppoll()` when
 * nothing comes.
 *
 * @module
 */
import {
  addressOf,
  CallScript,
  type Cell,
  goingOn,
  type Operand,
} from "./call_script.ts";
import { type CString, cString } from "./c_string.ts";
import { LogFiles, type Rotation } from "./log_files.ts";
import { scriptImage, stackRange } from "./script_image.ts";
import {
  KERNEL_SIGSET_SIZE,
  SIG_SETMASK,
  Signal,
  SIGNALFD_SIGINFO,
} from "./signal.ts";
import { STAMP_LENGTH, stampRoom, writeStamp } from "./utc_stamp.ts";
import { pollfds } from "./wait.ts";

export type { Rotation };

/** The descriptors of a logger, and what it makes of what it reads. */
export interface Logger {
  /** Its name, `comm` in `/proc`; the kernel keeps 15 bytes of it. */
  readonly name: CString;
  /**
   * What it reads: a pipe that does not block. When nobody can write to it any
   * more, the logger ends with status 0.
   */
  readonly input: number;
  /** A descriptor of the file, open for appending. */
  readonly output: number;
  /** The absolute path of the file, to rotate and to reopen it. */
  readonly file: CString;
  /** When the file is rotated; never by default. */
  readonly rotation?: Rotation | undefined;
  /** Whether each line begins with the time at which its first byte was read. */
  readonly timestamps: boolean;
  /**
   * A signalfd that does not block, for SIGHUP and SIGUSR1. SIGHUP has the file
   * reopened. After SIGUSR1 what is in the pipe is written, and then 8 bytes to
   * `ack`. No other signal but SIGKILL has an effect.
   */
  readonly signals: number;
  /** An eventfd, or a pipe that does not block. It is told at the end, too. */
  readonly ack: number;
}

const PR_SET_NAME = 15;
const MADV_DONTNEED = 4;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const FIONREAD = 0x541b;
const LINE_FEED = 10;
/** As much as a pipe holds. */
const PIECE = 65_536;
/** A piece of line feeds alone is that long when each has its timestamp. */
const STAMPED_PIECE = PIECE * (STAMP_LENGTH + 1) + 4096;
/** A timestamp is copied with what is behind it. */
const STAMP_ROOM = 32;
/** For so long, in seconds, the buffer is kept when nothing comes. */
const IDLE = 5n;

/**
 * Makes the program, an ELF file.
 *
 * Lines stay whole: a file is rotated before the line that would make it larger
 * than it may be, and a longer line has a file of its own. What comes without a
 * line feed is written at once; its file is rotated when it has come to an end,
 * or has made the file twice as large as it may be.
 *
 * When writing fails, as on a full disk, it tries again once a second and reads
 * nothing meanwhile: who writes to the pipe has to wait. When rotating or
 * reopening fails, it writes to the file it has, and tries again in another
 * second when more has come.
 *
 * It is to be started with all signals blocked: until it has blocked them itself
 * any may kill it. It weighs 20 KiB; 64 more while something comes, and with
 * timestamps as much as one piece becomes by them.
 *
 * @param logger What it does.
 * @param machine The machine that it is for.
 * @returns The file.
 * @throws {TypeError} When a string holds a NUL.
 */
export function loggerImage(
  logger: Logger,
  machine: typeof Deno.build.arch = Deno.build.arch,
): Uint8Array<ArrayBuffer> {
  const writer = new LoggerWriter(logger, machine);
  return scriptImage(writer.script, writer.stack, machine);
}

/** Writes the steps of a logger. */
class LoggerWriter {
  readonly script: CallScript;
  readonly stack: Cell;
  readonly #logger: Logger;
  readonly #files: LogFiles;
  /** Where a piece is read to. */
  readonly #piece: Cell;
  /** Where it is made what is written; the same without timestamps. */
  readonly #text: Cell;
  /** What is to be written yet, from where to where. */
  readonly #start: Cell;
  readonly #end: Cell;
  /** What of the piece has not been looked at, where and how much. */
  readonly #at: Cell;
  readonly #rest: Cell;
  /** 1 in the middle of a line. */
  readonly #inLine: Cell;
  /** Above 0 when there is to be an answer, and after how many bytes. */
  readonly #asked: Cell;
  readonly #unanswered: Cell;
  /** A `struct timespec` for waiting; the kernel counts down in it. */
  readonly #timeout: Operand;

  constructor(logger: Logger, machine: typeof Deno.build.arch) {
    const script = new CallScript(machine);
    const [stack, stackSize] = stackRange(script);
    const { output, file, rotation } = logger;
    this.script = script;
    this.stack = stack;
    this.#logger = logger;
    this.#files = new LogFiles(script, machine, output, file, rotation);
    this.#piece = script.cell();
    this.#text = logger.timestamps ? script.cell() : this.#piece;
    this.#start = script.cell();
    this.#end = script.cell();
    this.#at = script.cell();
    this.#rest = script.cell();
    this.#inLine = script.cell();
    this.#asked = script.cell();
    this.#unanswered = script.cell();
    this.#timeout = script.bytes(new Uint8Array(16));
    this.#begin(stackSize);
    this.#wait();
    this.#take();
    this.#write();
    this.#files.write("resume");
  }

  /** Up to the first piece. */
  #begin(stackSize: Cell): void {
    const { script } = this;
    const name = script.bytes(cString(this.#logger.name));
    const all = script.cell(-1);
    script.step("", "prctl", [PR_SET_NAME, name]);
    const mask = [SIG_SETMASK, addressOf(all), 0, KERNEL_SIGSET_SIZE];
    script.step("", "rt_sigprocmask", mask);
    // A page or two that the kernel has filled for a program that needs a stack.
    script.step("", "madvise", [this.stack, stackSize, MADV_DONTNEED]);
    this.#files.measure("", "memory");
    // Fresh memory, which is given back when nothing comes.
    const size = this.#memorySize;
    script.step(
      "memory",
      "mmap",
      [0, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0],
      { result: this.#piece, failed: "no memory", positive: "has memory" },
    );
    const second = script.bytes(timespec(1n));
    script.step("no memory", "nanosleep", [second, 0], goingOn("memory"));
    script.step("has memory", "getpid");
    if (this.#logger.timestamps) {
      script.add("", this.#piece, PIECE, { result: this.#text });
    }
    script.assign("", this.#start, this.#text);
    script.assign("", this.#end, this.#text, "sleep");
  }

  get #memorySize(): number {
    return PIECE + (this.#logger.timestamps ? STAMPED_PIECE : 0);
  }

  /** Waits for a piece and for signals. */
  #wait(): void {
    const { script } = this;
    const { input, signals, ack } = this.#logger;
    const [piece, start, end] = [this.#piece, this.#start, this.#end];
    const { wanted } = this.#files;
    const fds = new Uint8Array(pollfds([input, signals]).buffer);
    const polled = script.bytes(fds);
    const polledSignals = { place: polled.place + 8 };
    const quiet = script.bytes(fds.slice(8));

    script.subtract("wait", this.#asked, 0, { zero: "patience" });
    script.subtract("", this.#unanswered, 0, { positive: "patience" });
    const one = script.cell(1);
    script.step("", "write", [ack, addressOf(one), 8]);
    script.assign("", this.#asked, 0);

    const poll = (
      label: string,
      fds: Operand,
      count: number,
      timeout: Operand,
      over: string,
      next: string,
    ) =>
      script.step(
        label,
        "ppoll",
        [fds, count, timeout, 0, KERNEL_SIGSET_SIZE],
        { failed: over, zero: over, positive: next },
      );
    this.#patience("patience", IDLE);
    poll("", polled, 2, this.#timeout, "idle", "ready");
    const memory = [piece, this.#memorySize, MADV_DONTNEED];
    script.step("idle", "madvise", memory);
    poll("sleep", polled, 2, 0, "sleep", "ready");

    script.step("ready", "differ", [polledSignals, quiet], {
      zero: "read",
    });
    const info = script.bytes(new Uint8Array(SIGNALFD_SIGINFO.size));
    const isSignal = (signal: number) => [info, addressOf(script.cell(signal))];
    const { size } = SIGNALFD_SIGINFO;
    script.step("signals", "read", [signals, info, size], {
      failed: "heard",
      zero: "heard",
    });
    script.step("", "differ", isSignal(Signal.SIGHUP), {
      positive: "no reopening",
    });
    script.assign("", wanted, 1, "signals");
    script.step("no reopening", "differ", isSignal(Signal.SIGUSR1), {
      positive: "signals",
    });
    // It writes an int there.
    const inPipe = script.cell();
    script.step("", "ioctl", [input, FIONREAD, addressOf(inPipe)]);
    script.assign("", this.#unanswered, inPipe);
    script.assign("", this.#asked, 1, "signals");
    // What could not be written?
    script.subtract("heard", end, start, { positive: "blocked" });

    script.step("read", "read", [input, piece, PIECE], {
      result: this.#rest,
      failed: "nothing",
      zero: "end",
      positive: "piece",
    });
    script.assign("nothing", this.#rest, 0);
    script.subtract("", wanted, 0, { zero: "wait", positive: "reopen" });
    script.step("end", "write", [ack, addressOf(one), 8]);
    script.step("exit", "exit_group", [0], goingOn("exit"));

    // A reopened file may be where there is room, and need not wait for a line.
    script.subtract("blocked", wanted, 0, { positive: "reopen" });
    this.#patience("", 1n);
    poll("", polledSignals, 1, this.#timeout, "flush", "signals");
  }

  /** Adds a step that sets for how long is waited, in seconds. */
  #patience(label: string, seconds: bigint): void {
    const time = this.script.bytes(timespec(seconds));
    this.script.step(label, "copy", [this.#timeout, time, 16, 0xff]);
  }

  /** Makes what is written of a piece. */
  #take(): void {
    const { script } = this;
    const { timestamps } = this.#logger;
    const { size, limit, wanted } = this.#files;
    const [start, end, at, rest] = [
      this.#start,
      this.#end,
      this.#at,
      this.#rest,
    ];
    const inLine = this.#inLine;
    const stamp = stampRoom(script);

    script.subtract("piece", this.#unanswered, rest, {
      result: this.#unanswered,
    });
    script.assign("", at, this.#piece);
    script.assign("", start, this.#text);
    script.assign("", end, this.#text);
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
    const { script } = this;
    const { size, limit, wanted } = this.#files;
    const last = script.cell();
    script.subtract(label, wanted, 0, { positive: otherwise });
    script.add("", size, this.#rest, { result: last });
    script.subtract("", last, limit, { positive: otherwise });
    script.add("", this.#at, this.#rest, { result: this.#end });
    script.add("", this.#end, -1, { result: last });
    script.assign("", this.#rest, 0);
    script.assign("", this.#inLine, 0);
    const byte = addressOf(script.cell());
    script.step("", "copy", [byte, last, 1, LINE_FEED], { positive: "flush" });
    script.assign("", this.#inLine, 1, "flush");
  }

  /** Writes, and goes on with what is left of a piece. */
  #write(): void {
    const { script } = this;
    const { timestamps, rotation } = this.#logger;
    const { output, size, wanted } = this.#files;
    const [start, end] = [this.#start, this.#end];
    const [length, written] = [script.cell(), script.cell()];

    script.subtract("flush", end, start, {
      result: length,
      failed: "written",
      zero: "written",
    });
    script.step("", "write", [output, start, length], {
      result: written,
      failed: "blocked",
      zero: "blocked",
    });
    script.add("", size, written, { result: size });
    script.add("", start, written, { result: start, ...goingOn("flush") });

    script.subtract("written", wanted, 0, { positive: "reopen" });
    script.subtract("", this.#rest, 0, {
      zero: "wait",
      positive: rotation ? "rotate" : "resume",
    });

    // With another file, or the same one.
    script.subtract("resume", end, start, { positive: "flush" });
    if (timestamps) {
      script.assign("", start, this.#text);
      script.assign("", end, this.#text);
    }
    script.subtract("", this.#rest, 0, { zero: "wait", positive: "lines" });
  }
}

/** A `struct timespec` of whole seconds. */
function timespec(seconds: bigint): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigInt64Array.of(seconds, 0n).buffer);
}
