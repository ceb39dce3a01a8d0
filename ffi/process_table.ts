/**
 * All processes at once, as `/proc` shows them.
 *
 * There may be thousands, and whoever looks waits: no error is made of one that
 * has ended meanwhile, and only what is asked of one is taken apart.
 *
 * @module
 */
import { fromBytes } from "./c_string.ts";
import { O_CLOEXEC } from "./descriptor.ts";
import { readDirectory } from "./directory.ts";
import { O_RDONLY } from "./file.ts";
import { bind, Errno, errno, LibcError } from "./libc.ts";

const libc = bind({
  sysconf: { parameters: ["i32" /* int name */], result: "i64" },
  open: {
    parameters: ["buffer", /* const char *path */ "i32" /* int flags */],
    result: "i32",
  },
  read: {
    parameters: ["i32", /* int fd */ "buffer", /* void * */ "usize"],
    result: "i64", // ssize_t
  },
  close: { parameters: ["i32" /* int fd */], result: "i32" },
});

const SC_PAGESIZE = 30;
/** `USER_HZ`, the same on both architectures. */
const TICKS_PER_SECOND = 100;

/**
 * Larger than any `/proc/PID/stat`. Of a longer file the kernel gives about a
 * page at a time.
 */
const PART = 4096;
/** A part that is shorter was the last. */
const SHORT_PART = PART - 64;
/** Fields of that line, from the one behind the name on. */
const STAT = {
  state: 0,
  ppid: 1,
  group: 2,
  session: 3,
  flags: 6,
  userTicks: 11,
  systemTicks: 12,
  childrensUserTicks: 13,
  childrensSystemTicks: 14,
  threads: 17,
  startTicks: 19,
  residentPages: 21,
} as const;
/** `PF_FORKNOEXEC`. */
const FORKED_NOT_EXECED = 0x40;

/** What a process takes of the machine. */
export interface ProcessUsage {
  /** Processor time of it and of the children that it has waited for, in s. */
  readonly cpuSeconds: number;
  /** When it was started, in milliseconds since boot. */
  readonly startedAt: number;
  /** Its memory that is resident, in pages. */
  readonly residentPages: number;
}

/** A process as it was when it was looked at. */
export class ProcessInfo {
  /** Its number. */
  readonly pid: number;
  /** Its parent. */
  readonly ppid: number;
  /** Its process group. */
  readonly group: number;
  /** Its session. */
  readonly session: number;
  /** Whether it has ended, and was not waited for yet. */
  readonly hasEnded: boolean;
  /** Whether it is stopped, as by SIGSTOP. */
  readonly isStopped: boolean;
  readonly #line: string;
  #allFields: string[] | undefined;

  /**
   * @param pid Its number.
   * @param line Its `/proc/PID/stat`.
   */
  constructor(pid: number, line: string) {
    // The second field is a name in parentheses that may hold any character.
    this.#line = line.slice(line.lastIndexOf(")") + 2);
    const fields = this.#line.split(" ", STAT.session + 1);
    const state = fields[STAT.state]!;
    this.pid = pid;
    this.ppid = Number(fields[STAT.ppid]);
    this.group = Number(fields[STAT.group]);
    this.session = Number(fields[STAT.session]);
    this.hasEnded = state === "Z" || state === "X";
    this.isStopped = state === "T" || state === "t";
  }

