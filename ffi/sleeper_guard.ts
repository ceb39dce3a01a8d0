/**
 * What a sleeper does for a program that must not be started while its daemon
 * runs, as a program may end at once then: the port that it looks at is taken.
 *
 * Signals are passed on to the daemon without waking up. When the daemon has
 * ended, the program is tried first: `sleeper_trial.ts`.
 *
 * @module
 */
import {
  addressOf,
  type CallScript,
  type Cell,
  type Place,
} from "./call_script.ts";
import type { CString } from "./c_string.ts";
import { P_PID, WEXITED, WNOHANG, WNOWAIT } from "./child.ts";
import { SI_KERNEL, SI_QUEUE, Signal, SIGNALFD_SIGINFO } from "./signal.ts";

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
  /** The daemon's pidfile, which goes then too, unless somebody holds it. */
  readonly pidfile: CString | undefined;
  /** The environment in which the program says that it gets so far. */
  readonly trialEnv: readonly CString[];
  /** The exit status by which it says so. */
  readonly trialStatus: number;
  /** What is to be known when it does not. */
  readonly trouble: Trouble;
  /** The ends after which it is needed: exit statuses and signals. */
  readonly crashes: {
    readonly statuses: readonly number[];
    readonly signals: readonly number[];
  };
  /** The environment of the sleeper itself. */
  readonly ownEnv: readonly CString[];
}

/** What a sleeper says when its program does not start any more. */
export interface Trouble {
  /** What it shows as its arguments. */
  readonly argv: readonly CString[];
  /** What is written where records are. */
  readonly record: Uint8Array;
  /** What is added to which file, if there is one. */
  readonly log: { readonly file: CString; readonly line: CString } | undefined;
}

const KINDS = ["stop", "restart"] as const;
/** `si_errno` and `si_code` of a signal that was queued, as one word. */
export const QUEUED: bigint = BigInt(SI_QUEUE) << 32n;

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
   * @param info Room for a `siginfo_t`: how the daemon has ended.
   * @param late Makes words that hold addresses.
   */
  constructor(script: CallScript, guard: Guard, info: Place, late: Late) {
    this.#script = script;
    this.#guard = guard;
    this.#late = late;
    const { size } = SIGNALFD_SIGINFO;
    this.#received = script.bytes(new Uint8Array(size)).place;
    this.#info = info.place;
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
    for (const kind of heard) {
      script.step(...isWord(`${kind} queued`, code - 4, QUEUED), {
        positive: at("read"),
      });
      script.step(...isWord(`${kind} empty`, value, 0), { zero: at("read") });
      // `kill()` would take an int of it. Behind it are four bytes of zeros.
      script.step(...isWord(`${kind} too large`, value + 4, 0), {
        positive: at("read"),
      });
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
}
