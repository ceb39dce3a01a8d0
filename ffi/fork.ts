/**
 * `fork()` of a process that runs V8.
 *
 * @module
 */
import { addressOf, CallScript, type Cell } from "./call_script.ts";
import { bind, Errno, errno, LibcError, symbol } from "./libc.ts";
import { threadCount } from "./process.ts";
import { type ReadyScript, readyScript } from "./run_script.ts";

const libc = bind({
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

let script: ForkScript | undefined;

/**
 * Forks, such that the child can go on in JavaScript.
 *
 * V8 marks its memory as not to be inherited (`MADV_DONTFORK`), and the child
 * of a plain `fork()` dies on its way back into JavaScript. So the mark is
 * taken away first. A heap page that V8 mapped between that and `fork()` would
 * still be missing in the child, and calling a function is enough to need one:
 * so a script does both, with no JavaScript in between.
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
  script ??= makeScript();
  script.ready.set(script.pid, -1n);
  script.ready.run();
  const pid = Number(script.ready.get(script.pid));
  if (pid === 0) return { role: "child" };
  if (pid > 0) return { role: "parent", pid };
  const advice = Number(script.ready.get(script.advice));
  // It passes over what is not mapped, and says so at the end.
  if (advice !== 0 && advice !== -Errno.ENOMEM) {
    throw new LibcError("madvise(MADV_DOFORK)", -advice);
  }
  throw new LibcError("fork", errno());
}

/** The script, and the words where its results are. */
interface ForkScript {
  readonly ready: ReadyScript;
  readonly advice: Cell;
  readonly pid: Cell;
}

/** libc's own `fork()`: it sees to what the child has of libc's. */
function makeScript(): ForkScript {
  const { low, high } = findRanges();
  const calls = new CallScript();
  const [advice, pid] = [calls.cell(), calls.cell(-1)];
  const fine = calls.cell(-Errno.ENOMEM);
  const advise = (
    label: string,
    [start, length]: readonly [bigint, bigint],
    next: string,
  ) => {
    const check = `${label}?`;
    calls.step(label, "madvise", [start, length, MADV_DOFORK], {
      result: advice,
      failed: check,
      zero: next,
      positive: next,
    });
    calls.step(check, "differ", [addressOf(advice), addressOf(fine)], {
      zero: next,
      positive: "done",
    });
  };
  const address = Deno.UnsafePointer.value(symbol("fork"));
  advise("low", low, "high");
  advise("high", high, "fork");
  calls.step("fork", "invoke", [address], { result: pid });
  calls.step("done", "return");
  return { ready: readyScript(calls), advice, pid };
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
