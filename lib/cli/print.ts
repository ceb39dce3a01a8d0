/**
 * Output.
 *
 * @module
 */
import { writeFully } from "../../ffi/descriptor.ts";
import { LibcError } from "../../ffi/libc.ts";

const STDOUT = 1;

/**
 * Writes to standard output.
 *
 * @param text The text.
 * @throws {Error} When it cannot be written, with the reason.
 */
export function print(text: string): void {
  try {
    writeFully(STDOUT, text);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw new Error(`standard output: ${error.message}`, { cause: error });
  }
}
