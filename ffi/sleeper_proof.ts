/**
 * What a sleeper proves before a program takes its place for good: by then it is
 * too late to find out that the program does not start, for its children, its
 * locks and its pid are those of this process, and go with it.
 *
 * - Of what a start needs there has to be as much as there was when this program
 *   started last: address space, memory and descriptors. All of it is taken, and
 *   given back. It costs some microseconds, and where it fails the sleeper
 *   sleeps on for a second, as where nothing can be executed.
 * - Another program than it was before is tried in a process of its own, with
 *   all that it is to know. Where it does not get so far as to say that it can,
 *   the sleeper goes on with the program that it was. It takes as long as a start,
 *   so the program that has started once already is not tried.
 *
 * What is left: a lack that comes up within the milliseconds between the proof
 * and the end of the start, or is of something else, such as a library of the
 * same program that is replaced by a broken one. To be sure of those, too, each
 * start would have to be tried, and each restart would take twice as long.
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
import type { CString } from "./c_string.ts";
import { O_CLOEXEC } from "./descriptor.ts";
import { AT_EMPTY_PATH, AT_FDCWD, O_PATH } from "./file.ts";
import {
  KERNEL_SIGACTION_SIZE,
  KERNEL_SIGSET_SIZE,
  SIG_SETMASK,
  Signal,
} from "./signal.ts";
import type { Late } from "./sleeper_guard.ts";
import { VFORK } from "./system_calls.ts";

/** What has to be there for a program that is to start. */
export interface Proof {
  /** How many bytes of addresses it takes, most of them for nothing. */
  readonly addresses: number;
  /** How many bytes of memory it may write to. */
  readonly memory: number;
  /** How many descriptors it has besides those that it is given. */
  readonly descriptors: number;
  /** The program of the sleeper's kept descriptor. */
  readonly program: {
    /** Its size in bytes. */
    readonly size: bigint;
    /** When it was written, in nanoseconds since 1970. */
    readonly mtime: bigint;
  };
  /** The environment in which another program says that it gets so far. */
  readonly trialEnv: readonly CString[];
  /** The exit status by which it says so. */
  readonly trialStatus: number;
}

/** The kernel's `struct stat`, as far as it is the same on x86-64 and aarch64. */
const STAT = {
  size: 144,
  dev: 0,
  ino: 8,
  bytes: 48,
  seconds: 88,
  nanoseconds: 96,
} as const;
const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const ITIMER_REAL = 0;
const NANO = 1_000_000_000n;
/** After so long a program that is tried has failed. */
const TRIAL_SECONDS = 10n;
/** How long to wait when there is no program that starts. */
const RETRY_SECONDS = 10n;

/** Where the proof begins, and where a sleeper goes on after it. */
export const PROOF = "proof";
const NEXT = { well: "wake", kept: "kept", lack: "wait" } as const;

/** The program of a sleeper: words with its path and arguments. */
interface Program {
  readonly file: Cell;
  readonly args: Cell;
  readonly keptFd: number;
}

/**
 * Adds the steps of a proof, `proof`, which go on to `wake`; to `kept` when that
 * program alone starts; or to `wait` when there is not enough of something.
 *
 * @param script The script.
 * @param proof What is to be proved.
 * @param late Makes words that hold addresses.
 * @param program The program.
 */
