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
import { type Listener, LogTrouble } from "./log_trouble.ts";
import { LogPieces, PIECE } from "./log_pieces.ts";
import { scriptImage, stackRange } from "./script_image.ts";
import {
  KERNEL_SIGSET_SIZE,
  SIG_SETMASK,
  Signal,
  SIGNALFD_SIGINFO,
} from "./signal.ts";
import { pollfds } from "./wait.ts";

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
   * reopened. After SIGUSR1 what is in the pipe is written, and then the 8 bytes
   * of the value that came with it to `ack`. No other signal but SIGKILL has an
   * effect.
   */
  readonly signals: number;
  /** An eventfd, or a pipe that does not block. */
  readonly ack: number;
  /** Who is told of trouble with the file; nobody by default. */
  readonly listener?: Listener | undefined;
}

const PR_SET_NAME = 15;
const MADV_DONTNEED = 4;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const FIONREAD = 0x541b;
/** For so long, in seconds, the buffer is kept when nothing comes. */
const IDLE = 5n;

/**
 * Makes the program, an ELF file.
 *
 * Lines stay whole: a file is rotated before the line that would make it larger
 * than it may be, and a longer line begins a file of its own. It is cut only
 * where it makes that twice as large as it may be, and goes on in the next. What
 * comes without a line feed is written at once; its file is rotated when it has
 * come to an end, or is cut.
 *
 * When writing fails, as on a full disk, it tries again once a second and reads
 * nothing meanwhile: who writes to the pipe has to wait. Whoever listens is told
 * when that begins and when it is over, as of what else is tried again. A file that was removed
 * or renamed meanwhile is made anew. When rotating or
 * reopening fails, it writes to the file it has, and tries again in another
 * second when more has come. A file that is as large as any may be here is
 * rotated, if files are at all.
 *
 * It is to be started with all signals blocked: until it has blocked them itself
 * any may kill it. It weighs less than 32 KiB while nothing comes; otherwise 64
 * more, and with timestamps what they make of as much.
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
  readonly #pieces: LogPieces;
  /** Above 0 when there is to be an answer, and after how many bytes. */
  readonly #asked: Cell;
  readonly #unanswered: Cell;
  readonly #answer: Cell;
  /** A `struct timespec` for waiting; the kernel counts down in it. */
  readonly #timeout: Operand;

  constructor(logger: Logger, machine: typeof Deno.build.arch) {
    const script = new CallScript(machine);
    const [stack, stackSize] = stackRange(script);
    const { output, file, rotation, timestamps } = logger;
    this.script = script;
    this.stack = stack;
    this.#logger = logger;
    const trouble = new LogTrouble(script, logger.listener);
    this.#files = new LogFiles(
      script,
      machine,
      output,
      file,
      rotation,
      trouble,
    );
    this.#pieces = new LogPieces(script, this.#files, timestamps, trouble);
    this.#asked = script.cell();
    this.#unanswered = script.cell();
    this.#answer = script.cell();
    this.#timeout = script.bytes(new Uint8Array(16));
    this.#begin(stackSize);
    this.#wait();
    this.#pieces.take();
    this.#pieces.write(rotation !== undefined);
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
    const { memorySize, piece } = this.#pieces;
    const memory = [0, memorySize, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1];
    script.step("memory", "mmap", memory, {
      result: piece,
      positive: "has memory",
    });
    const second = script.bytes(timespec(1n));
    script.step("", "nanosleep", [second, 0], goingOn("memory"));
    this.#pieces.begin("has memory", "sleep");
  }

  /** Waits for a piece and for signals. */
  #wait(): void {
    const { script } = this;
    const { input, signals, ack } = this.#logger;
    const { memorySize, piece, rest, start, end } = this.#pieces;
    const { wanted } = this.#files;
    const fds = new Uint8Array(pollfds([input, signals]).buffer);
    const polled = script.bytes(fds);
    const polledSignals = { place: polled.place + 8 };
    const quiet = script.bytes(fds.slice(8));

    script.subtract("wait", this.#asked, 0, { zero: "patience" });
    script.subtract("", this.#unanswered, 0, { positive: "patience" });
    script.step("", "write", [ack, addressOf(this.#answer), 8]);
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
    const memory = [piece, memorySize, MADV_DONTNEED];
    script.step("idle", "madvise", memory);
    poll("sleep", polled, 2, 0, "sleep", "ready");

    script.step("ready", "differ", [polledSignals, quiet], { zero: "read" });
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
    const value = { cell: info.place + SIGNALFD_SIGINFO.value };
    script.assign("", this.#answer, value);
    script.assign("", this.#asked, 1, "signals");
    // What could not be written?
    script.subtract("heard", end, start, { positive: "blocked" });

    script.step("read", "read", [input, piece, PIECE], {
      result: rest,
      failed: "nothing",
      zero: "exit",
    });
    const unanswered = this.#unanswered;
    script.subtract("", unanswered, rest, {
      ...goingOn("take"),
      result: unanswered,
    });
    script.assign("nothing", rest, 0);
    script.subtract("", wanted, 0, { zero: "wait", positive: "reopen" });
    script.step("exit", "exit_group", [0], goingOn("exit"));

    // A reopened file may be where there is room, and need not wait for a line.
    script.subtract("blocked", wanted, 0, { positive: "reopen" });
    this.#patience("", 1n);
    poll("", polledSignals, 1, this.#timeout, "retry blocked", "signals");
    this.#files.retry("retry blocked", "room?", false);
    // Whoever has removed the file to make room gets it when it is closed.
    this.#files.look("room?", "moved", "flush", "flush");
    script.assign("moved", wanted, 1, "flush");
  }

  /** Adds a step that sets for how long is waited, in seconds. */
  #patience(label: string, seconds: bigint): void {
    const time = this.script.bytes(timespec(seconds));
    this.script.step(label, "copy", [this.#timeout, time, 16, 0xff]);
  }
}

/** A `struct timespec` of whole seconds. */
function timespec(seconds: bigint): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigInt64Array.of(seconds, 0n).buffer);
}
