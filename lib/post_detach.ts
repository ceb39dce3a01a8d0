/**
 * Leaving what belongs to the caller.
 *
 * @module
 */
import { LibcError } from "../ffi/libc.ts";
import { chdir } from "../ffi/working_directory.ts";
import { closeStandardFds } from "./standard_fds.ts";
import { keepConsole } from "./vlog_sinks.ts";

/** Where a daemon leaves its caller's things behind. */
export interface Detachment {
  /** Whether it runs in the background, in a session of its own. */
  readonly detach: boolean;
  /** Whether its working directory becomes `/` when it detaches. */
  readonly chdir: boolean;
}

/**
 * Leaves the caller's directory and standard descriptors, when the process is
 * to detach. Only the console stays, until `dropConsole()`: the start may fail
 * yet. Port of `daemonize_post_detach()`.
 *
 * @param how Whether and how to detach.
 * @returns What failed, and leaves the process holding on to something.
 */
export function daemonizePostDetach(
  { detach, chdir: leave }: Detachment,
): LibcError | undefined {
  if (!detach) return undefined;
  // Whatever fails of it: who waits for the end of our output waits for ever
  // while we have that.
  const failed = leave ? failureOf(() => chdir("/")) : undefined;
  return failureOf(() => closeStandardFds(keepConsole())) ?? failed;
}

/**
 * Lets go of the caller's standard descriptors after all. When nothing is to be
 * said any more that takes no descriptor, whose lack may have been the failure.
 *
 * @returns What failed, and leaves the process holding on to them.
 */
export function leaveCallersOutput(): LibcError | undefined {
  return failureOf(closeStandardFds);
}

function failureOf(act: () => void): LibcError | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof LibcError) return error;
    throw error;
  }
}
