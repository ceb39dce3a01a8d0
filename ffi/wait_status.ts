/**
 * What `waitpid()` says of a child, taken apart.
 *
 * @module
 */

/** How a process ended. */
export type WaitStatus =
  | { readonly kind: "exited"; readonly code: number }
  | {
    readonly kind: "signaled";
    readonly signal: number;
    readonly coreDumped: boolean;
  }
  | { readonly kind: "stopped"; readonly signal: number }
  | { readonly kind: "continued" };

/**
 * Takes a wait status apart: `WIFEXITED` and its like.
 *
 * @param status The status as `waitpid()` stores it.
 * @returns How the process ended.
 */
export function decodeWaitStatus(status: number): WaitStatus {
  const low = status & 0x7f;
  const high = (status >> 8) & 0xff;
  if (status === 0xffff) return { kind: "continued" };
  if (low === 0) return { kind: "exited", code: high };
  if (low === 0x7f) return { kind: "stopped", signal: high };
  return { kind: "signaled", signal: low, coreDumped: (status & 0x80) !== 0 };
}

/**
 * The exit status by which a shell, and tend, passes an end on.
 *
 * @param status How the process ended.
 * @returns Its exit status, or 128 and the signal that killed it.
 */
export function exitStatusOf(status: WaitStatus): number {
  switch (status.kind) {
    case "exited":
      return status.code;
    case "signaled":
    case "stopped":
      return 128 + status.signal;
    case "continued":
      return 0;
  }
}
