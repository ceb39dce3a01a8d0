/**
 * Making and listing directories; `Deno.readDirSync` of `/proc` wants every
 * permission.
 *
 * @module
 */
import { type CString, cString } from "./c_string.ts";
import { bind, checked, clearErrno, Errno, errno, LibcError } from "./libc.ts";

const libc = bind({
  mkdir: {
    parameters: ["buffer", /* const char * */ "u32" /* mode_t */],
    result: "i32",
  },
  opendir: { parameters: ["buffer" /* const char * */], result: "pointer" },
  readdir: { parameters: ["pointer" /* DIR * */], result: "pointer" },
  closedir: { parameters: ["pointer" /* DIR * */], result: "i32" },
});

/** Where the name starts in `struct dirent`, the same on both architectures. */
const D_NAME = 19;

/**
 * Makes a directory.
 *
 * @param path Its name.
 * @param mode Its permission bits, less the umask.
 * @throws {LibcError} `EEXIST`, `ENOENT`, `EACCES`.
 */
export function mkdir(path: CString, mode: number): void {
  const name = cString(path);
  checked("mkdir", libc.mkdir(name, mode));
}

/**
 * Lists a directory.
 *
 * @param path The directory.
 * @returns Its names, without `.` and `..`.
 * @throws {LibcError} `ENOENT`, `EACCES`, `ENOTDIR`; `EIO` or `ENOMEM` when not
 * all of it can be read.
 */
export function readDirectory(path: CString): string[] {
  const name = cString(path);
  const { opendir, readdir, closedir } = libc;
  let directory: Deno.PointerValue;
  do directory = opendir(name); while (
    directory === null && errno() === Errno.EINTR
  );
  if (directory === null) throw new LibcError("opendir", errno());
  const names: string[] = [];
  let why: number;
  for (;;) {
    // At the end there is no entry either.
    clearErrno();
    const entry = readdir(directory);
    why = errno();
    if (entry === null) break;
    names.push(Deno.UnsafePointerView.getCString(entry, D_NAME));
  }
  closedir(directory);
  if (why !== 0) throw new LibcError("readdir", why);
  return names.filter((name) => name !== "." && name !== "..");
}
