/**
 * The script by which a command is launched: all that a daemon does between its
 * fork and its exec, as system calls.
 *
 * The child shares the memory of its parent, which is suspended until the child
 * is the command or has ended. So nothing may run in the child but this script:
 * no JavaScript, and no handler of a signal.
 *
 * @module
 */
import {
  addressOf,
  type CallScript,
  type Cell,
  type Place,
} from "../ffi/call_script.ts";
import { F_SETFL, O_CLOEXEC } from "../ffi/descriptor.ts";
import { F_DUPFD } from "../ffi/duplicate.ts";
import {
  AT_FDCWD,
  O_APPEND,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDWR,
  O_WRONLY,
} from "../ffi/file.ts";
import { RLIMIT_CORE } from "../ffi/limit.ts";
import { F_SETLK, F_WRLCK } from "../ffi/lock.ts";
import {
  KERNEL_SIGSET_SIZE,
  SIG_DFL,
  SIG_IGN,
  SIG_SETMASK,
} from "../ffi/signal.ts";
import { VFORK } from "../ffi/system_calls.ts";
import { ScriptWriter } from "./launch_steps.ts";
import { PIDFILE_FD } from "./locked_file.ts";
import type { Command } from "./monitor_state.ts";

/** Room for a pid and a line feed, twice as long as the longest. */
const TEXT_SIZE = 16;
/** A word of line feeds. */
export const LINE_FEEDS = 0x0a0a_0a0a_0a0a_0a0an;
/** `struct rlimit`. */
const RLIMIT_SIZE = 16;

/** The kernel wants a return from every handler, used or not. */
const SA_RESTORER = 0x04000000n;
/** Masks of no signal and of all. */
const NONE = 0n;
const ALL = -1n;

/** What signals are to do in the child. */
export interface Effects {
  /** Those that are ignored. */
  readonly ignored: readonly number[];
  /** Those that have their default effect. */
  readonly defaults: readonly number[];
  /** Those that end the child, with their number as its exit status. */
  readonly exits: readonly number[];
  /** The address of `_exit()`. */
  readonly exit: bigint;
}

/** What the child writes to. */
export interface LaunchOutput {
  /** The descriptors that it is to be. */
  readonly fds: readonly number[];
  /** The file; without it the descriptor itself is what it writes to. */
  readonly file: Uint8Array | undefined;
  /** The file as it may be opened again, or that descriptor. */
  readonly fd: number;
}

/** The words by which a launch is told what to do, and tells what it did. */
export interface LaunchCells {
  /** Not 0: the child says that it is there, and ends. */
  readonly rehearsal: Cell;
  /** Not 0: no core dumps. */
  readonly noCore: Cell;
  /** The address of the environment. */
  readonly environ: Cell;
  /** The pidfile's text, {@linkcode LINE_FEEDS} before each launch. */
  readonly text: readonly [Cell, Cell];
  /** The child; below 0 without one. */
  readonly pid: Cell;
  /** The same, as the child has it. */
  readonly self: Cell;
  /** 0 from the moment on that the child was about to be the command. */
  readonly unblocked: Cell;
  /** Below 0 when the command could not be executed. */
  readonly exec: Cell;
}

/** The script while it is written, and what several of its parts need. */
class LaunchWriter extends ScriptWriter {
  readonly cells: LaunchCells = {
    rehearsal: this.cell(),
    noCore: this.cell(),
    environ: this.cell(),
    text: [this.cell(), this.cell()],
    pid: this.cell(-1),
    self: this.cell(),
    unblocked: this.cell(),
    exec: this.cell(),
  };
  /** The parent. */
  readonly launcher: Cell = this.cell();
  /** The pidfile, as it was when the launch was rehearsed. */
  readonly seen: Place = this.stat();
  /** The files that take output, as they were then. */
  readonly seenOutputs: readonly Place[];

  constructor(outputs: readonly LaunchOutput[]) {
    super();
    this.seenOutputs = outputs.map(() => this.stat());
  }
}

