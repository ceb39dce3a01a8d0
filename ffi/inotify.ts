/**
 * Being told of what happens to files: inotify.
 *
 * @module
 */
import { type CString, cString } from "./c_string.ts";
import { close } from "./descriptor.ts";
import { bind, checked, Errno, LibcError } from "./libc.ts";

const libc = bind({
  inotify_init1: { parameters: ["i32" /* int flags */], result: "i32" },
  inotify_add_watch: {
    parameters: [
      "i32", // int fd
      "buffer", // const char *path
      "u32", // uint32_t mask
    ],
    result: "i32",
  },
  inotify_rm_watch: {
    parameters: ["i32", /* int fd */ "i32" /* int wd */],
    result: "i32",
  },
});

const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;
const IN_MODIFY = 0x2;
const IN_ATTRIB = 0x4;
const IN_CLOSE_WRITE = 0x8;
const IN_OPEN = 0x20;
const IN_MOVED_FROM = 0x40;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_DELETE = 0x200;
const IN_DELETE_SELF = 0x400;
const IN_MOVE_SELF = 0x800;

/**
 * Makes a descriptor that can be read once a name in a directory has come or
 * gone, or a file was written. Other files there may be: our own log.
 *
 * @param directory The directory.
 * @param file The file; it need not be there.
 * @returns The descriptor; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyChanges(directory: CString, file: CString): number {
  const [directoryPath, filePath] = [cString(directory), cString(file)];
  return inotify((fd) => {
    watch(fd, directoryPath, IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE);
    try {
      watch(fd, filePath, IN_MODIFY);
    } catch (error) {
      if (!(error instanceof LibcError && error.errno === Errno.ENOENT)) {
        throw error;
      }
    }
  });
}

/**
 * Makes a descriptor that can be read once a file was written.
 *
 * @param file The file.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyWrites(file: CString): number {
  const path = cString(file);
  return inotify((fd) => watch(fd, path, IN_MODIFY));
}

/**
 * Makes a descriptor that can be read once a name in a directory has come, or
 * the directory itself has gone.
 *
 * @param directory The directory.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyArrivals(directory: CString): number {
  const path = cString(directory);
  const mask = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
  return inotify((fd) => watch(fd, path, mask));
}

/**
 * Has a descriptor of inotify be readable also once a file was written. Closing
 * such a descriptor takes the kernel some 10 ms, adding to it nothing.
 *
 * @param inotifyFd The descriptor.
 * @param file The file.
 * @returns What {@linkcode inotifyRemove} takes.
 * @throws {LibcError} `ENOENT`, `EACCES`, `ENOSPC`.
 */
export function inotifyAddWrites(inotifyFd: number, file: CString): number {
  return watch(inotifyFd, cString(file), IN_MODIFY);
}

/**
 * Ends that. It has ended by itself when the file is gone.
 *
 * @param inotifyFd The descriptor.
 * @param added What was returned then.
 */
export function inotifyRemove(inotifyFd: number, added: number): void {
  libc.inotify_rm_watch(inotifyFd, added);
}

/**
 * Makes a descriptor that can be read once a process has let go of a file that
 * it could write to.
 *
 * @param file The file.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyCloses(file: CString): number {
  const path = cString(file);
  return inotify((fd) => watch(fd, path, IN_CLOSE_WRITE));
}

/**
 * Makes a descriptor that can be read once a file in a directory was opened, as
 * the kernel opens what it executes.
 *
 * @param directory The directory.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyOpens(directory: CString): number {
  const path = cString(directory);
  return inotify((fd) => watch(fd, path, IN_OPEN));
}

/**
 * Makes a descriptor that can be read once something in a directory has come,
 * gone or changed, or the directory itself has gone.
 *
 * @param directory The directory.
 * @returns The descriptor, which does not block; it is closed on exec.
 * @throws {LibcError} `ENOENT`, `EACCES`, `EMFILE`, `ENOSPC`.
 */
export function inotifyDirectory(directory: CString): number {
  const path = cString(directory);
  const mask = IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB |
    IN_DELETE_SELF | IN_MOVE_SELF;
  return inotify((fd) => watch(fd, path, mask));
}

function inotify(addWatches: (fd: number) => void): number {
  const flags = IN_CLOEXEC | IN_NONBLOCK;
  const fd = checked("inotify_init1", libc.inotify_init1(flags));
  try {
    addWatches(fd);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

function watch(
  fd: number,
  path: Uint8Array<ArrayBuffer>,
  mask: number,
): number {
  return checked("inotify_add_watch", libc.inotify_add_watch(fd, path, mask));
}
