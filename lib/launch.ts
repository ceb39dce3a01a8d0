/**
 * Launching a command as a daemon once more, in one go, where nothing is in the
 * way.
 *
 * A daemon that is forked to become a command runs JavaScript that no process
 * before it has run, and that takes longer than all its system calls. Here those
 * are one script, for a child that shares our memory; we are suspended until it
 * is the command or has ended, and then know which. The script handles what is
 * ordinary. For the rest it takes back what it has done, and the caller forks.
 *
 * A command with surroundings of its own is never launched. A child that was
 * another user's would have our memory, root's, and that user could stop it and
 * so us.
 *
 * @module
 */
import { hasEnded, hasExeced, waitpid } from "../ffi/child.ts";
import { close } from "../ffi/descriptor.ts";
import { environ } from "../ffi/environment.ts";
import { LibcError, symbol } from "../ffi/libc.ts";
import { type ReadyScript, readyScript } from "../ffi/run_script.ts";
import { alteredSignals, Signal } from "../ffi/signal.ts";
import type { WaitStatus } from "../ffi/wait_status.ts";
import {
  type Effects,
  type LaunchCells,
  type LaunchOutput,
  launchScript,
  LINE_FEEDS,
} from "./launch_script.ts";
import { openForAppending } from "./append_file.ts";
import { CHANGED_SIGNALS, type Command } from "./monitor_state.ts";
import { fdsOf } from "./output_file.ts";
import { isOurs, removeLeftovers } from "./pidfile.ts";

/** How a launch came out. */
export type Launched =
  /** The child is the command, or was: its end is still to be waited for. */
  | { readonly kind: "ready"; readonly pid: number }
  /**
   * A signal ended it before that, and it was waited for. What it has left of
   * its pidfile is for `removeLeftovers()`, or for the next start.
   */
  | {
    readonly kind: "ended";
    readonly pid: number;
    readonly status: WaitStatus;
  }
  /** There is no child, and nothing of it: the caller has to fork one. */
  | { readonly kind: "declined" };

/**
 * Signals that dump core. Older kernels (before 5.16) then kill every process
 * that shares the dumped memory: us.
 */
const CORE_SIGNALS: readonly number[] = [
  Signal.SIGQUIT,
  Signal.SIGILL,
  5, // SIGTRAP
  Signal.SIGABRT,
  Signal.SIGBUS,
  Signal.SIGFPE,
  Signal.SIGSEGV,
  Signal.SIGXCPU,
  Signal.SIGXFSZ,
  31, // SIGSYS
];

/** Signals that stop: SIGTSTP, SIGTTIN, SIGTTOU. */
const JOB_SIGNALS: readonly number[] = [20, 21, 22];

/** Launches a command, as often as it is wanted. */
export class Launcher {
  readonly #pidfile: string | undefined;
  /** `undefined` where nothing can be launched. */
  readonly #launch: ReadyLaunch | undefined;

  /**
   * Prepares everything and rehearses it, with a child that ends at once: for
   * the caller to do when there is time.
   *
   * @param command The command; its signals that are not `ignored` have their
   * default effect.
   * @param pidfile The absolute path of its pidfile, if it has one: the very
   * file that is there now is taken over by each launch.
   * @param loggerFds What leads to the loggers of its files, if it has such.
   * @param leadsGroup Whether it has a process group of its own.
   * @throws {TypeError} When a string holds a NUL.
   */
  constructor(
    command: Command,
    pidfile: string | undefined,
    loggerFds: readonly number[] = [],
    leadsGroup = false,
  ) {
    this.#pidfile = pidfile;
    try {
      this.#launch = prepare(command, pidfile, loggerFds, leadsGroup);
    } catch (error) {
      // Without /proc, or where no machine code may be made; or a file is not
      // there any more, and the ordinary way is to make it.
      if (!(error instanceof LibcError)) throw error;
    }
  }

