/**
 * `fork()` of a process that runs V8.
 *
 * @module
 */
import { bind, checked, Errno, errno, LibcError } from "./libc.ts";
import { threadCount } from "./process.ts";

const libc = bind({
  fork: { parameters: [], result: "i32" }, // pid_t
  madvise: {
    parameters: [
      "u64", // void *addr
      "u64", // size_t length
      "i32", // int advice
    ],
    result: "i32",
  },
  getauxval: { parameters: ["u64" /* unsigned long type */], result: "u64" },
});

const MADV_DOFORK = 11;
const AT_SYSINFO_EHDR = 33n;
const AT_PAGESZ = 6n;
/** Above every user address of both architectures (52 bits on aarch64). */
const ADDRESS_SPACE_END = 1n << 52n;

/** What `fork()` says: which of the two processes this is. */
export type Fork =
  | { readonly role: "parent"; readonly pid: number }
  | { readonly role: "child" };

/** Two ranges of addresses, each a start and a length: all but the vDSO. */
interface Ranges {
  readonly low: readonly [bigint, bigint];
  readonly high: readonly [bigint, bigint];
}

let ranges: Ranges | undefined;

/**
 * Forks, such that the child can go on in JavaScript.
 *
 * V8 marks its memory as not to be inherited (`MADV_DONTFORK`), and the child
 * of a plain `fork()` dies on its way back into JavaScript. So the mark is
 * taken away first. A heap page that V8 mapped between that and `fork()` would
 * still be missing in the child: nothing else is done in between.
 *
 * @returns Which process this is, and in the parent the child's pid.
 * @throws {Error} When the process has more than one thread: the child would
 * have one, and wait for ever for locks and results of the others.
 * @throws {LibcError} When `fork()` or `madvise()` fails: `EAGAIN`, `ENOMEM`.
 */
export function fork(): Fork {
  const threads = threadCount();
  if (threads > 1) {
    throw new Error(
      `fork refused: the process has ${threads} threads and its child would ` +
        "have one (compile with --v8-flags=--single-threaded)",
    );
  }
  const { low, high } = ranges ??= findRanges();
  const { madvise, fork } = libc;
  doFork(madvise(low[0], low[1], MADV_DOFORK));
  doFork(madvise(high[0], high[1], MADV_DOFORK));
  const pid = fork();
  if (pid === 0) return { role: "child" };
  return { role: "parent", pid: checked("fork", pid) };
}

/** `madvise()` passes over what is not mapped, and says `ENOMEM` at the end. */
function doFork(result: number): void {
  if (result === 0) return;
  const why = errno();
  if (why !== Errno.ENOMEM) throw new LibcError("madvise(MADV_DOFORK)", why);
}

/**
 * Finds what lies below and above the pages of the vDSO. Those refuse the
 * advice with `EINVAL`, and `madvise()` would stop there. The kernel maps them
 * in one piece.
 */
function findRanges(): Ranges {
  const { madvise, getauxval } = libc;
  const page = getauxval(AT_PAGESZ);
  const vdso = getauxval(AT_SYSINFO_EHDR);
  const refuses = (address: bigint) =>
    madvise(address, page, MADV_DOFORK) === -1 && errno() === Errno.EINVAL;
  let start = vdso;
  let end = vdso;
  if (vdso !== 0n) {
    while (refuses(start - page)) start -= page;
    while (refuses(end)) end += page;
  }
  return { low: [0n, start], high: [end, ADDRESS_SPACE_END - end] };
}
