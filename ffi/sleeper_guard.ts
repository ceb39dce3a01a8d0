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
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from "./file.ts";
import { Errno } from "./libc.ts";
import { P_PID, SIGINFO, WEXITED, WNOHANG, WNOWAIT } from "./process.ts";
import {
  KERNEL_SIGSET_SIZE,
  SI_KERNEL,
  SI_QUEUE,
  SIG_SETMASK,
  Signal,
  SIGNALFD_SIGINFO,
  sigset,
} from "./signal.ts";
import { VFORK } from "./system_calls.ts";

/** What a program finds when its daemon was told to end. */
export interface Told {
  /** Its environment. */
  readonly env: readonly CString[];
  /** What is written at once, for others to read. */
  readonly record: Uint8Array;
}

/**
 * What has become of a daemon that runs: the steps for it stand once for each,
 * since a script has no other way to remember something.
 */
export const GUARD_MODES = ["", "restart ", "stop "] as const;
/** One of these; it stands before the labels of its steps. */
export type GuardMode = typeof GUARD_MODES[number];

/** A daemon, and a program that must not be started while it runs. */
export interface Guard {
  /** The daemon, a child; `undefined` when it has ended. */
  readonly pid: number | undefined;
  /** What has become of it already. */
  readonly mode: GuardMode;
  /** Where signals for both are read: all that is watched while it runs. */
  readonly signalFd: number;
  /** The signals that ask for the end. */
  readonly stopSignals: readonly number[];
  /** What is asked for by queued signals, whose value is passed on instead. */
  readonly requests: { readonly stop: number; readonly restart: number };
  /** What the program finds after each. */
  readonly told: { readonly stop: Told; readonly restart: Told };
  /** Where their records are written; -1 for nowhere. */
  readonly recordFd: number;
  /** The file of that: it goes when all ends here, if the name is its still. */
  readonly recordPath: CString;
  /** The environment in which the program says that it gets so far. */
  readonly trialEnv: readonly CString[];
  /** The exit status by which it says so. */
  readonly trialStatus: number;
  /** What the sleeper shows as its arguments when it does not. */
  readonly trouble: readonly CString[];
  /** The environment of the sleeper itself. */
  readonly ownEnv: readonly CString[];
}

const KINDS = ["stop", "restart"] as const;
/** `struct stat`, as far as it is the same on x86-64 and aarch64. */
const STAT = { size: 144, dev: 0, ino: 8 } as const;
const CLD_EXITED = 1;
const ITIMER_REAL = 0;
/** After so long a program that is tried has failed. */
const TRIAL_SECONDS = 60n;
/** How long to wait before it is tried again. */
const RETRY_SECONDS = 10n;

/**
 * Makes a word that holds the address of bytes, of a string or of an array of
 * strings that are not needed for waiting.
 */
export type Late = (what: CString | readonly CString[]) => Cell;

/** Writes the steps for one guard. */
export class GuardWriter {
  readonly #script: CallScript;
  readonly #guard: Guard;
  readonly #late: Late;
  readonly #received: number;
  readonly #info: number;

  /**
   * @param script The script.
   * @param guard What is guarded.
   * @param late Makes words that hold addresses.
   */
  constructor(script: CallScript, guard: Guard, late: Late) {
    this.#script = script;
    this.#guard = guard;
    this.#late = late;
    const { size } = SIGNALFD_SIGINFO;
    this.#received = script.bytes(new Uint8Array(size)).place;
    this.#info = script.bytes(new Uint8Array(SIGINFO.size)).place;
  }