  /**
   * Launches the command. Returns when it is executed, or will not be.
   *
   * SIGCHLD must not be ignored. All other threads of this process go on
   * meanwhile; they may not change the environment. SIGSTOP to the child holds
   * us up until SIGCONT: nothing can be done about it.
   *
   * @param coreDumped Whether a daemon before this one has dumped core: then
   * this one does not.
   * @returns How it came out. Where the command fails to execute, that is for
   * the ordinary way to find again, and to report.
   */
  launch(coreDumped: boolean): Launched {
    if (this.#launch === undefined) return { kind: "declined" };
    const { script, cells } = this.#launch;
    script.set(cells.noCore, coreDumped ? 1n : 0n);
    script.set(cells.environ, Deno.UnsafePointer.value(environ()));
    script.set(cells.unblocked, 1n);
    script.set(cells.exec, 0n);
    for (const word of cells.text) script.set(word, LINE_FEEDS);
    script.run();
    const pid = Number(script.get(cells.pid));
    if (pid < 0) return { kind: "declined" };
    const executed = script.get(cells.unblocked) === 0n &&
      script.get(cells.exec) === 0n;
    return executed && becameCommand(pid)
      ? { kind: "ready", pid }
      : this.#ended(pid);
  }

  /** Waits for a child that has not become the command. */
  #ended(pid: number): Launched {
    const status = waitpid(pid);
    if (status.kind !== "exited") return { kind: "ended", pid, status };
    const { code: signal } = status;
    if (signal === 0) return { kind: "declined" };
    if (!JOB_SIGNALS.includes(signal)) {
      const died = { kind: "signaled", signal, coreDumped: false } as const;
      return { kind: "ended", pid, status: died };
    }
    // It would have been stopped; a child that is forked can be.
    if (this.#pidfile !== undefined) removeLeftovers(this.#pidfile);
    return { kind: "declined" };
  }
}

interface ReadyLaunch {
  readonly script: ReadyScript;
  readonly cells: LaunchCells;
}

function prepare(
  command: Command,
  pidfile: string | undefined,
  loggerFds: readonly number[],
  leadsGroup: boolean,
): ReadyLaunch | undefined {
  if (pidfile !== undefined && !isOurs(pidfile)) return undefined;
  const outputs: LaunchOutput[] = [];
  try {
    command.outputs?.files.forEach((output, i) => {
      const fds = fdsOf(output);
      const fd = loggerFds[i];
      outputs.push(
        fd === undefined
          ? { fds, file: output.file, fd: openForAppending(output.file, 0) }
          : { fds, file: undefined, fd },
      );
    });
    return rehearse(command, pidfile, outputs, leadsGroup);
  } finally {
    for (const { file, fd } of outputs) if (file !== undefined) close(fd);
  }
}

function rehearse(
  command: Command,
  pidfile: string | undefined,
  outputs: readonly LaunchOutput[],
  leadsGroup: boolean,
): ReadyLaunch | undefined {
  const effects = childEffects(command.ignored);
  const { script: written, cells } = launchScript(
    command,
    pidfile,
    outputs,
    effects,
    leadsGroup,
  );
  const script = readyScript(written);
  script.set(cells.rehearsal, 1n);
  script.run();
  script.set(cells.rehearsal, 0n);
  const pid = script.get(cells.pid);
  if (pid <= 0n) return undefined;
  waitpid(Number(pid));
  // Emulators are known that give the child memory of its own. We would not
  // hear of anything then.
  return script.get(cells.self) === pid ? { script, cells } : undefined;
}

/**
 * What signals are to do in the child, from when they are no longer held back
 * until the command is executed. Handlers go by the exec: all signals that have
 * one get their default effect.
 *
 * What runs for a signal until then runs in our memory. Our own handlers must
 * not. Nor must a core dump begin, for the sake of older kernels; nor may the
 * child stop, for we would wait for it. Both kinds get `_exit()` for a handler:
 * it touches no memory, and takes the signal for an exit status.
 */
function childEffects(ignoredByCaller: readonly number[]): Effects {
  const { caught, ignored } = alteredSignals();
  const exits = [...CORE_SIGNALS, ...JOB_SIGNALS]
    .filter((signal) => !ignored.includes(signal));
  return {
    ignored: CHANGED_SIGNALS.filter((signal) =>
      ignoredByCaller.includes(signal)
    ),
    defaults: [
      ...CHANGED_SIGNALS.filter((signal) => !ignoredByCaller.includes(signal)),
      ...caught.filter((signal) =>
        !exits.includes(signal) && !CHANGED_SIGNALS.includes(signal)
      ),
    ],
    exits,
    exit: Deno.UnsafePointer.value(symbol("_exit")),
  };
}

/**
 * Asks whether a child that was about to execute the command has done so. The
 * only other thing that can have happened is its end by a signal, right before.
 *
 * We run again when the exec takes the memory from it that we share, which is a
 * moment before the kernel notes the exec. So a child that is neither noted nor
 * a zombie is asked for again.
 */
function becameCommand(pid: number): boolean {
  for (;;) {
    // In this order: what was not noted of a zombie never will be.
    const ended = hasEnded(pid);
    if (hasExeced(pid)) return true;
    if (ended) return false;
  }
}
