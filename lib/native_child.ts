/**
 * Starting children that are programs of tend's own making, in memory.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import {
  close,
  pipe2,
  read,
  setCloseOnExec,
  writeFully,
} from "../ffi/descriptor.ts";
import { dup3 } from "../ffi/duplicate.ts";
import { O_RDWR, open } from "../ffi/file.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { fexecve, memfdProgram } from "../ffi/memfd.ts";
import { exitNow } from "../ffi/process.ts";
import { waitReadable } from "../ffi/wait.ts";
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

/** No call that a child makes has a longer name. */
const LONGEST_CALL = 64;

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
  const fds = [programFd];
  try {
    const { readFd, writeFd } = pipe2();
    fds.push(readFd, writeFd);
    const forked = forkForStartup({
      role: "daemon",
      coreDumped: false,
      image: undefined,
    });
    if (forked.role === "child") execute(programFd, writeFd, child);
    const startup = readStartup(forked.pid, forked.startupFd, true);
    if (startup.kind === "ready") return forked.pid;
    const { status } = startup;
    throw new LibcError(
      failedCall(readFd),
      status.kind === "exited" ? status.code : Errno.EIO,
    );
  } finally {
    fds.forEach(close);
  }
}

/** What a child that has ended has said of the call that failed. */
function failedCall(readFd: number): string {
  // One that was killed has said nothing, and we have its pipe ourselves.
  if (waitReadable([readFd], 0) === undefined) return "fexecve";
  const bytes = new Uint8Array(LONGEST_CALL);
  return fromBytes(bytes.subarray(0, read(readFd, bytes)));
}

function execute(
  programFd: number,
  callFd: number,
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
    // Our parent says it; whatever happens to that, nothing else runs here.
    try {
      if (error instanceof LibcError) writeFully(callFd, error.call);
    } finally {
      exitNow(error instanceof LibcError ? error.errno & 0xff : 1);
    }
  }
}
