/**
 * Descriptors of the tests' own process.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { open } from "../ffi/file.ts";

/** A descriptor that is closed when it is disposed. */
export interface Descriptor extends Disposable {
  /** Its number. */
  readonly number: number;
}

/** Opens a file; one that is made has the mode 0600. */
export function opened(path: string, flags: number): Descriptor {
  return disposable(open(path, flags, 0o600));
}

/** Has a descriptor closed. */
export function disposable(number: number): Descriptor {
  return { number, [Symbol.dispose]: () => close(number) };
}

/** How many descriptors this process has open. */
export function openFdCount(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}