/**
 * Writes the script.
 *
 * @param command What the child becomes.
 * @param pidfile Its pidfile, an absolute path.
 * @param outputs What it writes to, where that is not what we write to. Files
 * are open until the launch was rehearsed.
 * @param effects What signals are to do in it.
 * @param leadsGroup Whether it has a process group of its own.
 * @returns The script, and its words.
 * @throws {TypeError} When a string holds a NUL.
 */
export function launchScript(
  command: Command,
  pidfile: string | undefined,
  outputs: readonly LaunchOutput[],
  effects: Effects,
  leadsGroup: boolean,
): { script: CallScript; cells: LaunchCells } {
  const writer = new LaunchWriter(outputs);
  const name = pidfile === undefined ? undefined : writer.string(pidfile);
  clone(writer, name, outputs);
  limitCore(writer);
  if (leadsGroup) writer.must("decline", "setpgid", [0, 0]);
  takeOutputs(writer, outputs);
  if (name === undefined) {
    become(writer, command, effects, "decline");
  } else {
    takePidfile(writer, name);
    become(writer, command, effects, "withdraw");
    withdraw(writer, name);
  }
  writer.end("decline");
  return { script: writer.script, cells: writer.cells };
}

/**
 * Makes the child; in the parent this is all. No signal has an effect in either
 * until it has a mask of its own again: a handler would run on the stack that
 * they share.
 */
function clone(
  writer: LaunchWriter,
  name: Place | undefined,
  outputs: readonly LaunchOutput[],
): void {
  const { pid, self, rehearsal } = writer.cells;
  writer.skipUnless(rehearsal, "block");
  if (name !== undefined) writer.lookAt("rehearsed", name, writer.seen);
  outputs.forEach(({ file, fd }, i) => {
    if (file === undefined) return;
    writer.look("rehearsed", fd, writer.seenOutputs[i]!);
  });
  writer.label("block");
  const [all, old] = [writer.words(ALL), writer.words(NONE)];
  writer.add("rt_sigprocmask", [SIG_SETMASK, all, old, KERNEL_SIGSET_SIZE]);
  writer.add("getpid", [], { result: writer.launcher });
  writer.add("clone", [VFORK], { result: pid, zero: "child" });
  writer.add("rt_sigprocmask", [SIG_SETMASK, old, 0, KERNEL_SIGSET_SIZE]);
  writer.label("rehearsed");
  writer.add("return");
  writer.label("child");
  writer.add("getpid", [], { result: self });
  writer.skipUnless(rehearsal, "core");
  writer.end("rehearse");
}

/**
 * Forbids core dumps, as `disableCoreDumps()` does. The soft limit is the first
 * word of `struct rlimit`, and there goes the result, 0, of the call that has
 * filled it in.
 */
function limitCore(writer: LaunchWriter): void {
  const limit = writer.room(RLIMIT_SIZE);
  const result = { cell: limit.place };
  writer.label("core");
  writer.skipUnless(writer.cells.noCore, "start");
  writer.must("decline", "prlimit64", [0, RLIMIT_CORE, 0, limit], { result });
  writer.must("decline", "prlimit64", [0, RLIMIT_CORE, limit, 0]);
  writer.label("start");
}

/**
 * Puts what the child writes to in place of its descriptors. A file has to be
 * the very one that was found good when the launch was prepared: whoever has
 * moved it away, or put another there, has the ordinary way make a new one, or
 * refuse it.
 */
function takeOutputs(
  writer: LaunchWriter,
  outputs: readonly LaunchOutput[],
): void {
  // Not blocking: what has the name by now may be a FIFO that nobody reads.
  const flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
    O_CLOEXEC;
  outputs.forEach(({ file, fds, fd }, i) => {
    let source: Cell | number = fd;
    if (file !== undefined) {
      const opened = writer.stat();
      source = writer.cell();
      const name = writer.string(file);
      writer.must("decline", "openat", [AT_FDCWD, name, flags], {
        result: source,
      });
      writer.look("decline", source, opened);
      writer.mustBeSame("decline", opened, writer.seenOutputs[i]!);
      writer.must("decline", "fcntl", [source, F_SETFL, O_APPEND]);
    }
    // The source is closed on exec.
    for (const to of fds) writer.must("decline", "dup3", [source, to, 0]);
  });
}