  /** Whether it is the copy of its parent that it was when it was forked. */
  get isCopy(): boolean {
    return (this.#number("flags") & FORKED_NOT_EXECED) !== 0;
  }

  /** How many threads it has. */
  get threads(): number {
    return this.#number("threads");
  }

  /** What it takes. */
  get usage(): ProcessUsage {
    const ticks = this.#number("userTicks") + this.#number("systemTicks") +
      this.#number("childrensUserTicks") +
      this.#number("childrensSystemTicks");
    return {
      cpuSeconds: ticks / TICKS_PER_SECOND,
      startedAt: this.#number("startTicks") * (1000 / TICKS_PER_SECOND),
      residentPages: this.#number("residentPages"),
    };
  }

  #number(field: keyof typeof STAT): number {
    this.#allFields ??= this.#line.split(" ");
    return Number(this.#allFields[STAT[field]]);
  }
}

/**
 * How large a page of memory is.
 *
 * @returns Bytes.
 */
export function pageSize(): number {
  return Number(libc.sysconf(SC_PAGESIZE));
}

/**
 * Looks at all processes, once at each.
 *
 * @returns Those that `/proc` shows to this user, by their numbers.
 * @throws {LibcError} When `/proc` is not there.
 */
export function readProcesses(): Map<number, ProcessInfo> {
  const found = new Map<number, ProcessInfo>();
  for (const name of readDirectory("/proc")) {
    const pid = Number(name);
    const info = pid > 0 ? readProcess(pid) : undefined;
    if (info !== undefined) found.set(pid, info);
  }
  return found;
}

/**
 * Looks at a process.
 *
 * @param pid The process.
 * @returns What `/proc` says of it; `undefined` when it is gone, or not shown.
 */
export function readProcess(pid: number): ProcessInfo | undefined {
  const line = readIfThere(`/proc/${pid}/stat`);
  return line === undefined ? undefined : new ProcessInfo(pid, line);
}

/**
 * Looks at a process, for whoever takes it for ended when it is not there: that
 * it could not be looked at is no answer then.
 *
 * @param pid The process.
 * @returns What `/proc` says of it; `undefined` when it is gone.
 * @throws {LibcError} Any other reason, as `EMFILE`.
 */
export function readProcessOrFail(pid: number): ProcessInfo | undefined {
  const line = readUnlessGone(`/proc/${pid}/stat`);
  return line === undefined ? undefined : new ProcessInfo(pid, line);
}

/**
 * Asks whether the kernel tells the children of a process. Few are built without.
 *
 * @returns Whether {@linkcode childrenOf} can be used.
 */
export function tellsChildren(): boolean {
  return readIfThere("/proc/thread-self/children") !== undefined;
}

/**
 * The children of a process.
 *
 * @param process The process.
 * @returns Their numbers; some may be missing when others end meanwhile.
 */
export function childrenOf({ pid, threads }: ProcessInfo): number[] {
  // Each thread has those that it has forked.
  const tids = threads === 1 ? [pid] : threadsOf(pid);
  return tids.flatMap((tid) => {
    const text = readIfThere(`/proc/${pid}/task/${tid}/children`);
    return text ? text.trimEnd().split(" ").map(Number) : [];
  });
}

function threadsOf(pid: number): string[] {
  try {
    return readDirectory(`/proc/${pid}/task`);
  } catch (error) {
    if (error instanceof LibcError) return [];
    throw error;
  }
}

const encoder = new TextEncoder();
let name: Uint8Array<ArrayBuffer> | undefined;
let part: Uint8Array<ArrayBuffer> | undefined;

/** Reads a file of a process that may have ended by now. */
function readIfThere(path: string): string | undefined {
  try {
    return readUnlessGone(path);
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}

function readUnlessGone(path: string): string | undefined {
  name ??= new Uint8Array(64);
  part ??= new Uint8Array(PART);
  encoder.encodeInto(`${path}\0`, name);
  let fd: number;
  do fd = libc.open(name, O_RDONLY | O_CLOEXEC); while (wasInterrupted(fd));
  if (fd === -1) return goneOrFail("open", errno());
  let text = "";
  let length: number;
  do {
    length = Number(libc.read(fd, part, BigInt(PART)));
    if (length > 0) text += fromBytes(part.subarray(0, length));
  } while (length > SHORT_PART || wasInterrupted(length));
  const why = errno();
  libc.close(fd);
  return length < 0 ? goneOrFail("read", why) : text;
}

function wasInterrupted(result: number): boolean {
  return result === -1 && errno() === Errno.EINTR;
}

/** It may have ended since it was opened: ESRCH. */
function goneOrFail(call: string, why: number): undefined {
  if (why === Errno.ENOENT || why === Errno.ESRCH) return undefined;
  throw new LibcError(call, why);
}
