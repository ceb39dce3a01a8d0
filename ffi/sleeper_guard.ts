/**
 * What a sleeper does for a program that must not be started while its daemon
 * runs, as a program may end at once then: the port that it looks at is taken.
 *
 * Signals are passed on to the daemon without waking up. When the daemon has
 * ended, the program is tried first, in a process of its own: only when it gets
 * as far as to say so does it take the sleeper's place. Else the sleeper shows
 * that, and tries again later.
 *
 * @module
 */
import { addressOf, type CallScript, type Cell } from "./call_script.ts";
import type { CString } from "./c_string.ts";
import { Errno } from "./libc.ts";
import { P_PID, SIGINFO, WEXITED, WNOHANG, WNOWAIT } from "./process.ts";
import {
  KERNEL_SIGSET_SIZE,
  SI_KERNEL,
  SIG_SETMASK,
  Signal,
  SIGNALFD_SIGINFO,
  sigset,
} from "./signal.ts";
import { VFORK } from "./system_calls.ts";

/** A daemon, and a program that must not be started while it runs. */
export interface Guard {
  /** The daemon, a child; `undefined` when it has ended. */
  readonly pid: number | undefined;
  /** Where signals for both are read: all that is watched while it runs. */
  readonly signalFd: number;
  /** The signals after which the program finds another environment. */
  readonly stopSignals: readonly number[];
  /** That environment. */
  readonly stoppedEnv: readonly CString[];
  /** The environment in which the program says that it gets so far. */
  readonly trialEnv: readonly CString[];
  /** The exit status by which it says so. */
  readonly trialStatus: number;
  /** What the sleeper shows as its arguments when it does not. */
  readonly trouble: readonly CString[];
  /** The environment of the sleeper itself. */
  readonly ownEnv: readonly CString[];
}

const CLD_EXITED = 1;
const ITIMER_REAL = 0;
/** After so long a program that is tried has failed. */
const TRIAL_SECONDS = 60n;
/** How long to wait before it is tried again. */
const RETRY_SECONDS = 10n;

/** Writes the steps for one guard. */
export class GuardWriter {
  readonly #script: CallScript;
  readonly #guard: Guard;
  readonly #received: number;
  readonly #info: number;

  /**
   * @param script The script.
   * @param guard What is guarded.
   */
  constructor(script: CallScript, guard: Guard) {
    this.#script = script;
    this.#guard = guard;
    const { size } = SIGNALFD_SIGINFO;
    this.#received = script.bytes(new Uint8Array(size)).place;
    this.#info = script.bytes(new Uint8Array(SIGINFO.size)).place;
  }

