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

/** The size of core dumps, in bytes. */
export const RLIMIT_CORE = 4;

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
 * @param resource `RLIMIT_CORE`.
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
 * @throws {LibcError} `EPERM` when the hard limit would be raised.
 */
export function setrlimit(resource: number, limit: Limit): void {
  const rlimit = new BigUint64Array([limit.soft, limit.hard]);
  checked(
    "setrlimit",
    libc.setrlimit(resource, new Uint8Array(rlimit.buffer)),
  );
}