export function writeProof(
  script: CallScript,
  proof: Proof,
  late: Late,
  program: Program,
): void {
  proveRoom(script, PROOF, proof.addresses, PROT_NONE, MAP_NORESERVE);
  proveRoom(script, "", proof.memory, PROT_READ_WRITE, 0);
  proveDescriptors(script, proof.descriptors, late("/"));
  const { file, args, keptFd } = program;
  const [named, kept] = [0, 1].map(() =>
    script.bytes(new Uint8Array(STAT.size))
  ) as [Place, Place];
  const noPath = late("");

  // One that is not there is none to be tried: executing it says so.
  script.step("", "newfstatat", [AT_FDCWD, file, named, 0], {
    failed: NEXT.well,
  });
  const lookAtKept = [keptFd, noPath, kept, AT_EMPTY_PATH];
  script.step("", "newfstatat", lookAtKept, { failed: "trial" });
  for (const at of [STAT.dev, STAT.ino]) {
    const words = [named, kept].map(({ place }) => ({ place: place + at }));
    script.step("", "differ", words, { positive: "trial" });
  }
  compareProgram(script, named, proof, NEXT.well, "trial");

  const [pid, status] = [script.cell(), script.cell()];
  script.step("trial", "clone", [VFORK], {
    result: pid,
    failed: "tried in vain",
    zero: "trial child",
  });
  script.step("", "wait4", [pid, addressOf(status), 0, 0], {
    failed: "tried in vain",
  });
  const wanted = addressOf(script.cell(proof.trialStatus << 8));
  script.step("", "differ", [addressOf(status), wanted], { zero: NEXT.well });

  // Another one was written into the very file: what was there before is gone.
  script.step("tried in vain", "newfstatat", lookAtKept, { failed: "pause" });
  compareProgram(script, kept, proof, NEXT.kept, "pause");
  const pause = [words(script, RETRY_SECONDS, 0n), 0];
  script.step("pause", "nanosleep", pause, {
    failed: PROOF,
    zero: PROOF,
    positive: PROOF,
  });

  // The timer goes on in the program, and ends one that hangs.
  const action = script.bytes(new Uint8Array(KERNEL_SIGACTION_SIZE));
  const alarm = [Signal.SIGALRM, action, 0, KERNEL_SIGSET_SIZE];
  script.step("trial child", "rt_sigaction", alarm);
  const none = [SIG_SETMASK, words(script, 0n), 0, KERNEL_SIGSET_SIZE];
  script.step("", "rt_sigprocmask", none);
  const limit = words(script, 0n, 0n, TRIAL_SECONDS, 0n);
  script.step("", "setitimer", [ITIMER_REAL, limit, 0]);
  script.step("", "execve", [file, args, late(proof.trialEnv)]);
  script.step("trial over", "exit_group", [127], { failed: "trial over" });
}

/** Takes memory, and gives it back. */
function proveRoom(
  script: CallScript,
  label: string,
  size: number,
  protection: number,
  flags: number,
): void {
  const at = script.cell();
  const how = [protection, MAP_PRIVATE_ANONYMOUS | flags, -1, 0];
  script.step(label, "mmap", [0, size, ...how], {
    result: at,
    failed: NEXT.lack,
  });
  script.step("", "munmap", [at, size]);
}

/**
 * Opens as many descriptors, and closes those that it has got. Not by `dup()`: the
 * machine may have too few open files, too.
 */
function proveDescriptors(
  script: CallScript,
  count: number,
  root: Operand,
): void {
  const fds = Array.from({ length: count }, () => script.cell());
  const areThere = script.cell();
  const after = "descriptors closed";
  script.assign("", areThere, 0);
  fds.forEach((fd, i) =>
    script.step("", "openat", [AT_FDCWD, root, O_PATH | O_CLOEXEC], {
      result: fd,
      failed: i === 0 ? after : `close ${i - 1}`,
    })
  );
  script.assign("", areThere, 1);
  fds.forEach((_, i) =>
    script.step(`close ${count - 1 - i}`, "close", [fds[count - 1 - i]!])
  );
  script.subtract(after, areThere, 0, { zero: NEXT.lack });
}

/** Adds the steps that tell whether a file is the program as it started. */
function compareProgram(
  script: CallScript,
  { place }: Place,
  { program: { size, mtime } }: Proof,
  same: string,
  other: string,
): void {
  const is = (at: number, value: bigint) => [
    { place: place + at },
    addressOf(script.cell(value)),
  ];
  script.step("", "differ", is(STAT.bytes, size), { positive: other });
  script.step("", "differ", is(STAT.seconds, mtime / NANO), {
    positive: other,
  });
  script.step("", "differ", is(STAT.nanoseconds, mtime % NANO), {
    zero: same,
    positive: other,
  });
}

function words(script: CallScript, ...list: bigint[]): Place {
  return script.bytes(new Uint8Array(BigInt64Array.from(list).buffer));
}
