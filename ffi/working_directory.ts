/**
 * The working directory, and paths that do not depend on it.
 *
 * @module
 */
import { type CString, cString, toBytes } from "./c_string.ts";
import { PATH_MAX, SLASH } from "./file.ts";
import { bind, checked, errno, LibcError } from "./libc.ts";

const libc = bind({
  chdir: { parameters: ["buffer" /* const char * */], result: "i32" },
  fchdir: { parameters: ["i32" /* int fd */], result: "i32" },
  getcwd: {
    parameters: ["buffer", /* char * */ "usize"],
    result: "pointer", // char *
  },
});

/**
 * Changes the working directory.
 *
 * @param path The directory.
 * @throws {LibcError} `ENOENT`, `EACCES`, `ENOTDIR`.
 */
export function chdir(path: CString): void {
  const name = cString(path);
  checked("chdir", libc.chdir(name));
}

/**
 * Changes the working directory to an open one.
 *
 * @param fd The directory.
 * @throws {LibcError} `ENOTDIR`, `EACCES`.
 */
export function fchdir(fd: number): void {
  checked("fchdir", libc.fchdir(fd));
}

/**
 * The working directory.
 *
 * @returns Its absolute path, as bytes.
 * @throws {LibcError} `ENOENT` when it was removed, `EACCES`.
 */
export function getcwd(): Uint8Array<ArrayBuffer> {
  const path = new Uint8Array(PATH_MAX);
  if (libc.getcwd(path, BigInt(path.length)) === null) {
    throw new LibcError("getcwd", errno());
  }
  return path.slice(0, path.indexOf(0));
}

/**
 * A path that stays the same when the working directory is another.
 *
 * @param path The path.
 * @returns It, or with the working directory before it.
 * @throws {LibcError} As {@linkcode getcwd}.
 */
export function absolutePath(path: CString): Uint8Array<ArrayBuffer> {
  const bytes = toBytes(path);
  return bytes[0] === SLASH
    ? bytes
    : Uint8Array.of(...getcwd(), SLASH, ...bytes);
}
