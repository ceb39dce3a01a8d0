/**
 * What a sleeper proves before a program takes its place for good: by then it is
 * too late to find out that the program does not start, for its children, its
 * locks and its pid are those of this process, and go with it.
 *
 * - What the whole machine may lack is taken, and given back: memory where that
 *   must not be promised twice, and descriptors. It costs some microseconds, and
 *   where it fails the sleeper sleeps on for a second.
 * - What has started once under the same limits starts again. Another program, or
 *   the same one under other limits, is tried in a process of its own
 *   (`proof_trial.ts`), with all that it is to know. It takes as long as a start,
 *   so nothing else is tried.
 * - Where the path's program does not start, and where there is none, the program
 *   that the sleeper was is proved in the same way. Where that does not start
 *   either, the sleeper sleeps on for some seconds.
 *
 * What is executed in the end has been proved: when it is not there any more, or
 * cannot be executed, all begins anew.
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
  goingOn,
  type Operand,
  type Place,
} from "./call_script.ts";
import type { CString } from "./c_string.ts";
import { O_CLOEXEC } from "./descriptor.ts";
import { AT_EMPTY_PATH, AT_FDCWD, O_PATH, SEEK_SET } from "./file.ts";
import { Errno } from "./libc.ts";
import { writeTrial } from "./proof_trial.ts";
import type { Late } from "./sleeper_guard.ts";

/** What has to be there for a program that is to start. */
export interface Proof {
  /** How many bytes of memory it may write to. */
  readonly memory: number;
  /** How many descriptors it has besides those that it is given. */
  readonly descriptors: number;
  /** The limits under which the program has started. */
  readonly limits: readonly {
    /** Of what. */
    readonly resource: number;
    /** What held. */
    readonly soft: bigint;
  }[];
  /** The program of the sleeper's kept descriptor. */
  readonly program: {
    /** Its size in bytes. */
    readonly size: bigint;
    /** When it was written, in nanoseconds since 1970. */
    readonly mtime: bigint;
  };
  /** The arguments of a program that is tried: for any program harmless ones. */
  readonly trialArgv: readonly CString[];
  /** The environment in which a program says that it gets so far. */
  readonly trialEnv: readonly CString[];
  /** The exit status by which it says so. */
  readonly trialStatus: number;
  /**
   * A descriptor whose offset becomes {@linkcode LATE} when the sleeper has to
   * wait; -1 for none. An exec leaves it as it is.
   */
  readonly noteFd: number;
}

/** The offset by which a sleeper tells that it could not wake up at once. */
export const LATE = 1;

/** The kernel's `struct stat`, as far as it is the same on x86-64 and aarch64. */
const STAT = {
  size: 144,
  dev: 0,
  ino: 8,
  bytes: 48,
  seconds: 88,
  nanoseconds: 96,
} as const;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const NANO = 1_000_000_000n;
/** How long to wait when something is lacking, and when no program starts. */
const RETRY_SECONDS = { lack: 1n, pause: 10n } as const;
/** Errors by which a path leads to nothing for us, and not just for now. */
const NO_PROGRAM = [Errno.ENOENT, Errno.ENOTDIR, Errno.EACCES, Errno.ELOOP];

/** Where the proof begins, and where a sleeper goes on when there is a lack. */
export const PROOF = { begin: "proof", lack: "lack" } as const;
const NEXT = { well: "wake", kept: "kept", lack: PROOF.lack } as const;
/** Where it goes on without the path's program, and without any. */
const OTHERWISE = { noPath: "prove kept", none: "pause" } as const;

/** The program of a sleeper. */
interface Program {
  /** A word with its path. */
  readonly file: Cell;
  /** The file that it was. */
  readonly keptFd: number;
}

