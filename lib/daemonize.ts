/**
 * A Deno program that becomes a daemon itself.
 *
 * @module
 */
import { DAEMON_OPTIONS, parseSleepAfter } from "./daemon_options.ts";
import {
  daemonizeComplete as complete,
  daemonizeStart as start,
} from "./daemon.ts";
import type { DaemonPlan } from "./daemon_plan.ts";
import { handleEnds } from "./ends.ts";
import { exit } from "./fatal_signal.ts";
import { takeOptions, UsageError } from "./options.ts";
import { makePidfileName, makeRundirFor } from "./pidfile.ts";
import { DEFAULT_THROTTLE } from "./restart_throttle.ts";
import { programName, setProgramName } from "./program_name.ts";
import { type Vlog, vlogModule } from "./vlog.ts";
import { writeConsole } from "./vlog_sinks.ts";
import { refuseWorker } from "./worker.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** What kind of daemon a program becomes. All is off by default. */
export interface DaemonOptions {
  /** Whether it runs in the background, in a session of its own. */
  readonly detach?: boolean;
  /** Whether its working directory becomes `/` when it detaches; it does by default. */
  readonly chdir?: boolean;
  /** The name of its pidfile, or `true` for `NAME.pid` in the run directory. */
  readonly pidfile?: string | true;
  /** Whether a pidfile that another process holds is replaced. */
  readonly overwritePidfile?: boolean;
  /** Whether a monitor restarts it when it crashes. */
  readonly monitor?: boolean;
  /** The name under which it speaks; that of its file by default. */
  readonly programName?: string;
  /**
   * After how long without any event the monitor sleeps, `90s`, `2m` or `500ms`;
   * 1 s by default. It wakes up when the daemon has ended, as the program, started
   * again from the top: `"never"` is for one that needs what it did before
   * `daemonizeStart()`, and cannot do that again.
   */
  readonly sleepAfter?: string;
}

/** How far this process has come. */
let progress: "not started" | "started" | "complete" = "not started";
let plan: DaemonPlan | undefined;
let notifyFd = -1;

/**
 * Takes the options of daemons out of a command line: `--detach`,
 * `--no-chdir`, `--pidfile[=FILE]`, `--overwrite-pidfile`, `--monitor`. Ends the
 * process with status 2 and a message when one has a value that it does not
 * take, or lacks one.
 *
 * @param args The command line; all words from `--` on are left alone.
 * @returns The options, for {@linkcode daemonizeStart}, and all other words.
 * @example
 * ```ts
 * import { parseDaemonOptions } from "@tend/daemon";
 *
 * const { options, rest } = parseDaemonOptions(["--detach", "--port=80"]);
 * options.detach; // true
 * rest; // ["--port=80"]
 * ```
 */
export function parseDaemonOptions(
  args: readonly string[],
): { options: DaemonOptions; rest: string[] } {
  try {
    const { given, rest } = takeOptions(DAEMON_OPTIONS, args);
    const has = (name: string) => given.some((option) => option.name === name);
    const pidfile = given.findLast(({ name }) => name === "pidfile");
    const sleepAfter = given.findLast(({ name }) => name === "sleep-after")
      ?.value;
    parseSleepAfter(sleepAfter);
    if (pidfile?.value === "") {
      throw new UsageError("option --pidfile has an empty value");
    }
    const options: DaemonOptions = {
      detach: has("detach"),
      chdir: !has("no-chdir"),
      ...(pidfile === undefined ? {} : { pidfile: pidfile.value ?? true }),
      overwritePidfile: has("overwrite-pidfile"),
      monitor: has("monitor"),
      ...(sleepAfter === undefined ? {} : { sleepAfter }),
    };
    return { options, rest };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    writeConsole(`${programName()}: ${error.message}\n`);
    exit(2);
  }
}

/**
 * Becomes a daemon: returns in the daemon, while the caller's process waits
 * until {@linkcode daemonizeComplete} and ends by itself, with status 0 then or
 * with the daemon's own when that ends before. Port of `daemonize_start()` in
 * daemon-unix.c.
 *
 * A process of one thread, as `deno compile --v8-flags=--single-threaded` makes
 * them, forks. Any other starts its program again, from the top, and this
 * returns in the new process: so what comes before should be parsing and
 * checking, not work.
 *
 * What fails is said on stderr and ends the process with status 1, as when the
 * daemon of the pidfile runs already.
 *
 * @param options What kind of daemon it becomes.
 * @throws {Error} When it is called twice, or from a Worker.
 * @throws {TypeError} When an option has a value that is none of its own.
 * @example
 * ```ts
 * import {
 *   daemonizeComplete,
 *   daemonizeStart,
 *   parseDaemonOptions,
 * } from "@tend/daemon";
 *
 * const { options } = parseDaemonOptions(Deno.args);
 * daemonizeStart(options);
 * Deno.serve({ port: 8000 }, () => new Response("Hello"));
 * daemonizeComplete();
 * ```
 */
