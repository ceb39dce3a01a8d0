/**
 * Files in directories where anybody can put them, as `/tmp`. What another user
 * has put there must not lead us, who may be root, to a file of somebody else's,
 * and is not ours to remove or to write to.
 *
 * The kernel sees to some of this where `fs.protected_symlinks` and its like are
 * set. Not everywhere are they, and never against the directory's owner.
 *
 * @module
 */
import { type CString, toBytes } from "../ffi/c_string.ts";
import { close } from "../ffi/descriptor.ts";
import { O_NOFOLLOW, O_PATH, open, readLinkAt, SLASH } from "../ffi/file.ts";
import {
  type FileStat,
  fstat,
  isRegularFile,
  isSymbolicLink,
  statFile,
} from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { geteuid } from "../ffi/user.ts";

const OTHERS_MAY_WRITE = 0o002;
const OTHER_NAME = "it has another name too; remove it";

/** A file that is another user's doing. */
export class ForeignFileError extends LibcError {
  readonly #reason: string;

  /**
   * @param call The call that it was found at.
   * @param reason In what way it is.
   */
  constructor(call: string, reason: string) {
    super(call, Errno.EPERM);
    this.#reason = reason;
    this.message = `${call} failed (${reason})`;
  }

  /** In what way it is. */
  override get reason(): string {
    return this.#reason;
  }
}

/**
 * Opens a file as `open()` does, but does not follow a symbolic link that
 * another user but root has put where anybody can.
 *
 * @param path The file.
 * @param flags As for `open()`.
 * @param mode The mode of a new file.
 * @returns The descriptor.
 * @throws {LibcError} As `open()`.
 * @throws {ForeignFileError} When it is such a link.
 */
export function openOwnWay(path: CString, flags: number, mode = 0): number {
  const directory = directoryOf(path);
  if (!isShared(directory)) return open(path, flags, mode);
  let refusal: LibcError;
  try {
    const fd = open(path, flags | O_NOFOLLOW, mode);
    // Who only looks is given the link itself.
    if ((flags & O_PATH) === 0 || !isSymbolicLink(fstat(fd))) return fd;
    close(fd);
    refusal = new LibcError("open", Errno.ELOOP);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    // Of a link that a new file would have followed the kernel says EACCES.
    const mayBeLink = error.errno === Errno.ELOOP ||
      error.errno === Errno.EACCES;
    if (!mayBeLink) throw error;
    refusal = error;
  }
  // By a descriptor: the name could be another link's by now.
  const link = open(path, O_PATH | O_NOFOLLOW);
  try {
    const stat = fstat(link);
    if (!isSymbolicLink(stat)) throw refusal;
    if (stat.uid !== 0 && stat.uid !== geteuid()) {
      throw new ForeignFileError(
        "open",
        `it is a symbolic link of user ${stat.uid}; remove it`,
      );
    }
    const target = readLinkAt(link);
    return open(
      target[0] === SLASH
        ? target
        : Uint8Array.of(...toBytes(directory), SLASH, ...target),
      flags,
      mode,
    );
  } finally {
    close(link);
  }
}

/**
 * Says in what way a file is another user's doing.
 *
 * @param path Its name.
 * @param file A look at it, by a descriptor.
 * @param uid The user who is to use it; we are by default.
 * @returns A reason to leave it alone; `undefined` where there is none, as
 * outside of directories where anybody can put files.
 */
export function foreignness(
  path: CString,
  file: FileStat,
  uid: number = geteuid(),
): string | undefined {
  if (file.uid === uid && file.nlink <= 1) return undefined;
  if (!isShared(directoryOf(path))) return undefined;
  return file.uid === uid
    ? OTHER_NAME
    : `it belongs to user ${file.uid}; remove it`;
}

/**
 * Checks that a file, whoever's it is, has not been given a second name where
 * anybody can: by that another user would have us take one daemon for another.
 *
 * @param path Its name.
 * @param fd It.
 * @throws {ForeignFileError} When it has.
 */
export function checkOnlyName(path: CString, fd: number): void {
  const file = fstat(fd);
  if (!isRegularFile(file) || file.nlink <= 1) return;
  if (isShared(directoryOf(path))) {
    throw new ForeignFileError("open", OTHER_NAME);
  }
}

function isShared(directory: CString): boolean {
  try {
    return (statFile(directory).mode & OTHERS_MAY_WRITE) !== 0;
  } catch (error) {
    // Whoever opens the file hears what is wrong.
    if (error instanceof LibcError) return false;
    throw error;
  }
}

/**
 * The directory that a name is in.
 *
 * @param path The name.
 * @returns The directory.
 */
export function directoryOf(path: CString): CString {
  const bytes = toBytes(path);
  const end = bytes.lastIndexOf(SLASH);
  return end === -1 ? "." : end === 0 ? "/" : bytes.subarray(0, end);
}
