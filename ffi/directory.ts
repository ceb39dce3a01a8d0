/**
 * Listing directories; `Deno.readDirSync` of `/proc` wants every permission.
 *
 * @module
 */
import { type CString, cString } from "./c_string.ts";
import { bind, clearErrno, errno, LibcError } from "./libc.ts";

const libc = bind({
  opendir: { parameters: ["buffer" /* const char * */], result: "pointer" },
  readdir: { parameters: ["pointer" /* DIR * */], result: "pointer" },
  closedir: { parameters: ["pointer" /* DIR * */], result: "i32" },
});

/** Where the name starts in `struct dirent`, the same on both architectures. */
const D_NAME = 19;

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
  const directory = opendir(name);
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