  /**
   * Adds what is done when something has come, after `MODEread`; begins with
   * `MODEpeek`, which looks whether the daemon has ended.
   *
   * All signals come first: whoever sends SIGTERM and kills the daemon next must
   * not get a new one.
   *
   * @param pid The daemon.
   * @param mode What has become of it.
   * @param sleep Adds the steps that wait, and go on to `MODEread`.
   */
  pass(pid: number, mode: GuardMode, sleep: () => void): void {
    const script = this.#script;
    const { signalFd, stopSignals, requests, recordFd } = this.#guard;
    const at = (label: string) => mode + label;
    const info = { place: this.#info };
    const received = { place: this.#received };
    const number = { cell: this.#received };
    const value = this.#received + SIGNALFD_SIGINFO.value;
    const [theirs, ours] = [script.cell(), script.cell()];
    const isWord = (label: string, place: number, word: number | bigint) =>
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
    script.step(...isWord("of a child", this.#received, Signal.SIGCHLD), {
      zero: at("read"),
    });
    // The end that was wanted first is for good.
    const heard = mode === "stop " ? ["stop"] as const : KINDS;
    for (const kind of KINDS) {
      const label = heard.some((one) => one === kind)
        ? `${kind} queued`
        : "read";
      script.step(...isWord(`${kind}?`, this.#received, requests[kind]), {
        zero: at(label),
        positive: at(kind === "stop" ? "restart?" : "terminal?"),
      });
    }

    // The terminal has sent it to the whole process group.
    const code = this.#received + SIGNALFD_SIGINFO.code;
    script.step(...isWord("terminal?", code, SI_KERNEL), {
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
      const label = i === 0 ? "passed" : `wants ${signal}`;
      const isLast = i === stopSignals.length - 1;
      script.step(...isWord(label, this.#received, signal), {
        zero: "stop told",
        ...isLast ? { positive: at("read") } : {},
      });
    });

    // Only what was queued has a value; one that is no signal is no request.
    const queued = BigInt(SI_QUEUE) << 32n;
    const errnoAndCode = code - 4;
    for (const kind of heard) {
      script.step(...isWord(`${kind} queued`, errnoAndCode, queued), {
        positive: at("read"),
      });
      script.step(...isWord(`${kind} empty`, value, 0), { zero: at("read") });
      script.step(at(`tell to ${kind}`), "kill", [pid, { cell: value }], {
        failed: at("read"),
        zero: `${kind} told`,
        positive: at("read"),
      });
    }
    if (mode === "") return;
    const { record } = this.#guard.told[mode === "stop " ? "stop" : "restart"];
    script.step(at("told"), "pwrite64", [
      recordFd,
      this.#late(record),
      record.length,
      0,
    ], { failed: at("read"), zero: at("read"), positive: at("read") });
  }

  /**
   * Adds a trial of the program, which begins with `MODEtry`, and goes on to
   * `MODEwake` when that has come well.
   *
   * @param mode What has become of the daemon. One that was told to end, and has,
   * leaves nothing to try again for.
   * @param execute Adds steps that execute the program.
   */
  try(
    mode: GuardMode,
    execute: (labels: readonly [string, string], env: Cell) => void,
  ): void {
    const script = this.#script;
    const { trialEnv, trialStatus, stopSignals } = this.#guard;
    const at = (label: string) => mode + label;
    const late = this.#late;
    const isFinal = mode === "stop ";
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
      this.#finish(mode);
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
    const again = { failed: at("try"), zero: at("try"), positive: at("try") };
    const { trouble, ownEnv } = this.#guard;
    if (mode === "") {
      // As another image of our own, with other arguments: it looks anew.
      script.step(at("show"), "execve", [
        late("/proc/self/exe"),
        late(trouble),
        late(ownEnv),
      ], again);
    } else {
      // That one would not know what has become of the daemon.
      script.step(at("go on"), "getpid", [], again);
    }
    this.#removeRecord(mode, "give up");
    script.step(at("fail"), "exit_group", [1]);
  }

  /** Only who has its lock may, as we have: so the name is not another's yet. */
  #removeRecord(mode: GuardMode, first: string): void {
    const script = this.#script;
    const { recordFd, recordPath } = this.#guard;
    const [path, noName] = [this.#late(recordPath), this.#late("")];
    const [ours, named] = [0, 1].map(() =>
      script.bytes(new Uint8Array(STAT.size)).place
    ) as [number, number];
    const failed = `${mode}record gone`;
    script.step(mode + first, "newfstatat", [
      recordFd,
      noName,
      { place: ours },
      AT_EMPTY_PATH,
    ], { failed });
    script.step(`${mode}its name`, "newfstatat", [
      AT_FDCWD,
      path,
      { place: named },
      AT_SYMLINK_NOFOLLOW,
    ], { failed });
    for (const field of ["dev", "ino"] as const) {
      const at = STAT[field];
      script.step(`${mode}${field}`, "differ", [
        { place: ours + at },
        { place: named + at },
      ], { positive: failed });
    }
    script.step(`${mode}remove record`, "unlinkat", [AT_FDCWD, path, 0]);
    script.step(failed, "getpid");
  }

  /** The daemon has ended, as it was told: nothing is left to do but to end. */
  #finish(mode: GuardMode): void {
    const script = this.#script;
    this.#removeRecord(mode, "finish");
    const exited = script.cell(CLD_EXITED);
    const code = { place: this.#info + SIGINFO.code };
    script.step(`${mode}how`, "differ", [code, addressOf(exited)], {
      positive: `${mode}killed`,
    });
    script.step(`${mode}exited`, "exit_group", [
      { cell: this.#info + SIGINFO.status },
    ]);
    script.step(`${mode}killed`, "exit_group", [128 + Signal.SIGTERM]);
  }
}
