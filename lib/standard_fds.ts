/**
 * Letting go of the caller's descriptors.
 *
 * @module
 */
import { close, closesOnExec, dup3, O_CLOEXEC } from "../ffi/descriptor.ts";
import { readDirectory } from "../ffi/directory.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { isDuplicate, O_RDWR, open } from "../ffi/file.ts";

const STANDARD_FDS = [0, 1, 2];

/**
 * Puts the standard descriptors on `/dev/null`, and what Deno has duplicated
 * of them. Port of `close_standard_fds()` in daemon.c.
 *
 * As long as one duplicate is open the reader of our output sees no end, and
 * its writer gets no SIGPIPE. All of Deno's own descriptors are closed on
 * exec, so a duplicate without that is the program's, and stays.
 *
 * This works without a free descriptor, too: who has few of them would wait for
 * ever for the end of our output.
 *
 * @param keep A duplicate that stays for now.
 * @throws {LibcError} When `/dev/null` cannot be opened.
 */
export function closeStandardFds(keep = -1): void {
  const duplicates = withoutFree(openFds, firstOpenFds).filter((fd) =>
    fd > 2 && fd !== keep && closesOnExec(fd) &&
    STANDARD_FDS.some((standard) => isDuplicate(fd, standard))
  );
  const [spare] = duplicates;
  const devNull = withoutFree(
    openDevNull,
    spare === undefined ? undefined : () => openInPlaceOf(spare),
  );
  for (const fd of STANDARD_FDS) dup3IfOther(devNull, fd, 0);
  for (const fd of duplicates) dup3IfOther(devNull, fd, O_CLOEXEC);
  if (devNull > 2 && !duplicates.includes(devNull)) close(devNull);
}

/**
 * Closes every descriptor above 2 that a program would inherit: the caller's,
 * which may be its lock or its end of a pipe.
 *
 * @param keep Those that stay.
 */
export function closeInheritedFds(keep: readonly number[] = []): void {
  for (const fd of openFds()) {
    if (fd > 2 && !keep.includes(fd) && closesOnExec(fd) === false) close(fd);
  }
}

function openDevNull(): number {
  return open("/dev/null", O_RDWR);
}

/** Opens `/dev/null` where a duplicate was: no other number is free. */
function openInPlaceOf(duplicate: number): number {
  const original = STANDARD_FDS.find((fd) => isDuplicate(duplicate, fd))!;
  close(duplicate);
  try {
    return openDevNull();
  } catch (error) {
    dup3(original, duplicate, O_CLOEXEC);
    throw error;
  }
}

/** Does something that takes a descriptor, or where none is free another thing. */
function withoutFree<T>(usual: () => T, other: (() => T) | undefined): T {
  try {
    return usual();
  } catch (error) {
    const noneIsFree = error instanceof LibcError &&
      error.errno === Errno.EMFILE;
    if (other === undefined || !noneIsFree) throw error;
    return other();
  }
}

/**
 * Those up to the first that is free: where none is, all below our limit, and
 * so are all that Deno has made. The caller's may be higher.
 */
function firstOpenFds(): number[] {
  const fds: number[] = [];
  for (let fd = 0; closesOnExec(fd) !== undefined; fd++) fds.push(fd);
  return fds;
}

/** `dup3()` refuses to copy a descriptor onto itself. */
function dup3IfOther(fd: number, onto: number, flags: number): void {
  if (fd !== onto) dup3(fd, onto, flags);
}

/** With the one that the directory was read through, which is gone. */
function openFds(): number[] {
  return readDirectory("/proc/self/fd").map(Number);
}