export function daemonizeStart(options: DaemonOptions = {}): void {
  refuseWorker("daemonizeStart: a Worker cannot become a daemon");
  checkOptions(options);
  if (progress !== "not started") {
    throw new Error("daemonizeStart: called already");
  }
  if (options.programName !== undefined) setProgramName(options.programName);
  progress = "started";
  try {
    plan = toPlan(options);
    const { pidfile } = options;
    if (pidfile !== undefined) {
      makeRundirFor(pidfile === true ? undefined : pidfile);
    }
    ({ notifyFd } = start(plan, handleEnds));
    discardRandomNumbers();
  } catch (error) {
    // A reason that the caller can do something about, not one of ours.
    if (error instanceof Error) vlog.fatal(error.message);
    throw error;
  }
}

/** How many bytes Deno's generator makes at once. */
const GENERATED_BYTES = 256;

/**
 * A fork has what its parent's generator had made ahead, and so has the next
 * one: two daemons would give out the same `crypto.randomUUID()`. When that is
 * used up the generator notices the fork, and begins anew.
 */
function discardRandomNumbers(): void {
  crypto.getRandomValues(new Uint8Array(2 * GENERATED_BYTES));
}

/** What is no value of an option is its program's mistake. */
function checkOptions(options: DaemonOptions): void {
  const isBoolean = (value: unknown) => typeof value === "boolean";
  const isString = (value: unknown) => typeof value === "string";
  const kinds: Record<keyof DaemonOptions, (value: unknown) => boolean> = {
    detach: isBoolean,
    chdir: isBoolean,
    pidfile: (value) => value === true || (isString(value) && value !== ""),
    overwritePidfile: isBoolean,
    monitor: isBoolean,
    programName: isString,
    sleepAfter: isString,
  };
  for (const [name, isOne] of Object.entries(kinds)) {
    const value: unknown = options[name as keyof DaemonOptions];
    if (value === undefined || isOne(value)) continue;
    throw new TypeError(`${name}: ${JSON.stringify(value)} is no value of it`);
  }
}

function toPlan(options: DaemonOptions): DaemonPlan {
  const { pidfile } = options;
  return {
    name: programName(),
    detach: options.detach ?? false,
    chdir: options.chdir ?? true,
    monitorLeaves: false,
    pidfile: pidfile === undefined
      ? undefined
      : makePidfileName(pidfile === true ? undefined : pidfile),
    overwritePidfile: options.overwritePidfile ?? false,
    ready: undefined,
    watchdog: undefined,
    managerSocket: undefined,
    supervise: options.monitor ? "on-crash" : undefined,
    throttle: DEFAULT_THROTTLE,
    onCrash: undefined,
    killMode: "process",
    stopSignal: undefined,
    stopTimeout: undefined,
    sleepAfter: parseSleepAfter(options.sleepAfter),
    keepFds: [],
    command: undefined,
  };
}

/**
 * Says that the daemon has started: it lets go of the caller's directory and
 * standard descriptors, and the caller's prompt returns. Calling it again has
 * no effect. Port of `daemonize_complete()` in daemon-unix.c.
 *
 * @throws {Error} When {@linkcode daemonizeStart} was not called before, or it
 * is called from a Worker.
 * @example
 * ```ts
 * import { daemonizeComplete, daemonizeStart } from "@tend/daemon";
 *
 * daemonizeStart({ detach: true });
 * const listener = Deno.listen({ port: 8000 });
 * daemonizeComplete();
 * ```
 */
export function daemonizeComplete(): void {
  refuseWorker("daemonizeComplete: to be called where daemonizeStart was");
  if (plan === undefined) {
    throw new Error("daemonizeComplete: daemonizeStart was not called");
  }
  if (progress === "complete") return;
  progress = "complete";
  complete(plan, notifyFd);
}

/**
 * Becomes a daemon that has nothing to do before it is ready. Port of
 * `daemonize()` in daemon.c.
 *
 * @param options What kind of daemon it becomes.
 * @throws {Error} As {@linkcode daemonizeStart}.
 * @example
 * ```ts
 * import { daemonize } from "@tend/daemon";
 *
 * daemonize({ detach: true, pidfile: true });
 * ```
 */
export function daemonize(options: DaemonOptions = {}): void {
  daemonizeStart(options);
  daemonizeComplete();
}
