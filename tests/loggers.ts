/**
 * Programs of `ffi/logger.ts` that tests write to.
 *
 * @module
 */
import { close, read, writeFully } from "../ffi/descriptor.ts";
import { O_NONBLOCK, O_RDWR, open } from "../ffi/file.ts";
import type { Logger as Options } from "../ffi/logger.ts";
import type { Architecture } from "../scripts/elf_image.ts";
import { emulator } from "./binutils.ts";
import { fdsOf, isAlive, look } from "./proc.ts";
import { ROOT, startProgram } from "./program.ts";
import type { Finished, Running, Sandbox } from "./sandbox.ts";
import { makeFifo } from "./sleepers.ts";

const NAME = "logger test";

/** How a logger of a test is started. */
export interface LoggerOptions {
  /** When it rotates. */
  readonly rotation?: Options["rotation"];
  /** Whether it writes timestamps; it does not by default. */
  readonly timestamps?: boolean;
  /** Its file; `log` in the sandbox by default. */
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
  /** Its file. */
  readonly file: string;
  readonly #box: Sandbox;
  readonly #running: Running;
  #inputFd: number;
  readonly #ackFd: number;

  private constructor(
    box: Sandbox,
    running: Running,
    file: string,
    fds: [number, number],
  ) {
    this.#box = box;
    this.#running = running;
    this.file = file;
    [this.#inputFd, this.#ackFd] = fds;
  }

  /** Starts one, and waits until it waits for what is written. */
  static async start(
    box: Sandbox,
    {
      rotation,
      timestamps = false,
      file = box.path("log"),
      machine = Deno.build.arch,
      before = "",
      under = [],
    }: LoggerOptions = {},
  ): Promise<TestLogger> {
    await makeFifo(box, "input");
    await makeFifo(box, "ack");
    // It reads the end when nobody has opened its input yet.
    const fds = ["input", "ack"].map((name) =>
      open(box.path(name), O_RDWR | O_NONBLOCK)
    ) as [number, number];
    const [qemu] = emulator(machine);
    const running = startProgram(
      box,
      `
      import { setCloseOnExec } from "${ROOT}/ffi/descriptor.ts";
      import {
        O_APPEND, O_CREAT, O_NONBLOCK, O_RDONLY, O_WRONLY, open,
      } from "${ROOT}/ffi/file.ts";
      import { loggerImage } from "${ROOT}/ffi/logger.ts";
      import { fexecve, memfdProgram } from "${ROOT}/ffi/memfd.ts";
      import { execvp } from "${ROOT}/ffi/process.ts";
      import {
        LAST_SIGNAL, setSignalMask, Signal, signalfd,
      } from "${ROOT}/ffi/signal.ts";
      Deno.chdir(${JSON.stringify(box.dir)});
      ${before};
      const file = ${JSON.stringify(file)};
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
      const qemu = ${JSON.stringify(qemu)};
      if (qemu === undefined) {
        fexecve(memfdProgram("logger", image), ["logger"]);
      } else {
        Deno.writeFileSync("image", image, { mode: 0o755 });
        execvp(qemu, [qemu, "./image"]);
      }`,
      { under },
    );
    const logger = new TestLogger(box, running, file, fds);
    try {
      await box.until("the logger waits", () => {
        const { state, status } = look(logger.pid) ?? {};
        return status?.get("Name") === NAME && state === "S";
      });
    } catch (error) {
      throw new Error(running.stderr(), { cause: error });
    }
    return logger;
  }

  /** Its pid. */
  get pid(): number {
    return this.#running.pid;
  }

  /** Writes to its pipe; not more than that holds. */
  write(text: string | Uint8Array): void {
    writeFully(this.#inputFd, text);
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    Deno.kill(this.pid, signal);
  }

  /** What is in one of its files: `log`, or `log.1` and so on. */
  text(number?: number): string | undefined {
    const suffix = number === undefined ? "" : `.${number}`;
    return this.#box.read(this.file + suffix);
  }

  /** Waits until everything that was written is in a file. */
  async flush(): Promise<void> {
    this.signal("SIGUSR1");
    await this.#box.until("the logger answers", () => this.answers() > 0);
  }

  /** How often it has answered, since this was asked. */
  answers(): number {
    try {
      return read(this.#ackFd, new Uint8Array(4096)) / 8;
    } catch {
      return 0;
    }
  }

  /** Its descriptors. */
  fds(): Map<number, string> {
    return fdsOf(this.pid);
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
