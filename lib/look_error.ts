/**
 * A look at a daemon that has failed.
 *
 * @module
 */

/** The exit status that says that something cannot be told. */
export const CANNOT_TELL = 4;

/**
 * It cannot be told what a daemon is, as where no descriptor is free to look by.
 * That is no answer: not that it does not run, and not that it has ended.
 */
export class LookError extends Error {
  /** The class's name. */
  override readonly name = "LookError";
}

/**
 * Makes the error of a monitor's file that cannot be read.
 *
 * @param reason Why.
 * @returns It.
 */
export function unreadable(reason: string): LookError {
  return new LookError(`its monitor's file: ${reason}`);
}
