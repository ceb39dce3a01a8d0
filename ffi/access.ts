/**
 * Asking whether a file is there, and what may be done with it.
 *
 * @module
 */
import { type CString, cString } from "./c_string.ts";
import { bind, checked, Errno, errno } from "./libc.ts";

const libc = bind({
  access: {
    parameters: ["buffer", /* const char * */ "i32" /* int mode */],
    result: "i32",
  },
});

const F_OK = 0;
const X_OK = 1;
const W_OK = 2;

/**
 * Asks whether a name is there. That it is not is no error, and costs none.
 *
 * @param path The name; symbolic links are followed.
 * @returns Whether it is; also when we may not look.
 */
export function isThere(path: CString): boolean {
  const name = cString(path);
  return libc.access(name, F_OK) === 0 || errno() !== Errno.ENOENT;
}

/**
 * Checks that a file may be executed, as far as its permission bits tell.
 *
 * @param path The file.
 * @throws {LibcError} `EACCES` when it may not, `ENOENT`.
 */
export function checkExecutable(path: CString): void {
  const name = cString(path);
  checked("access", libc.access(name, X_OK));
}

/**
 * Checks that a file may be written to, as far as its permission bits and its
 * file system tell.
 *
 * @param path The file.
 * @throws {LibcError} `EACCES`, `EROFS` when it may not, `ENOENT`.
 */
export function checkMayWrite(path: CString): void {
  const name = cString(path);
  checked("access", libc.access(name, W_OK));
}

/**
 * Checks that files may be made in a directory, as far as its permission bits
 * and its file system tell.
 *
 * @param path The directory.
 * @throws {LibcError} `EACCES`, `EROFS` when they may not, `ENOENT`, `ENOTDIR`.
 */
export function checkMayMakeFiles(path: CString): void {
  const name = cString(path);
  checked("access", libc.access(name, W_OK | X_OK));
}
