/**
 * Files of variables: a line `NAME=VALUE` each, and lines that are empty or begin
 * with `#`. A value is what stands behind the first `=`, as it is: with its
 * quotes, its blanks and its `$`.
 *
 * @module
 */
import { close, setBlocking } from "../../ffi/descriptor.ts";
import {
  O_NOCTTY,
  O_NONBLOCK,
  O_RDONLY,
  readLink,
  readToEnd,
} from "../../ffi/file.ts";
import { fstat, isFifo } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import { geteuid } from "../../ffi/user.ts";
import { ForeignFileError, foreignness, openOwnWay } from "../foreign_file.ts";
import { nameOf } from "../surroundings.ts";

const LINE_FEED = "\n".charCodeAt(0);
const HASH = "#".charCodeAt(0);
const EQUALS = "=".charCodeAt(0);
/** In bytes, with comments and all. */
const LARGEST_FILE = 8 << 20;
/** The kernel hands on no more, with the arguments. */
const MOST_BYTES = 6 << 20;
/** What each takes of that besides its text: its NUL, and a pointer to it. */
const EXTRA_BYTES = 9;

/**
 * Reads a file of variables.
 *
 * @param path The file.
 * @returns Its variables, as bytes, in their order; of several with one name the
 * last.
 * @throws {Error} When it cannot be read, is another user's doing, a line is none
 * or there are more than a command can be given; the message has the line's
 * number.
 */
export function readEnvFile(path: string): Uint8Array[] {
  const option = `option --env-file=${path}`;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = readTrusted(path);
  } catch (error) {
    const isKnown = error instanceof LibcError || error instanceof UnfitFile;
    if (!isKnown) throw error;
    throw new Error(`${option}: ${error.message}`, { cause: error });
  }
  const found = new Map<string, Uint8Array>();
  let room = MOST_BYTES;
  let [start, end] = [0, 0];
  for (let number = 1; start < bytes.length; number++, start = end + 1) {
    end = bytes.indexOf(LINE_FEED, start);
    if (end === -1) end = bytes.length;
    if (end === start || bytes[start] === HASH) continue;
    const line = bytes.subarray(start, end);
    const why = checkVariable(line);
    // Not the line itself: it may be a password's.
    if (why !== undefined) throw new Error(`${option}: line ${number}: ${why}`);
    const name = nameOf(line);
    const before = found.get(name);
    if (before !== undefined) room += before.length + EXTRA_BYTES;
    room -= line.length + EXTRA_BYTES;
    if (room < 0) {
      throw new Error(
        `${option}: line ${number}: no command can be given so many variables`,
      );
    }
    found.set(name, line);
  }
  return [...found.values()];
}

/**
 * Reads a file that nobody else has put where anybody can: `LD_PRELOAD` in it
 * would be that user's program, run by us. Root could do as much without.
 */
function readTrusted(path: string): Uint8Array<ArrayBuffer> {
  // Not blocking: a FIFO that nobody writes to would hold us for ever.
  const fd = openOwnWay(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  try {
    const stat = fstat(fd);
    const why = foreignness(path, stat, stat.uid === 0 ? 0 : geteuid());
    if (why !== undefined) throw new ForeignFileError("open", why);
    // Who writes, or types, may not have done so yet.
    setBlocking(fd);
    const bytes = readToEnd(fd, LARGEST_FILE);
    if (bytes.length > LARGEST_FILE) {
      throw new UnfitFile(`it has more than ${LARGEST_FILE >> 20} MiB`);
    }
    // As one whose writer has not come yet. A pipe, as the shell's `<(…)`, has
    // no name, and its writer may have said nothing and gone.
    const isUnwritten = bytes.length === 0 && isFifo(stat) && hasName(fd);
    if (!isUnwritten) return bytes;
    throw new UnfitFile("it is a FIFO that nobody writes to");
  } finally {
    close(fd);
  }
}

/** A file that is read, but cannot be one of variables. */
class UnfitFile extends Error {}

function hasName(fd: number): boolean {
  return readLink(`/proc/self/fd/${fd}`).startsWith("/");
}

/**
 * Checks an entry of the environment.
 *
 * @param entry The entry.
 * @returns What is wrong with it; `undefined` when it is fine.
 */
export function checkVariable(entry: Uint8Array): string | undefined {
  if (entry.includes(0)) return "a NUL byte cannot be in a variable";
  if (!entry.includes(EQUALS)) return "not NAME=VALUE";
  const name = nameOf(entry);
  if (name === "") return "there is no name before =";
  // A character is a byte here: U+00A0 is half of another letter.
  return /[ \t\v\f\r\n]/.test(name)
    ? "there is a blank in the name"
    : undefined;
}
