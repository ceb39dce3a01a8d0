/**
 * Files that tend appends to, or has others append to.
 *
 * @module
 */
import type { CString } from "../ffi/c_string.ts";
import { close } from "../ffi/descriptor.ts";
import {
  O_APPEND,
  O_CREAT,
  O_NOCTTY,
  O_NONBLOCK,
  O_WRONLY,
} from "../ffi/file.ts";
import { fstat } from "../ffi/file_stat.ts";
import { ForeignFileError, foreignness, openOwnWay } from "./foreign_file.ts";

/** Permission bits of a new file, less the umask. */
const MODE = 0o640;

/**
 * Opens a file for appending, but none that another user has put where anybody
 * can.
 *
 * @param path The file.
 * @param create `O_CREAT` makes one that is not there, with mode 0640.
 * @returns The descriptor; writing to it does not block.
 * @throws {LibcError} When it cannot be opened; `ENXIO` of a FIFO that nobody
 * reads.
 */
export function openForAppending(
  path: CString,
  create: typeof O_CREAT | 0 = O_CREAT,
): number {
  // Not blocking: where a FIFO has no reader, or a full one, a monitor would
  // wait in here and look after nobody.
  const flags = O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK | create;
  const fd = openOwnWay(path, flags, MODE);
  let isGood = false;
  try {
    const why = foreignness(path, fstat(fd));
    if (why !== undefined) throw new ForeignFileError("open", why);
    isGood = true;
    return fd;
  } finally {
    if (!isGood) close(fd);
  }
}
