/**
 * Letting go of the caller's descriptors.
 *
 * @module
 */
import { close, closesOnExec, O_CLOEXEC, pipe2 } from "../ffi/descriptor.ts";
import { readDirectory } from "../ffi/directory.ts";
import { dup3, isDuplicate } from "../ffi/duplicate.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { O_RDWR, open } from "../ffi/file.ts";

const STANDARD_FDS = [0, 1, 2];

/** Deno makes its duplicates when it starts, so none of their numbers is so high. */
const HIGH_FD = 1024;

/**
 * Puts the standard descriptors on `/dev/null`, and what Deno has duplicated
 * of them. Port of `close_standard_fds()` in daemon.c.
 *
 * As long as one duplicate is open the reader of our output sees no end, and
 * its writer gets no SIGPIPE. All of Deno's own descriptors are closed on
 * exec, so a duplicate without that is the program's, and stays.
 *
 * This lets go of them without a free descriptor, without `/proc` and without
 * `/dev/null`, too: who lacked one would have the caller wait for ever for the
 * end of our output.
 *
 * @param keep A duplicate that stays for now.
 * @throws {LibcError} When `/dev/null` cannot be opened. The descriptors then
 * lead nowhere, if that can be had: reads see the end, writes fail.
 */
export function closeStandardFds(keep = -1): void {
  const duplicates = openOrLowFds().filter((fd) =>
    fd > 2 && fd !== keep && closesOnExec(fd) &&
    STANDARD_FDS.some((standard) => isDuplicate(fd, standard))
  );
  const { fd: nowhere, failure } = openNowhere(duplicates[0]);
  for (const fd of STANDARD_FDS) dup3IfOther(nowhere, fd, 0);
  for (const fd of duplicates) dup3IfOther(nowhere, fd, O_CLOEXEC);
  if (nowhere > 2 && !duplicates.includes(nowhere)) close(nowhere);
  if (failure !== undefined) throw failure;
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

/**
 * Opens `/dev/null`, or what serves for it.
 *
 * @param spare A descriptor whose place it may take where no number is free.
 * @returns It, and why it is another thing, if it is.
 * @throws {LibcError} When there is neither.
 */
function openNowhere(
  spare: number | undefined,
): { fd: number; failure?: LibcError } {
  try {
    return { fd: openDevNull() };
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.EMFILE && spare !== undefined) {
      return { fd: openInPlaceOf(spare) };
    }
    return { fd: openDeadEnd(error), failure: error };
  }
}

/** An end of a pipe whose other end nobody has: nobody waits for it. */
function openDeadEnd(why: LibcError): number {
  try {
    const { readFd, writeFd } = pipe2();
    close(writeFd);
    return readFd;
  } catch (error) {
    throw error instanceof LibcError ? why : error;
  }
}

/** Those that are open, or where that cannot be told all that may be Deno's. */
function openOrLowFds(): number[] {
  try {
    return openFds();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    return Array.from({ length: HIGH_FD }, (_, fd) => fd);
  }
}

/** `dup3()` refuses to copy a descriptor onto itself. */
function dup3IfOther(fd: number, onto: number, flags: number): void {
  if (fd !== onto) dup3(fd, onto, flags);
}

/** With the one that the directory was read through, which is gone. */
function openFds(): number[] {
  return readDirectory("/proc/self/fd").map(Number);
}
