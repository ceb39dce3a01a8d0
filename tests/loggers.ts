/**
 * Programs of `ffi/logger.ts` that tests write to.
 *
 * @module
 */
import { close, O_CLOEXEC, readIfAny, writeFully } from "../ffi/descriptor.ts";
import { O_NONBLOCK, O_RDWR, open } from "../ffi/file.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import type { Rotation } from "../ffi/log_files.ts";
import { systemCall } from "../ffi/system_calls.ts";
import type { Architecture } from "../scripts/elf_image.ts";
import { ARCHITECTURES, emulator, lacks } from "./binutils.ts";
import { isAlive, look } from "./proc.ts";
import { ROOT, startProgram } from "./program.ts";
import type { Finished, Running, Sandbox } from "./sandbox.ts";
import { makeFifo } from "./sleepers.ts";

const NAME = "logger test";
/** `PIPE_BUF`: so much is written whole or not at all. */
const ATOMIC = 4096;

/** All machines, and whether what runs their programs is missing here. */
export const MACHINES: { machine: Architecture; ignore: boolean }[] =
  await Promise.all(ARCHITECTURES.map(async (machine) => ({
    machine,
    ignore: await lacks(emulator(machine)),
  })));

/** How a logger of a test is started. */
export interface LoggerOptions {
  /** When it rotates. */
  readonly rotation?: Rotation;
  /** Whether it writes timestamps; it does not by default. */
  readonly timestamps?: boolean;
  /** Its file, in the sandbox; `log` by default. */
  readonly file?: string;
  /** The machine that it is for; this one by default. */
  readonly machine?: Architecture;
  /** Statements that come before it. */
  readonly before?: string;
  /** What stands before it on its command line. */
  readonly under?: readonly string[];
}

/** A logger, and the pipe to it. */
export class TestLogger {
  /** Its file, as this process finds it while it runs. */
  readonly file: string;
  readonly #box: Sandbox;
  readonly #running: Running;
  readonly #ackFd: number;
  #inputFd: number;

  private constructor(
    box: Sandbox,
    running: Running,
    file: string,
    [inputFd, ackFd]: readonly number[],
  ) {
    this.file = file;
    this.#box = box;
    this.#running = running;
    this.#inputFd = inputFd!;
    this.#ackFd = ackFd!;
  }

  /** Starts one, and waits until it waits for what is written. */
  static async start(
    box: Sandbox,
    {
      rotation,
      timestamps = false,
      file = "log",
      machine = Deno.build.arch,
      before = "",
      under = [],
    }: LoggerOptions = {},
  ): Promise<TestLogger> {
    const fifos = ["input", "ack"];
    for (const fifo of fifos) await makeFifo(box, fifo);
    // It reads the end where nobody has opened its input.
    const fds = fifos.map((fifo) =>
      open(box.path(fifo), O_RDWR | O_NONBLOCK | O_CLOEXEC)
    );
    const running = startProgram(
      box,
      `
      import { setCloseOnExec } from "${ROOT}/ffi/descriptor.ts";
      import { execvp } from "${ROOT}/ffi/exec.ts";
      import {
        O_APPEND, O_CREAT, O_NONBLOCK, O_RDONLY, O_WRONLY, open,
      } from "${ROOT}/ffi/file.ts";
      import { loggerImage } from "${ROOT}/ffi/logger.ts";
      import { fexecve, memfdProgram } from "${ROOT}/ffi/memfd.ts";
      import {
        LAST_SIGNAL, setSignalMask, Signal, signalfd,
      } from "${ROOT}/ffi/signal.ts";
      Deno.chdir(${JSON.stringify(box.dir)});
      ${before};
      const file = ${JSON.stringify(box.path(file))};
      const fds = {
        input: open("input", O_RDONLY | O_NONBLOCK),
        output: open(file, O_WRONLY | O_APPEND | O_CREAT, 0o640),
        signals: signalfd([Signal.SIGHUP, Signal.SIGUSR1]),
        ack: open("ack", O_WRONLY | O_NONBLOCK),
      };
      const image = loggerImage({
        ...fds,
        name: "${NAME}",
        file,
        rotation: ${JSON.stringify(rotation)},
        timestamps: ${timestamps},
      }, "${machine}");
      setSignalMask(Array.from({ length: LAST_SIGNAL }, (_, i) => i + 1));
      for (const fd of Object.values(fds)) setCloseOnExec(fd, false);
      const [qemu] = ${JSON.stringify(emulator(machine))};
      if (qemu === undefined) {
        fexecve(memfdProgram("logger", image), ["logger"]);
      }
      Deno.writeFileSync("image", image, { mode: 0o755 });
      execvp(qemu, [qemu, "./image"]);`,
      { under },
    );
    await box.until(`the logger waits: ${running.stderr()}`, () => {
      const { state, status } = look(running.pid) ?? {};
      return status?.get("Name") === NAME && state === "S";
    });
    // It may have a file system of its own.
    const root = under.length > 0 ? `/proc/${running.pid}/root` : "";
    return new TestLogger(box, running, root + box.path(file), fds);
  }

