/**
 * Resource limits.
 *
 * @module
 */
import { bind, checked } from "./libc.ts";

const libc = bind({
  getrlimit: {
    parameters: ["i32", /* int resource */ "buffer" /* struct rlimit * */],
    result: "i32",
  },
  setrlimit: {
    parameters: ["i32", /* int resource */ "buffer" /* struct rlimit * */],
    result: "i32",
  },
});

/** All limits, by the names that they have in C; x86-64 and aarch64 agree. */
export const RLIMITS = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
} as const;

/** The size of core dumps, in bytes. */
export const RLIMIT_CORE = RLIMITS.core;
/** One more than the highest number of a descriptor. */
export const RLIMIT_NOFILE = RLIMITS.nofile;

/** What stands for no limit. */
export const RLIM_INFINITY: bigint = 2n ** 64n - 1n;

/** `struct rlimit`: two 64-bit numbers. */
export interface Limit {
  /** What holds. */
  readonly soft: bigint;
  /** Up to where the process itself may raise it. */
  readonly hard: bigint;
}

/**
 * Reads a limit.
 *
 * @param resource `RLIMIT_CORE`, `RLIMIT_NOFILE`.
 * @returns The limit; 2^64-1 stands for none.
 * @throws {LibcError} `EINVAL`.
 */
export function getrlimit(resource: number): Limit {
  const rlimit = new BigUint64Array(2);
  checked(
    "getrlimit",
    libc.getrlimit(resource, new Uint8Array(rlimit.buffer)),
  );
  return { soft: rlimit[0]!, hard: rlimit[1]! };
}

/**
 * Sets a limit of this process and its future children.
 *
 * @param resource `RLIMIT_CORE`.
 * @param limit The limit.
 * @throws {LibcError} `EPERM` when the hard limit would be raised without the
 * right to, `EINVAL` when the soft one is above it.
 */
export function setrlimit(resource: number, limit: Limit): void {
  const rlimit = new BigUint64Array([limit.soft, limit.hard]);
  checked(
    "setrlimit",
    libc.setrlimit(resource, new Uint8Array(rlimit.buffer)),
  );
}

/** `MAX_ARG_STRLEN`: the longest argument or variable, with its NUL. */
export const LONGEST_ARGUMENT = 131_072;

/**
 * How much there is room for in the arguments and the environment of a program
 * that is executed, with 8 bytes more for each: a quarter of the stack, and no
 * more than 6 MiB.
 *
 * @returns Bytes.
 * @throws {LibcError} Does not happen on Linux.
 */
export function argumentRoom(): number {
  const { soft } = getrlimit(RLIMITS.stack);
  const most = 6 * 2 ** 20;
  return Math.max(Math.min(Number(soft / 4n), most), LONGEST_ARGUMENT);
}
