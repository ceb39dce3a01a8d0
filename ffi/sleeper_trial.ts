/**
 * What a sleeper does before a program takes its place that must get as far as
 * to say so: it is tried in a process of its own. Where it fails, the sleeper
 * stays, says so, and tries again later.
 *
 * @module
 */
import {
  addressOf,
  type CallScript,
  type Cell,
  type Operand,
  type Place,
} from "./call_script.ts";
import { SIGINFO, WNOHANG } from "./child.ts";
import { O_CLOEXEC } from "./descriptor.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  O_APPEND,
  O_CREAT,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDWR,
  O_WRONLY,
  SEEK_CUR,
  SEEK_SET,
} from "./file.ts";
import { Errno } from "./libc.ts";
import { F_SETLK, F_WRLCK } from "./lock.ts";
import {
  KERNEL_SIGACTION_SIZE,
  KERNEL_SIGSET_SIZE,
  SIG_SETMASK,
  Signal,
  sigset,
} from "./signal.ts";
import {
  type Guard,
  type GuardMode,
  type Late,
  QUEUED,
} from "./sleeper_guard.ts";
import { VFORK } from "./system_calls.ts";

/** `struct stat`, as far as it is the same on x86-64 and aarch64. */
const STAT = { size: 144, dev: 0, ino: 8 } as const;
const CLD_EXITED = 1;
const ITIMER_REAL = 0;
/** After so long a program that is tried has failed. */
const TRIAL_SECONDS = 60n;
/** How long to wait before it is tried again. */
const RETRY_SECONDS = 10n;
/**
 * What an image of ours tells the next one that it becomes to show something
 * else: it is in trouble, in which mode. It is the offset in the file of its
 * records, which nothing else makes use of, and which an exec leaves as it is.
 */
const TROUBLE = { "": 1, "restart ": 2 } as const;

/** Writes the steps for the trials of one guard. */
export class TrialWriter {
  readonly #script: CallScript;
  readonly #guard: Guard;
  readonly #info: Place;
  readonly #late: Late;
  readonly #received: number;

  /**
   * @param script The script.
   * @param guard What is guarded.
   * @param info How the daemon has ended: a `siginfo_t`.
   * @param late Makes words that hold addresses.
   */
  constructor(script: CallScript, guard: Guard, info: Place, late: Late) {
    this.#script = script;
    this.#guard = guard;
    this.#info = info;
    this.#late = late;
    this.#received = script.bytes(new Uint8Array(SIGINFO.size)).place;
  }

