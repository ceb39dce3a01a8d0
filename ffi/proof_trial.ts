/**
 * The trial of a program by a sleeper that the program is to replace: it is
 * started in a process of its own, and says by its exit status that it gets so
 * far.
 *
 * The program may be any, so nothing that it does may matter. It has arguments
 * that ask for nothing, no input, and nobody reads its output. It is in a process
 * group of its own, where a terminal's Ctrl-C does not end it, and with that all
 * that it has started is killed. It dies with the sleeper. And it has seconds for
 * all this, by the sleeper's own clock.
 *
 * @module
 */
import { addressOf, type CallScript, type Cell } from "./call_script.ts";
import { O_CLOEXEC } from "./descriptor.ts";
import { AT_FDCWD, O_RDWR } from "./file.ts";
import { Errno } from "./libc.ts";
import { RLIMITS } from "./limit.ts";
import { KERNEL_SIGSET_SIZE, SIG_SETMASK, Signal } from "./signal.ts";
import { VFORK } from "./system_calls.ts";

const PR_SET_PDEATHSIG = 1;
/** `struct pollfd` is one word: the descriptor, and `POLLIN` above it. */
const POLLIN = 1n << 32n;
/** After so long a program that is tried has failed. */
const TRIAL_SECONDS = 10;
/** So long it has where nothing tells of its end. */
const UNSEEN_SECONDS = 2;
/**
 * By how many bytes its limits are lower than those of the program that follows:
 * that has work to do once it has got so far.
 */
const MARGINS = [
  [RLIMITS.as, 8 * 2 ** 20],
  [RLIMITS.data, 8 * 2 ** 20],
  [RLIMITS.stack, 2 ** 16],
] as const;
/** A limit by which there are no core dumps, neither in files nor in pipes. */
const NO_CORE = 1;

/** Where a trial goes on. */
export interface TrialNext {
  /** The program has said that it gets so far. */
  readonly well: string;
  /** It has not. */
  readonly failed: string;
  /** There was no process for it. */
  readonly lack: string;
}

/**
 * Adds the steps of a trial.
 *
 * @param script The script.
 * @param label Its first step; no other label may begin so.
 * @param status The exit status by which the program says that it gets so far.
 * @param nothing A word with the path of `/dev/null`.
 * @param execute Adds the step that executes the program, with a label, and where
 * to go on when that has failed.
 * @param next Where it goes on.
 */
export function writeTrial(
  script: CallScript,
  label: string,
  status: number,
  nothing: Cell,
  execute: (label: string, failed: string) => void,
  next: TrialNext,
): void {
  const at = (step: string) => `${label}: ${step}`;
  const isErrno = (result: Cell, errno: number) => [
    addressOf(result),
    addressOf(script.cell(-errno)),
  ];
  const [own, pid, pidfd] = [script.cell(), script.cell(), script.cell()];
  script.step(label, "getpid", [], { result: own });
  script.step("", "clone", [VFORK], {
    result: pid,
    failed: next.lack,
    zero: at("child"),
  });
  script.step("", "pidfd_open", [pid, 0], {
    result: pidfd,
    failed: at("unseen"),
  });
  const polled = script.cell();
  script.add("", pidfd, POLLIN, { result: polled });
  // Next to each other: a `struct timespec`, which becomes what is left of it.
  const [seconds, nanoseconds] = [script.cell(), script.cell()];
  script.assign("", seconds, TRIAL_SECONDS);
  script.assign("", nanoseconds, 0);
  const result = script.cell();
  const wait = [addressOf(polled), 1, addressOf(seconds)];
  script.step(at("await"), "ppoll", [...wait, 0, KERNEL_SIGSET_SIZE], {
    result,
    zero: at("close"),
    positive: at("close"),
  });
  script.step("", "differ", isErrno(result, Errno.EINTR), {
    zero: at("await"),
  });
  script.step(at("close"), "close", [pidfd]);

  // Of a process that has ended the number is its own until it is waited for,
  // and so is its group's.
  const group = script.cell();
  script.subtract(at("end"), 0, pid, { result: group });
  script.step("", "kill", [group, Signal.SIGKILL]);
  script.step("", "kill", [pid, Signal.SIGKILL]);
  const [ended, reaped] = [script.cell(), script.cell()];
  script.step(at("reap"), "wait4", [pid, addressOf(ended), 0, 0], {
    result: reaped,
    failed: at("not reaped"),
  });
  const wanted = addressOf(script.cell(status << 8));
  script.step("", "differ", [addressOf(ended), wanted], {
    zero: next.well,
    positive: next.failed,
  });
  script.step(at("not reaped"), "differ", isErrno(reaped, Errno.EINTR), {
    zero: at("reap"),
    positive: next.failed,
  });

  // Too many open files, or Linux before 5.3.
  const time = script.bytes(
    new Uint8Array(BigInt64Array.of(BigInt(UNSEEN_SECONDS), 0n).buffer),
  );
  script.step(at("unseen"), "nanosleep", [time, 0], {
    failed: at("end"),
    zero: at("end"),
    positive: at("end"),
  });
  writeChild(script, at, own, nothing, execute);
}

/** Adds the steps of the child, which shares the sleeper's memory. */
function writeChild(
  script: CallScript,
  at: (step: string) => string,
  own: Cell,
  nothing: Cell,
  execute: (label: string, failed: string) => void,
): void {
  script.step(at("child"), "setpgid", [0, 0]);
  script.step("", "prctl", [PR_SET_PDEATHSIG, Signal.SIGKILL]);
  // It may have been killed before that.
  const parent = script.cell();
  script.step("", "getppid", [], { result: parent });
  script.step("", "differ", [addressOf(parent), addressOf(own)], {
    positive: at("over"),
  });
  const all = script.bytes(new Uint8Array(KERNEL_SIGSET_SIZE).fill(0xff));
  script.step("", "rt_sigprocmask", [SIG_SETMASK, all, 0, KERNEL_SIGSET_SIZE]);

  // Next to each other: a `struct rlimit`.
  const [soft, hard] = [script.cell(), script.cell()];
  script.assign("", soft, NO_CORE);
  script.assign("", hard, NO_CORE);
  script.step("", "prlimit64", [0, RLIMITS.core, addressOf(soft), 0]);
  for (const [resource, margin] of MARGINS) {
    script.step("", "prlimit64", [0, resource, 0, addressOf(soft)]);
    // No limit becomes one that is as good as none.
    script.subtract("", soft, margin, { result: soft });
    script.step("", "prlimit64", [0, resource, addressOf(soft), 0]);
  }

  const fd = script.cell();
  script.step("", "openat", [AT_FDCWD, nothing, O_RDWR | O_CLOEXEC], {
    result: fd,
    failed: at("execute"),
  });
  for (const standard of [0, 1, 2]) script.step("", "dup3", [fd, standard, 0]);
  execute(at("execute"), at("over"));
  script.step(at("over"), "exit_group", [127], { failed: at("over") });
}
