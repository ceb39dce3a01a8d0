import { close } from "../../ffi/descriptor.ts";
import { O_RDONLY, open } from "../../ffi/file.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import { fcntlGetlk } from "../../ffi/lock.ts";

/** The pid in a pidfile; `undefined` if there is none. */
export function pidIn(path: string): number | undefined {
  try {
    return Number(Deno.readTextFileSync(path)) || undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Who holds the lock of a pidfile; `undefined` if nobody does. */
export function lockHolder(path: string): number | undefined {
  let fd: number;
  try {
    fd = open(path, O_RDONLY);
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ENOENT) {
      return undefined;
    }
    throw error;
  }
  try {
    return fcntlGetlk(fd);
  } finally {
    close(fd);
  }
}