  /**
   * Adds what is done when something has come, after `PREFIXread`; begins with
   * `PREFIXpeek`, which looks whether the daemon has ended.
   *
   * All signals come first: whoever sends SIGTERM and kills the daemon next must
   * not get a new one.
   *
   * @param pid The daemon.
   * @param prefix Stands before its labels.
   * @param stopped Where it goes on after a signal that asks for the end.
   * @param sleep Adds the steps that wait, and go on to `PREFIXread`.
   */
  pass(pid: number, prefix: string, stopped: string, sleep: () => void): void {
    const script = this.#script;
    const { signalFd, stopSignals } = this.#guard;
    const at = (label: string) => prefix + label;
    const info = { place: this.#info };
    const received = { place: this.#received };
    const number = { cell: this.#received };
    const [theirs, ours] = [script.cell(), script.cell()];
    const isWord = (label: string, place: number, word: number) =>
      [at(label), "differ", [
        { place },
        addressOf(script.cell(word)),
      ]] as const;

    script.step(at("peek"), "waitid", [
      P_PID,
      pid,
      info,
      WEXITED | WNOHANG | WNOWAIT,
      0,
    ], { failed: at("here") });
    // Its first field is the signal, 0 where none has come.
    script.step(...isWord("ended", this.#info, 0), {
      zero: at("sleep"),
      positive: at("here"),
    });
    sleep();
    const size = SIGNALFD_SIGINFO.size;
    script.step(at("read"), "read", [signalFd, received, size], {
      failed: at("peek"),
      zero: at("peek"),
    });
    script.step(...isWord("child of ours", this.#received, Signal.SIGCHLD), {
      zero: at("read"),
    });
    // The terminal has sent it to the whole process group.
    const code = this.#received + SIGNALFD_SIGINFO.code;
    script.step(...isWord("terminal", code, SI_KERNEL), {
      positive: at("pass"),
    });
    script.step(at("its group"), "getpgid", [pid], { result: theirs });
    script.step(at("our group"), "getpgid", [0], { result: ours });
    const groups = [addressOf(theirs), addressOf(ours)];
    script.step(at("shared"), "differ", groups, {
      zero: at("passed"),
      positive: at("pass"),
    });
    script.step(at("pass"), "kill", [pid, number]);
    stopSignals.forEach((signal, i) => {
      const label = i === 0 ? "passed" : `stop ${signal}`;
      const isLast = i === stopSignals.length - 1;
      script.step(...isWord(label, this.#received, signal), {
        zero: stopped,
        ...isLast ? { positive: at("read") } : {},
      });
    });
  }

  /**
   * Adds a trial of the program, which begins with `PREFIXtry`, and goes on to
   * `PREFIXwake` when that has come well.
   *
   * @param prefix Stands before its labels.
   * @param isFinal Whether there is nothing to try again for.
   * @param late Makes words that hold addresses of what is not needed for
   * waiting.
   * @param execute Adds steps that execute the program.
   */
  try(
    prefix: string,
    isFinal: boolean,
    late: (strings: readonly CString[] | CString) => Cell,
    execute: (labels: readonly [string, string], env: Cell) => void,
  ): void {
    const script = this.#script;
    const { trialEnv, trialStatus, stopSignals } = this.#guard;
    const at = (label: string) => prefix + label;
    const pid = script.cell();
    const status = script.cell();
    const result = script.cell();
    const words = (...list: bigint[]) =>
      script.bytes(new Uint8Array(BigInt64Array.from(list).buffer));
    const mask = (signals: readonly number[]) =>
      script.bytes(sigset(signals).subarray(0, KERNEL_SIGSET_SIZE));
    const failed = isFinal ? at("finish") : at("again");

    script.step(at("try"), "clone", [VFORK], {
      result: pid,
      failed,
      zero: at("child"),
    });
    script.step(at("await"), "wait4", [pid, addressOf(status), 0, 0], {
      failed,
      zero: failed,
    });
    const wanted = script.cell(trialStatus << 8);
    const statuses = [addressOf(status), addressOf(wanted)];
    script.step(at("verdict"), "differ", statuses, {
      zero: at("wake"),
      positive: failed,
    });
    // The timer goes on in the program, and ends one that hangs.
    const none = [SIG_SETMASK, mask([]), 0, KERNEL_SIGSET_SIZE];
    script.step(at("child"), "rt_sigprocmask", none);
    const limit = words(0n, 0n, TRIAL_SECONDS, 0n);
    script.step(at("limit"), "setitimer", [ITIMER_REAL, limit, 0]);
    execute([at("tried"), at("tried kept")], late(trialEnv));
    script.step(at("not there"), "exit_group", [127]);
    if (isFinal) {
      this.#finish(prefix);
      return;
    }
    const wait = [mask(stopSignals), 0, words(RETRY_SECONDS, 0n)];
    script.step(at("again"), "rt_sigtimedwait", [
      ...wait,
      KERNEL_SIGSET_SIZE,
    ], { result, positive: at("give up") });
    const timeout = script.cell(-Errno.EAGAIN);
    script.step(at("over"), "differ", [addressOf(result), addressOf(timeout)], {
      positive: at("again"),
    });
    // As another image of our own, with other arguments: it looks anew.
    const { trouble, ownEnv } = this.#guard;
    script.step(at("show"), "execve", [
      late("/proc/self/exe"),
      late(trouble),
      late(ownEnv),
    ], { failed: at("try"), zero: at("try"), positive: at("try") });
    script.step(at("give up"), "exit_group", [1]);
  }

  /** The daemon has ended, as it was told: nothing is left to do but to end. */
  #finish(prefix: string): void {
    const script = this.#script;
    const exited = script.cell(CLD_EXITED);
    const code = { place: this.#info + SIGINFO.code };
    script.step(`${prefix}finish`, "differ", [code, addressOf(exited)], {
      positive: `${prefix}killed`,
    });
    script.step(`${prefix}exited`, "exit_group", [
      { cell: this.#info + SIGINFO.status },
    ]);
    script.step(`${prefix}killed`, "exit_group", [128 + Signal.SIGTERM]);
  }
}
