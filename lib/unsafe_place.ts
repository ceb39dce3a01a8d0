/**
 * Places where another user could plant a file: what tend writes as root for a
 * command that is another user's must not be in one.
 *
 * Whoever can change a directory can put a symbolic link there, and have root
 * write, rename and remove where it leads. So all directories on the way have to
 * be root's, and of those that others may write to only such with the sticky bit,
 * where nobody touches what is root's.
 *
 * The last one of a pidfile may be the user's own, as those below `/run` often
 * are. Nothing but names in that very directory are made, renamed or removed
 * there; no link is followed to write, and a file that is there already has to be
 * root's, with one name; what is no regular file is not even opened. So the user
 * can spoil the pidfile of a daemon that is the user's anyway, and nothing else.
 *
 * @module
 */
import { isAbsolute } from "@std/path/is-absolute";
import { dirname } from "@std/path/dirname";
import { join } from "@std/path/join";
import { basename } from "@std/path/basename";
import { type CString, fromUtf8, toBytes } from "../ffi/c_string.ts";
import { readLink } from "../ffi/file.ts";
import {
  type FileStat,
  isSymbolicLink,
  lstatFile,
  S_ISVTX,
} from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";

/** As many symbolic links as the kernel follows. */
const MOST_LINKS = 40;
const WRITE_OF_OTHERS = 0o022;

/**
 * Checks where root makes a pidfile for another user's daemon.
 *
 * @param pidfile The file, an absolute path.
 * @param uid The user.
 * @throws {Error} When somebody could plant one; it says where.
 */
export function checkPidfilePlace(pidfile: string, uid: number): void {
  const directory = resolveSafely(dirname(pidfile), pidfile);
  if (directory === undefined || isRootsAlone(directory.stat)) return;
  const { path, stat } = directory;
  const isSticky = (stat.mode & S_ISVTX) !== 0;
  const isUsers = stat.uid === uid && (stat.mode & WRITE_OF_OTHERS) === 0;
  if (isUsers || (stat.uid === 0 && isSticky)) return;
  refuse(pidfile, path, stat);
}

/**
 * Checks where root logs, which follows symbolic links.
 *
 * @param logFile The file, an absolute path.
 * @throws {Error} When somebody could plant one; it says where.
 */
export function checkLogFilePlace(logFile: CString): void {
  const path = fromUtf8(toBytes(logFile), "the log file");
  const directory = resolveSafely(dirname(path), path);
  if (directory === undefined) return;
  if (!isRootsAlone(directory.stat)) {
    refuse(path, directory.path, directory.stat);
  }
}

interface Place {
  readonly path: string;
  readonly stat: FileStat;
}

/**
 * Follows a path as the kernel does, and checks every directory that decides
 * where it leads: all but the last.
 *
 * @returns The last; `undefined` when it is not there, and root will make it.
 */
function resolveSafely(
  path: string,
  file: string,
  links = { left: MOST_LINKS },
): Place | undefined {
  if (path === "/") return { path, stat: lstatFile(path) };
  const parent = resolveSafely(dirname(path), file, links);
  if (parent === undefined) return undefined;
  const isSafe = isRootsAlone(parent.stat) ||
    (parent.stat.uid === 0 && (parent.stat.mode & S_ISVTX) !== 0);
  if (!isSafe) refuse(file, parent.path, parent.stat);
  const name = basename(path);
  const real = name === ".." ? dirname(parent.path) : join(parent.path, name);
  let stat: FileStat;
  try {
    stat = lstatFile(real);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ENOENT) return undefined;
    throw new Error(`${file}: ${error.message}`, { cause: error });
  }
  // In a directory with the sticky bit anybody may have made it.
  if (!isSymbolicLink(stat)) return { path: real, stat };
  if (stat.uid !== 0) refuse(file, real, stat);
  if (links.left-- === 0) throw new Error(`${file}: too many symbolic links`);
  const target = readLink(real);
  return resolveSafely(
    isAbsolute(target) ? target : `${parent.path}/${target}`,
    file,
    links,
  );
}

function isRootsAlone({ uid, mode }: FileStat): boolean {
  return uid === 0 && (mode & WRITE_OF_OTHERS) === 0;
}

function refuse(
  file: string,
  directory: string,
  { uid, mode }: FileStat,
): never {
  const who = uid === 0
    ? `others may write to it (mode ${(mode & 0o7777).toString(8)})`
    : `it belongs to user ${uid}`;
  throw new Error(
    `${file}: with --user, root makes no file by way of ${directory}, where ` +
      `one could be planted: ${who}`,
  );
}