/**
 * Adds the steps of a proof, `proof`, which go on to `wake`, or to `kept` when
 * that program alone starts. Until one of them does they begin anew; `lack` is
 * for who finds out only then that it does not.
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
  const { file, keptFd } = program;
  const [named, kept] = [0, 1].map(() =>
    script.bytes(new Uint8Array(STAT.size))
  ) as [Place, Place];
  const noPath = late("");
  // Without `/proc` nothing starts: something may have been mounted over it.
  const self = [AT_FDCWD, late("/proc/self/exe"), named, 0];
  script.step(PROOF.begin, "newfstatat", self, { failed: NEXT.lack });
  proveMemory(script, proof.memory);
  proveDescriptors(script, proof.descriptors, late("/"));
  const areOther = compareLimits(script, proof.limits);

  const why = script.cell();
  script.step("", "newfstatat", [AT_FDCWD, file, named, 0], {
    result: why,
    failed: "no path",
  });
  const lookAtKept = [keptFd, noPath, kept, AT_EMPTY_PATH];
  script.step("", "newfstatat", lookAtKept, { failed: "trial" });
  for (const at of [STAT.dev, STAT.ino]) {
    const words = [named, kept].map(({ place }) => ({ place: place + at }));
    script.step("", "differ", words, { positive: "trial" });
  }
  compareProgram(script, named, proof, "trial");
  script.add("", areOther, 0, { zero: NEXT.well, positive: "trial" });

  NO_PROGRAM.forEach((errno, i) => {
    const label = i === 0 ? "no path" : "";
    const isIt = [addressOf(why), addressOf(script.cell(-errno))];
    const isLast = i === NO_PROGRAM.length - 1;
    script.step(label, "differ", isIt, {
      zero: OTHERWISE.noPath,
      ...isLast ? { positive: NEXT.lack } : {},
    });
  });

  const [args, env] = [late(proof.trialArgv), late(proof.trialEnv)];
  const { trialStatus: status } = proof;
  writeTrial(
    script,
    "trial",
    status,
    late("/dev/null"),
    (label, failed) =>
      script.step(label, "execve", [file, args, env], { failed }),
    {
      well: NEXT.well,
      failed: OTHERWISE.noPath,
      lack: NEXT.lack,
    },
  );

  // Another one may have been written into the very file.
  const tryKept = "trial of kept";
  script.step(OTHERWISE.noPath, "newfstatat", lookAtKept, {
    failed: OTHERWISE.none,
  });
  compareProgram(script, kept, proof, tryKept);
  script.add("", areOther, 0, { zero: NEXT.kept, positive: tryKept });
  const how = [keptFd, noPath, args, env, AT_EMPTY_PATH];
  writeTrial(
    script,
    tryKept,
    status,
    late("/dev/null"),
    (label, failed) => script.step(label, "execveat", how, { failed }),
    {
      well: NEXT.kept,
      failed: OTHERWISE.none,
      lack: NEXT.lack,
    },
  );

  for (const label of [PROOF.lack, OTHERWISE.none] as const) {
    script.step(label, "lseek", [proof.noteFd, LATE, SEEK_SET]);
    const time = BigInt64Array.of(RETRY_SECONDS[label], 0n);
    const pause = script.bytes(new Uint8Array(time.buffer));
    script.step("", "nanosleep", [pause, 0], goingOn(PROOF.begin));
  }
}

/**
 * Takes memory, and gives it back. The kernel looks whether it has as much only
 * where it promises nothing twice, and so it does here.
 */
function proveMemory(script: CallScript, size: number): void {
  const at = script.cell();
  const flags = MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE;
  script.step("", "mmap", [0, size, PROT_READ_WRITE, flags, -1, 0], {
    result: at,
    failed: NEXT.lack,
  });
  script.step("", "munmap", [at, size]);
}

/** Adds steps after which a word is 0 when all limits are what they were. */
function compareLimits(
  script: CallScript,
  limits: Proof["limits"],
): Cell {
  const areOther = script.cell();
  const isOther = script.cell();
  script.assign("", areOther, 0);
  for (const { resource, soft } of limits) {
    const limit = script.bytes(new Uint8Array(2 * 8));
    script.step("", "prlimit64", [0, resource, 0, limit]);
    script.step("", "differ", [limit, addressOf(script.cell(soft))], {
      result: isOther,
    });
    script.add("", areOther, isOther, { result: areOther });
  }
  return areOther;
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

/** Adds the steps that go elsewhere when a file is not the program as it started. */
function compareProgram(
  script: CallScript,
  { place }: Place,
  { program: { size, mtime } }: Proof,
  other: string,
): void {
  const is = (at: number, value: bigint) => [
    { place: place + at },
    addressOf(script.cell(value)),
  ];
  for (
    const [at, value] of [
      [STAT.bytes, size],
      [STAT.seconds, mtime / NANO],
      [STAT.nanoseconds, mtime % NANO],
    ] as const
  ) script.step("", "differ", is(at, value), { positive: other });
}
