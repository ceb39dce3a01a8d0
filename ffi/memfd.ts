/**
 * Programs that are no files of a file system.
 *
 * @module
 */
import { type CString, cString, CStringArray } from "./c_string.ts";
import { close, ftruncate } from "./descriptor.ts";
import { environ } from "./environment.ts";
import {
  bind,
  checked,
  Errno,
  errno,
  LibcError,
  uninterrupted,
} from "./libc.ts";

const libc = bind({
  memfd_create: {
    parameters: ["buffer", /* const char *name */ "u32" /* unsigned flags */],
    result: "i32",
  },
  fexecve: {
    parameters: [
      "i32", // int fd
      "buffer", // char *const argv[]
      "pointer", // char *const envp[]
    ],
    result: "i32",
  },
  pwrite: {
    parameters: [
      "i32", // int fd
      "buffer", // const void *
      "usize",
      "i64", // off_t offset
    ],
    result: "i64", // ssize_t
  },
});

/** What is left out of a file when it is all zeros. */
const PAGE = 4096;

const MFD_CLOEXEC = 1;
/** Says that it is to be executed; Linux before 6.3 does not know it. */
const MFD_EXEC = 0x10;

/**
 * Makes a program in memory.
 *
 * @param name Its name in `/proc`.
 * @param image An ELF file.
 * @returns Its descriptor; it is closed on exec.
 * @throws {LibcError} `EMFILE`, `ENOMEM`, `ENOSYS`; `EACCES` when the system
 * forbids such programs.
 */
export function memfdProgram(name: string, image: Uint8Array): number {
  const path = cString(name);
  const create = (flags: number) => libc.memfd_create(path, flags);
  let fd = create(MFD_CLOEXEC | MFD_EXEC);
  if (fd === -1 && errno() === Errno.EINVAL) fd = create(MFD_CLOEXEC);
  checked("memfd_create", fd);
  try {
    writeSparsely(fd, image);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Pages of zeros take memory only when they are written. */
function writeSparsely(fd: number, image: Uint8Array): void {
  ftruncate(fd, image.length);
  for (let at = 0; at < image.length;) {
    const page = new Uint8Array(image.subarray(at, at + PAGE));
    at += page.every((byte) => byte === 0) ? page.length : uninterrupted(
      "pwrite",
      () => libc.pwrite(fd, page, BigInt(page.length), BigInt(at)),
    );
  }
}

/**
 * Becomes the program of a descriptor, with this process's environment.
 *
 * @param fd The program.
 * @param argv Its arguments, with its name first.
 * @returns Never; this process is another program then.
 * @throws {LibcError} `EACCES`, `ENOEXEC`, `ENOMEM` and others.
 */
export function fexecve(fd: number, argv: readonly CString[]): never {
  const args = new CStringArray(argv);
  libc.fexecve(fd, new Uint8Array(args.pointers.buffer), environ());
  throw new LibcError("fexecve", errno());
}