/**
 * Takes over the pidfile of the last daemon, the very file that was seen when
 * the launch was prepared.
 *
 * It is locked, so no other process can: not one that starts, which has to find
 * it unlocked, nor one that removes stale files, which has to lock it first. Who
 * had it locked before us makes this fail; who locks it after us cannot. While it
 * is locked and still has the old number, others see a file that is about to be
 * removed, and look again.
 */
function takePidfile(writer: LaunchWriter, name: Place): void {
  const { cells: { self }, seen } = writer;
  const [low, fd] = [writer.cell(), writer.cell()];
  const length = writer.cell();
  const padded = writer.cell(TEXT_SIZE);
  const written = writer.cell();
  const flock = writer.words(BigInt(F_WRLCK), 0n, 0n, 0n); // all of the file
  const opened = writer.stat();
  const flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  writer.must("decline", "openat", [AT_FDCWD, name, flags], { result: low });
  writer.look("decline", low, opened);
  writer.mustBeSame("decline", opened, seen);
  // For the command to inherit, out of the way of what it opens itself. Before
  // the lock: closing the low one afterwards would give it up.
  const dup = [low, F_DUPFD, PIDFILE_FD];
  writer.must("decline", "fcntl", dup, { result: fd });
  writer.add("close", [low]);
  writer.must("decline", "fcntl", [fd, F_SETLK, flock]);
  // Somebody may have removed it before we had the lock.
  writer.mustName("decline", name, seen);
  // Line feeds first, as many as may be needed: of what is written behind the
  // end of a file, others may see a part.
  const pad = [fd, writer.words(LINE_FEEDS, LINE_FEEDS), TEXT_SIZE];
  const end = writer.lengthOf(opened);
  writer.must("decline", "pwrite64", [...pad, end]);
  // Line feeds go over what a longer number would leave for a moment: to a
  // shell, a second pid.
  const text = addressOf(writer.cells.text[0]);
  writer.add("decimal", [self, text], { result: length });
  writer.must("decline", "write", [fd, text, padded], { result: written });
  writer.mustEqual("withdraw", addressOf(padded), addressOf(written));
  writer.must("withdraw", "ftruncate", [fd, length]);
}

/**
 * Becomes the command.
 *
 * @param failed Where to go on when that cannot be.
 */
function become(
  writer: LaunchWriter,
  { path, argv }: Command,
  { ignored, defaults, exits, exit }: Effects,
  failed: string,
): void {
  const { unblocked, exec, environ } = writer.cells;
  const parent = writer.cell();
  const setAction = (handler: bigint, signals: readonly number[]) => {
    const action = writer.words(handler, SA_RESTORER, exit, ALL);
    for (const signal of signals) {
      const operands = [signal, action, 0, KERNEL_SIGSET_SIZE];
      writer.must(failed, "rt_sigaction", operands);
    }
  };
  setAction(SIG_DFL, defaults);
  setAction(SIG_IGN, ignored);
  setAction(exit, exits);
  // Killed before this, whoever would look after the command has failed in the
  // eyes of its caller: nothing may run then.
  writer.add("getppid", [], { result: parent });
  writer.mustEqual(failed, addressOf(parent), addressOf(writer.launcher));
  // Of a signal that has come we die here, as the command would.
  const none = [SIG_SETMASK, writer.words(NONE), 0, KERNEL_SIGSET_SIZE];
  writer.must(failed, "rt_sigprocmask", none, { result: unblocked });
  const args = writer.script.pointers(argv.map((arg) => writer.string(arg)));
  writer.must(failed, "execve", [writer.string(path), args, environ], {
    result: exec,
    then: failed,
  });
}

/** Removes our pidfile, which is locked, if the name is still its. */
function withdraw(writer: LaunchWriter, name: Place): void {
  writer.label("withdraw");
  writer.mustName("decline", name, writer.seen);
  writer.must("decline", "unlinkat", [AT_FDCWD, name, 0], { then: "decline" });
}
