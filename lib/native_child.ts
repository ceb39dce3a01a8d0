/**
 * Starting children that are programs of tend's own making, in memory.
 *
 * @module
 */
import { close, setCloseOnExec } from "../ffi/descriptor.ts";
import { dup3 } from "../ffi/duplicate.ts";
import { O_RDWR, open } from "../ffi/file.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { fexecve, memfdProgram } from "../ffi/memfd.ts";
import { exitNow } from "../ffi/process.ts";
import { chdir } from "../ffi/working_directory.ts";
import { sparedOfXfsz } from "./file_size_limit.ts";
import { forkForStartup, readStartup } from "./startup.ts";

/** A program, and what it has. */
export interface NativeChild {
  /** Its name in `/proc`. */
  readonly name: string;
  /** Its title. */
  readonly title: string;
  /** The program, an ELF file. */
  readonly image: Uint8Array;
  /** The descriptors that it has, all closed on exec here. */
  readonly fds: readonly number[];
  /** Those of the standard ones that are `/dev/null` for it. */
  readonly nullFds: readonly number[];
  /** What else is done in its process, right before it is executed. */
  readonly prepare?: () => void;
}

/**
 * Starts such a child, in the root directory.
 *
 * @param child The program.
 * @returns Its pid: it is executed.
 * @throws {LibcError} When there is no descriptor or process to be had, or the
 * system forbids such programs.
 */
export function startNative(child: NativeChild): number {
  const { name, image } = child;
  const programFd = sparedOfXfsz(() => memfdProgram(name, image));
  try {
    const forked = forkForStartup({
      role: "daemon",
      coreDumped: false,
      image: undefined,
    });
    if (forked.role === "child") execute(programFd, child);
    const startup = readStartup(forked.pid, forked.startupFd, true);
    if (startup.kind === "ready") return forked.pid;
    const { status } = startup;
    throw new LibcError(
      "fexecve",
      status.kind === "exited" ? status.code : Errno.EIO,
    );
  } finally {
    close(programFd);
  }
}

function execute(
  programFd: number,
  { title, fds, nullFds, prepare }: NativeChild,
): never {
  try {
    const devNull = open("/dev/null", O_RDWR);
    for (const fd of nullFds) if (fd !== devNull) dup3(devNull, fd, 0);
    chdir("/");
    prepare?.();
    for (const fd of fds) setCloseOnExec(fd, false);
    return fexecve(programFd, [title]);
  } catch (error) {
    // Its errno is all that we can say: our parent says it.
    exitNow(error instanceof LibcError ? error.errno & 0xff : 1);
  }
}