  /**
   * Adds the first steps of an image, which may be one in trouble.
   *
   * @param modes The modes that it has.
   * @param next Where it goes on when it is not.
   */
  begin(modes: readonly GuardMode[], next: string): void {
    const offset = this.#script.cell();
    const normal = { failed: next, zero: next };
    const ask = [this.#guard.recordFd, 0, SEEK_CUR];
    this.#script.step("trouble", "lseek", ask, { ...normal, result: offset });
    const one = addressOf(this.#script.cell(TROUBLE[""]));
    const other = modes.includes("restart ") ? "restart again" : "again";
    this.#script.step("which", "differ", [addressOf(offset), one], {
      zero: "again",
      positive: other,
    });
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
    const { trialStatus, recordFd } = this.#guard;
    const at = (label: string) => mode + label;
    const failed = mode === "stop " ? at("leave all") : at("failed");
    const [pid, status, result] = [script.cell(), script.cell(), script.cell()];

    script.step(at("try"), "clone", [VFORK], {
      result: pid,
      failed,
      zero: at("child"),
    });
    // Not by `wait4()`: whoever wants the end does not wait for it.
    this.#listen(at("await"), [Signal.SIGCHLD], 0, result, {
      other: at("look"),
      stop: at("end it"),
      restart: at("await"),
      none: at("await"),
    });
    script.step(at("look"), "wait4", [pid, addressOf(status), WNOHANG, 0], {
      failed,
      zero: at("await"),
    });
    const wanted = script.cell(trialStatus << 8);
    const statuses = [addressOf(status), addressOf(wanted)];
    script.step(at("verdict"), "differ", statuses, { positive: failed });
    script.step(at("well"), "lseek", [recordFd, 0, SEEK_SET]);
    // We have taken it, and the program is to hear of its daemon's end by it.
    const self = script.cell();
    script.step(at("self"), "getpid", [], { result: self });
    const woken = at("wake");
    script.step(at("give back"), "kill", [self, Signal.SIGCHLD], {
      failed: woken,
      zero: woken,
      positive: woken,
    });
    this.#child(mode, execute);
    script.step(at("end it"), "kill", [pid, Signal.SIGKILL]);
    script.step(at("reap"), "wait4", [pid, 0, 0, 0], {
      failed: at("leave all"),
      zero: at("leave all"),
      positive: at("leave all"),
    });
    if (mode !== "stop ") this.#fail(mode, result);
    this.#leave(mode);
  }

  /** The child of a trial: it becomes the program. */
  #child(
    mode: GuardMode,
    execute: (labels: readonly [string, string], env: Cell) => void,
  ): void {
    const script = this.#script;
    const at = (label: string) => mode + label;
    // The timer goes on in the program, and ends one that hangs.
    const action = script.bytes(new Uint8Array(KERNEL_SIGACTION_SIZE));
    const alarm = [Signal.SIGALRM, action, 0, KERNEL_SIGSET_SIZE];
    script.step(at("child"), "rt_sigaction", alarm);
    const none = [SIG_SETMASK, this.#mask([]), 0, KERNEL_SIGSET_SIZE];
    script.step(at("unblock"), "rt_sigprocmask", none);
    const limit = this.#words(0n, 0n, TRIAL_SECONDS, 0n);
    script.step(at("limit"), "setitimer", [ITIMER_REAL, limit, 0]);
    execute([at("tried"), at("tried kept")], this.#late(this.#guard.trialEnv));
    script.step(at("not there"), "exit_group", [127]);
  }

  /** Says that the program does not start, once, and waits to try again. */
  #fail(mode: Exclude<GuardMode, "stop ">, result: Cell): void {
    const script = this.#script;
    const { trouble, recordFd, ownEnv } = this.#guard;
    const at = (label: string) => mode + label;
    const again = at("again");
    script.step(at("failed"), "lseek", [recordFd, 0, SEEK_CUR], {
      positive: again,
    });
    // Where there is no file for it, this image stays, and remembers that itself.
    const [said, yes, no] = [script.cell(), script.cell(1), script.cell(0)];
    script.step(at("said"), "differ", [addressOf(said), addressOf(no)], {
      positive: again,
    });
    script.step(at("remember"), "differ", [addressOf(yes), addressOf(no)], {
      result: said,
    });
    if (mode === "") this.#judge();
    script.step(at("say"), "pwrite64", [
      recordFd,
      this.#late(trouble.record),
      trouble.record.length,
      0,
    ]);
    if (trouble.log !== undefined) {
      const { file, line } = trouble.log;
      const flags = O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_CLOEXEC;
      const fd = script.cell();
      const open = [AT_FDCWD, this.#late(file), flags, 0o640];
      script.step(at("open log"), "openat", open, { result: fd });
      script.step(at("log"), "write", [fd, this.#late(line), line.length]);
      script.step(at("close log"), "close", [fd]);
    }
    // As another image of our own, with other arguments. Without a file it could
    // not tell that what it has been.
    const note = [recordFd, TROUBLE[mode], SEEK_SET];
    script.step(at("note"), "lseek", note, { failed: again });
    script.step(at("show"), "execve", [
      this.#late("/proc/self/exe"),
      this.#late(trouble.argv),
      this.#late(ownEnv),
    ], { failed: again, zero: again, positive: again });

    this.#listen(again, [], this.#words(RETRY_SECONDS, 0n), result, {
      other: again,
      stop: at("leave all"),
      restart: at("try"),
      none: at("over"),
    });
    const timeout = script.cell(-Errno.EAGAIN);
    script.step(at("over"), "differ", [addressOf(result), addressOf(timeout)], {
      zero: at("try"),
      positive: again,
    });
  }

  /** An end that is no crash needs nobody who starts the program again. */
  #judge(): void {
    const script = this.#script;
    const { pid, crashes } = this.#guard;
    if (pid === undefined) return;
    const is = (field: number, value: number) => [
      { place: this.#info.place + field },
      addressOf(script.cell(value)),
    ];
    script.step("judge", "differ", is(SIGINFO.code, CLD_EXITED), {
      positive: "judge signal",
    });
    const judge = (what: string, values: readonly number[]) =>
      values.forEach((value, i) =>
        script.step(
          i === 0 ? `judge ${what}` : `judge ${what} ${value}`,
          "differ",
          is(SIGINFO.status, value),
          {
            zero: "say",
            ...i === values.length - 1 ? { positive: "leave all" } : {},
          },
        )
      );
    judge("status", crashes.statuses);
    judge("signal", crashes.signals);
  }

  /** Waits for some signals, and for those that ask for something. */
  #listen(
    label: string,
    others: readonly number[],
    timeout: Operand,
    result: Cell,
    next: Record<"other" | "stop" | "restart" | "none", string>,
  ): void {
    const script = this.#script;
    const { stopSignals, requests } = this.#guard;
    const heard = [...others, ...stopSignals, requests.stop, requests.restart];
    const received = { place: this.#received };
    script.step(label, "rt_sigtimedwait", [
      this.#mask(heard),
      received,
      timeout,
      KERNEL_SIGSET_SIZE,
    ], { result, failed: next.none, zero: next.none });
    const is = (signal: number) => [
      addressOf(result),
      addressOf(script.cell(signal)),
    ];
    for (const signal of others) {
      script.step(`${label}: ${signal}`, "differ", is(signal), {
        zero: next.other,
      });
    }
    for (const signal of stopSignals) {
      script.step(`${label}: ${signal}`, "differ", is(signal), {
        zero: next.stop,
      });
    }
    // One of the requests then, if it was queued.
    const errnoAndCode = { place: this.#received + SIGINFO.code - 4 };
    const queued = addressOf(script.cell(QUEUED));
    script.step(`${label}: queued`, "differ", [errnoAndCode, queued], {
      positive: label,
    });
    script.step(`${label}: which`, "differ", is(requests.stop), {
      zero: next.stop,
      positive: next.restart,
    });
  }

  /** Ends, with nothing of the daemon's left; as the daemon has, if that is known. */
  #leave(mode: GuardMode): void {
    const script = this.#script;
    const at = (label: string) => mode + label;
    const { recordFd, recordPath, pidfile } = this.#guard;
    // In this order: who sees the pidfile gone must not find us in the way.
    const first = at("leave all");
    this.#removeIfNamed(first, recordFd, recordPath, at("pidfile"));
    const fd = script.cell();
    const flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    const path = this.#late(pidfile ?? "");
    script.step(at("pidfile"), "openat", [AT_FDCWD, path, flags], {
      result: fd,
      failed: at("end"),
    });
    const flock = this.#words(BigInt(F_WRLCK), 0n, 0n, 0n); // all of the file
    script.step(at("lock"), "fcntl", [fd, F_SETLK, flock], {
      failed: at("end"),
    });
    this.#removeIfNamed(at("stale"), fd, pidfile ?? "", at("end"));

    const exited = addressOf(script.cell(CLD_EXITED));
    const code = { place: this.#info.place + SIGINFO.code };
    script.step(at("end"), "differ", [code, exited], {
      positive: at("killed"),
    });
    script.step(at("exited"), "exit_group", [
      { cell: this.#info.place + SIGINFO.status },
    ]);
    const status = mode === "stop " ? 128 + Signal.SIGTERM : 1;
    script.step(at("killed"), "exit_group", [status]);
  }

  /**
   * Removes a file that we have locked: only who has its lock may, so the name
   * is not another's yet if it is its own.
   */
  #removeIfNamed(
    first: string,
    fd: Operand,
    path: Uint8Array | string,
    next: string,
  ): void {
    const script = this.#script;
    const file = this.#late(path);
    const [ours, named] = [0, 1].map(() =>
      script.bytes(new Uint8Array(STAT.size)).place
    ) as [number, number];
    const open = [fd, this.#late(""), { place: ours }, AT_EMPTY_PATH];
    script.step(first, "newfstatat", open, { failed: next });
    const look = [AT_FDCWD, file, { place: named }, AT_SYMLINK_NOFOLLOW];
    script.step(`${first}: name`, "newfstatat", look, { failed: next });
    for (const field of ["dev", "ino"] as const) {
      const places = [ours, named].map((at) => ({ place: at + STAT[field] }));
      script.step(`${first}: ${field}`, "differ", places, { positive: next });
    }
    script.step(`${first}: unlink`, "unlinkat", [AT_FDCWD, file, 0], {
      failed: next,
      zero: next,
      positive: next,
    });
  }

  #words(...list: bigint[]): Place {
    return this.#script.bytes(new Uint8Array(BigInt64Array.from(list).buffer));
  }

  #mask(signals: readonly number[]): Place {
    return this.#script.bytes(
      sigset(signals).subarray(0, KERNEL_SIGSET_SIZE),
    );
  }
}