  /** Its pid. */
  get pid(): number {
    return this.#running.pid;
  }

  /** Writes to its pipe, and waits where that is full. */
  async write(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string"
      ? new TextEncoder().encode(text)
      : text;
    for (let at = 0; at < bytes.length; at += ATOMIC) {
      const piece = bytes.subarray(at, at + ATOMIC);
      await this.#box.until("the logger reads", () => this.offer(piece));
    }
  }

  /** Writes up to 4096 bytes to its pipe, if that has room for them. */
  offer(piece: Uint8Array): boolean {
    try {
      writeFully(this.#inputFd, piece);
      return true;
    } catch (error) {
      if (!(error instanceof LibcError && error.errno === Errno.EAGAIN)) {
        throw error;
      }
      return false;
    }
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    Deno.kill(this.pid, signal);
  }

  /** What is in `log`, and with a number in `log.1` and so on. */
  text(number?: number): string | undefined {
    return this.#box.read(this.#path(number));
  }

  /** What is in all its files, the newest first. */
  texts(): string[] {
    const texts: string[] = [];
    for (let number: number | undefined;; number = (number ?? 0) + 1) {
      const text = this.text(number);
      if (text === undefined) return texts;
      texts.push(text);
    }
  }

  #path(number: number | undefined): string {
    return number === undefined ? this.file : `${this.file}.${number}`;
  }

  /** Waits until everything that was written is in a file. */
  async flush(): Promise<void> {
    this.signal("SIGUSR1");
    await this.#box.until("the logger answers", () => this.answers() > 0);
  }

  /** How often it has answered since this was asked. */
  answers(): number {
    return (readIfAny(this.#ackFd, new Uint8Array(ATOMIC)) ?? 0) / 8;
  }

  /** What it has answered, if it has since this was asked. */
  answer(): bigint | undefined {
    const words = new BigUint64Array(1);
    const length = readIfAny(this.#ackFd, new Uint8Array(words.buffer));
    return length === undefined ? undefined : words[0];
  }

  /**
   * What it waits for: more, for some seconds; more, for as long as it takes;
   * or that there is room for what it has read.
   */
  waits(): "a while" | "for ever" | "for room" | undefined {
    const [call, , count, timeout] = Deno.readTextFileSync(
      `/proc/${this.pid}/syscall`,
    ).split(" ");
    if (call !== `${systemCall("ppoll")}`) return undefined;
    if (count === "0x1") return "for room";
    return timeout === "0x0" ? "for ever" : "a while";
  }

  /** Closes its pipe, and waits for its end. */
  async end(): Promise<Finished> {
    this.close();
    await this.#box.until("the logger ends", () => !isAlive(this.pid));
    return this.#running.finished();
  }

  /** Closes its pipe. */
  close(): void {
    if (this.#inputFd !== -1) close(this.#inputFd);
    this.#inputFd = -1;
  }

  /** Closes what is this process's. */
  [Symbol.dispose](): void {
    this.close();
    close(this.#ackFd);
  }
}
