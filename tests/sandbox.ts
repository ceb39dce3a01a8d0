/**
 * A place for a test's files and processes, where nothing is left behind.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { fail } from "@std/assert/fail";
import { O_RDONLY, open } from "../ffi/file.ts";
import { LibcError } from "../ffi/libc.ts";
import { fcntlGetlk } from "../ffi/lock.ts";
import { isAlive, isGone, pidsWithEnvironment } from "./proc.ts";

/** The program under test. */
export const TEND: string = new URL("../dist/tend", import.meta.url).pathname;

// Libraries that a test loads count as its leak, so the first use is here.
const primer = open("/dev/null", O_RDONLY);
fcntlGetlk(primer);
close(primer);

/** How long a condition may take to come true: only a failure takes as long. */
const PATIENCE_MS = 30_000;

/** How long a program may take to end. */
const RUN_PATIENCE_MS = 180_000;

/** A program that has run to its end. */
export interface Finished {
  /** Its exit status; 128 and the signal that killed it. */
  readonly code: number;
  /** What it wrote to stdout. */
  readonly stdout: string;
  /** What it wrote to stderr. */
  readonly stderr: string;
}

/** A program that runs. */
export interface Running {
  /** Its pid. */
  readonly pid: number;
  /** What it has written to stderr until now. */
  stderr(): string;
  /** What it has written to stdout until now. */
  stdout(): string;
  /** Waits for its end; fails if that is not to come. */
  finished(): Promise<Finished>;
}

/** How a program is started. */
export interface StartOptions {
  /** More environment. */
  readonly env?: Record<string, string>;
  /** Its working directory; the sandbox's by default. */
  readonly cwd?: string;
}

/** A test's directory, its processes, and an end of both. */
export class Sandbox implements AsyncDisposable {
  /** The directory. */
  readonly dir: string;
  readonly #mark: string;
  #count = 0;
  readonly #ends: Promise<unknown>[] = [];

  private constructor(dir: string) {
    this.dir = dir;
    this.#mark = `TEND_TEST_SANDBOX=${dir}`;
  }

  /** Makes a sandbox; `await using` it. */
  static async create(): Promise<Sandbox> {
    return new Sandbox(await Deno.makeTempDir({ prefix: "tend-test-" }));
  }

  /** A file of the sandbox. */
  path(name: string): string {
    return `${this.dir}/${name}`;
  }

  /** A file of the run directory that `tend` uses here. */
  runPath(name: string): string {
    return this.path(`run/${name}`);
  }

  /** Runs `tend` to its end. */
  tend(...args: string[]): Promise<Finished> {
    return this.run([TEND, ...args]);
  }

  /** Runs a program to its end. */
  run(argv: readonly string[], options?: StartOptions): Promise<Finished> {
    return this.start(argv, options).finished();
  }

  /**
   * Starts a program. Its output goes to files: a daemon that holds on to a
   * pipe must fail a test, not hang it.
   */
  start(argv: readonly string[], { env, cwd }: StartOptions = {}): Running {
    const [out, err] = ["out", "err"].map((end) =>
      this.path(`${this.#count}.${end}`)
    ) as [string, string];
    this.#count++;
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", 'out=$1 err=$2; shift 2; exec "$@" >"$out" 2>"$err"', "sh"]
        .concat(out, err, argv),
      cwd: cwd ?? this.dir,
      env: {
        TEND_RUNDIR: this.path("run"),
        TEND_LOGDIR: this.path("log"),
        TEND_TEST_SANDBOX: this.dir,
        ...env,
      },
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    this.#ends.push(child.status);
    // The shell makes the files, so at first there are none.
    const text = (file: string) => () => this.read(file) ?? "";
    return {
      pid: child.pid,
      stdout: text(out),
      stderr: text(err),
      finished: async () => {
        const status = await inTime(child.status) ??
          fail(`${argv.join(" ")} did not end; it wrote: ${text(err)()}`);
        return { code: status.code, stdout: text(out)(), stderr: text(err)() };
      },
    };
  }

  /** The pid in a pidfile of the run directory; `undefined` without one. */
  pidfile(name: string): number | undefined {
    return this.pidIn(this.runPath(name));
  }

  /** The pid in a file; `undefined` without one. */
  pidIn(path: string): number | undefined {
    const text = this.read(path);
    return text === undefined ? undefined : Number(text.trim());
  }

  /** A file's text; `undefined` without one, or of a process that has ended. */
  read(path: string): string | undefined {
    try {
      return Deno.readTextFileSync(path);
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  /** Whether a file is there. */
  exists(path: string): boolean {
    return this.read(path) !== undefined;
  }

  /** Who holds the lock of a pidfile of the run directory, if anybody. */
  holder(name: string): number | undefined {
    let fd: number;
    try {
      fd = open(this.runPath(name), O_RDONLY);
    } catch (error) {
      if (error instanceof LibcError) return undefined;
      throw error;
    }
    try {
      return fcntlGetlk(fd);
    } finally {
      close(fd);
    }
  }

  /** The names in the run directory, in their order. */
  runFiles(): string[] {
    try {
      return [...Deno.readDirSync(this.path("run"))].map(({ name }) => name)
        .sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** The processes that were started here, or by one of those. */
  processes(): number[] {
    return pidsWithEnvironment(this.#mark).filter(isAlive);
  }

  /**
   * Waits for a condition.
   *
   * @param what The condition in words, for the failure.
   * @param ask Returns what the test goes on with; `undefined` or `false`
   * until it is true.
   */
  async until<T>(what: string, ask: () => T | undefined | false): Promise<T> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const answer = ask();
      if (answer !== undefined && answer !== false) return answer;
      if (Date.now() > deadline) fail(`it never came true that ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Ends every process and removes the directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.until("all processes of the test have ended", () => {
      // Again and again: one may have forked since we looked.
      const pids = this.processes();
      for (const pid of pids) killIfThere(pid);
      return pids.length === 0;
    });
    await Promise.all(this.#ends);
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** What a promise gives; `undefined` if that takes too long. */
async function inTime<T>(promise: Promise<T>): Promise<T | undefined> {
  const { promise: over, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), RUN_PATIENCE_MS);
  try {
    return await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
  }
}

function killIfThere(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
