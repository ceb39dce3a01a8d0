/**
 * Programs of `ffi/sleeper.ts` that tests have wait for them.
 *
 * @module
 */
import type { CString } from "../ffi/c_string.ts";
import { type SystemCall, systemCall } from "../ffi/system_calls.ts";
import { childrenOf, isAlive, look } from "./proc.ts";
import { ROOT, startProgram } from "./program.ts";
import type { Finished, Running, Sandbox } from "./sandbox.ts";

/** The name of those that get no other. */
export const NAME = "waiting test";

/** What a sleeper of a test waits for, and what it starts. */
export interface SleeperOptions {
  /** Its name. */
  readonly name?: string;
  /** What it shows as its arguments. */
  readonly shown?: readonly CString[];
  /** Expressions of what it watches; a FIFO `wake` by default. */
  readonly watched?: readonly string[];
  /** The program that it starts; `/bin/sh` by default. */
  readonly path?: CString;
  /** An expression of the descriptor that is kept; -1 by default. */
  readonly keptFd?: string;
  /** The arguments of what it starts, which begin with its name. */
  readonly argv?: readonly CString[];
  /** The environment of what it starts. */
  readonly env?: readonly CString[];
  /** Statements that come before it falls asleep. */
  readonly before?: string;
  /** An expression of what it guards, if anything. */
  readonly guard?: string;
  /** An expression of the daemon whose pings it answers, if there is one. */
  readonly pings?: string;
  /** What stands before the program that falls asleep on its command line. */
  readonly under?: readonly string[];
}

/** A process that waits. */
export class Sleeper {
  /** Its pid, before and after. */
  readonly pid: number;
  readonly #box: Sandbox;
  readonly #running: Running;
  readonly #name: string;

  private constructor(
    box: Sandbox,
    running: Running,
    pid: number,
    name: string,
  ) {
    this.pid = pid;
    this.#box = box;
    this.#running = running;
    this.#name = name;
  }

  /** Starts one, and waits until it sleeps. */
  static async start(
    box: Sandbox,
    options: SleeperOptions = {},
  ): Promise<Sleeper> {
    const sleeper = await Sleeper.startOnly(box, options);
    await sleeper.asleep();
    return sleeper;
  }

  /** Starts one. */
  static async startOnly(
    box: Sandbox,
    {
      name = NAME,
      shown = ["sleeper"],
      watched = [fifo("wake")],
      path = "/bin/sh",
      keptFd = "-1",
      argv = ["sh", "-c", "echo awake as $$"],
      env = [],
      before = "",
      guard = "undefined",
      pings = "undefined",
      under = [],
    }: SleeperOptions = {},
  ): Promise<Sleeper> {
    for (const [, file] of watched.join().matchAll(/open\("(\w+)"/g)) {
      await makeFifo(box, file!);
    }
    const running = startProgram(
      box,
      `
      import { setCloseOnExec } from "${ROOT}/ffi/descriptor.ts";
      import {
        O_CREAT, O_NONBLOCK, O_PATH, O_RDONLY, open,
      } from "${ROOT}/ffi/file.ts";
      import { fexecve, memfdProgram } from "${ROOT}/ffi/memfd.ts";
      import { Signal, signalfd } from "${ROOT}/ffi/signal.ts";
      import { sleeperImage } from "${ROOT}/ffi/sleeper.ts";
      import { pidfdOpen } from "${ROOT}/ffi/pidfd.ts";
      import { datagramSocket } from "${ROOT}/ffi/socket.ts";
      import {
        bootTime, intervalTimerfd, setTimerfd, setTimerInterval, timerfd,
      } from "${ROOT}/ffi/wait.ts";
      Deno.chdir(${JSON.stringify(box.dir)});
      ${before};
      const watched = [${watched}];
      const keptFd = ${keptFd};
      for (const fd of [...watched, keptFd]) {
        if (fd !== -1) setCloseOnExec(fd, false);
      }
      const image = sleeperImage({
        name: ${JSON.stringify(name)},
        watched,
        path: ${expressionOf(path)},
        keptFd,
        argv: [${argv.map(expressionOf)}],
        env: [${env.map(expressionOf)}],
        guard: ${guard},
        pings: ${pings},
      });
      fexecve(memfdProgram("image", image), [${shown.map(expressionOf)}]);`,
      { under },
    );
    const pid = under[0] === "strace"
      ? await box.until(
        "strace has started a program",
        // It forks others before, to see what ptrace() can do here.
        () =>
          childrenOf(running.pid).find((child) =>
            !["strace", undefined].includes(look(child)?.status.get("Name"))
          ),
      )
      : running.pid;
    return new Sleeper(box, running, pid, name.slice(0, 15));
  }

  /** Waits until it sleeps. */
  async asleep(): Promise<void> {
    await this.#box.until(`pid ${this.pid} sleeps`, () => {
      const { state, status } = look(this.pid) ?? {};
      // After it has its name it waits for nothing else.
      return status?.get("Name") === this.#name && state === "S";
    });
  }

  /** What it waits in: the numbers of the call, and its operands. */
  call(): string[] {
    return Deno.readTextFileSync(`/proc/${this.pid}/syscall`).trimEnd()
      .split(" ");
  }

  /** Waits until it has found nothing to start, and tries that again later. */
  async isHelpless(call: SystemCall = "nanosleep"): Promise<void> {
    const number = String(systemCall(call));
    await this.#box.until(
      `pid ${this.pid} waits to try again`,
      () => this.call()[0] === number,
    );
  }

  /** A line of its `status` in `/proc`. */
  status(line: string): string | undefined {
    return look(this.pid)?.status.get(line);
  }

  /** A file of its in `/proc`, in bytes that are shown as such in Latin-1. */
  proc(file: string): string {
    return latin1(Deno.readFileSync(`/proc/${this.pid}/${file}`));
  }

  /** Waits for the end of what it has started. */
  async finished(): Promise<Finished> {
    await this.#box.until(
      `pid ${this.pid} has woken up and ended`,
      () => !isAlive(this.pid),
    );
    return this.#running.finished();
  }
}

/** An expression of a FIFO of the sandbox, for what is watched. */
export function fifo(name: string): string {
  return `open("${name}", O_RDONLY | O_NONBLOCK)`;
}

/** Makes a FIFO. */
export async function makeFifo(box: Sandbox, name: string): Promise<void> {
  const { code, stderr } = await box.run(["mkfifo", box.path(name)]);
  if (code !== 0) throw new Error(stderr);
}

/** Lets what watches a FIFO read from it. */
export function wake(box: Sandbox, name = "wake"): void {
  // There is a reader, so this waits for nobody.
  using writer = Deno.openSync(box.path(name), { write: true });
  writer.writeSync(new Uint8Array(1));
}

/** Text with a character for each byte. */
export function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** A string as the source of an expression. */
function expressionOf(string: CString): string {
  return typeof string === "string"
    ? JSON.stringify(string)
    : `Uint8Array.of(${string})`;
}
