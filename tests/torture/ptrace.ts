/**
 * Stopping other processes at their system calls: `ptrace()`, for x86-64.
 *
 * All is done by the one thread that calls: it alone is the tracer.
 *
 * @module
 */
import { bind, checked, Errno, LibcError } from "../../ffi/libc.ts";

const libc = bind({
  ptrace: {
    parameters: [
      "i32", // enum __ptrace_request op
      "i32", // pid_t pid
      "u64", // void *addr
      "u64", // void *data
    ],
    result: "i64",
  },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
});

const PTRACE_PEEKDATA = 2;
const PTRACE_POKEUSER = 6;
const PTRACE_SYSCALL = 24;
const PTRACE_DETACH = 17;
const PTRACE_SEIZE = 0x4206;
const PTRACE_LISTEN = 0x4208;
const PTRACE_GET_SYSCALL_INFO = 0x420e;
/** Tell system calls from SIGTRAP; follow fork, vfork, clone and exec. */
const OPTIONS = 0x1f;
const EVENT_EXEC = 4;
const EVENT_STOP = 128;
const SIGTRAP = 5;
const STOPPING: readonly number[] = [19, 20, 21, 22];
const WALL = 0x40000000;
const WUNTRACED = 2;

/** Where `struct user` has the registers of a call. */
const USER = { rax: 80, rdx: 96, number: 120 } as const;
/** `struct ptrace_syscall_info`. */
const INFO = { size: 88, op: 0, number: 24, args: 32 } as const;
const OP_ENTRY = 1;

/** Why a process that is traced has stopped, or that it has ended. */
export type Stop =
  /** It is about to make a system call. */
  | {
    readonly kind: "call";
    readonly pid: number;
    readonly number: number;
    readonly args: readonly bigint[];
  }
  /** A system call has been made. */
  | { readonly kind: "made"; readonly pid: number }
  /** It has become another program. */
  | { readonly kind: "exec"; readonly pid: number }
  /** It is new, has made another, or gets a signal. */
  | { readonly kind: "other"; readonly pid: number; readonly signal: number }
  /** SIGSTOP has effect: it is not to be resumed, but to be left. */
  | { readonly kind: "stopped"; readonly pid: number }
  | {
    readonly kind: "ended";
    readonly pid: number;
    readonly code: number | undefined;
    readonly signal: number | undefined;
  };

function ptrace(op: number, pid: number, addr = 0n, data = 0n): void {
  checked(`ptrace(${op})`, libc.ptrace(op, pid, addr, data));
}

/** Traces a child that waits, stopped by SIGSTOP, and all that it forks. */
export function seizeStopped(pid: number): void {
  checked("waitpid", libc.waitpid(pid, new Int32Array(1), WUNTRACED));
  ptrace(PTRACE_SEIZE, pid, 0n, BigInt(OPTIONS));
}

/** Waits for the next stop; `undefined` when nothing is traced any more. */
export function nextStop(): Stop | undefined {
  const word = new Int32Array(1);
  let pid: number;
  try {
    pid = checked("waitpid", libc.waitpid(-1, word, WALL));
  } catch (error) {
    if (error instanceof LibcError && error.errno === Errno.ECHILD) {
      return undefined;
    }
    throw error;
  }
  const status = word[0]!;
  if ((status & 0xff) !== 0x7f) {
    const signal = status & 0x7f;
    return {
      kind: "ended",
      pid,
      code: signal === 0 ? status >> 8 & 0xff : undefined,
      signal: signal === 0 ? undefined : signal,
    };
  }
  const signal = status >> 8 & 0xff;
  const event = status >> 16;
  if (signal === (SIGTRAP | 0x80)) return callOf(pid);
  if (event === EVENT_EXEC) return { kind: "exec", pid };
  if (event === EVENT_STOP && STOPPING.includes(signal)) {
    return { kind: "stopped", pid };
  }
  return { kind: "other", pid, signal: event === 0 ? signal : 0 };
}

function callOf(pid: number): Stop {
  const info = new DataView(new ArrayBuffer(INFO.size));
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(info));
  const size = BigInt(INFO.size);
  unlessGone(
    pid,
    () => ptrace(PTRACE_GET_SYSCALL_INFO, pid, size, address),
  );
  if (info.getUint8(INFO.op) !== OP_ENTRY) return { kind: "made", pid };
  return {
    kind: "call",
    pid,
    number: Number(info.getBigUint64(INFO.number, true)),
    args: [0, 1, 2, 3, 4, 5].map((i) =>
      info.getBigInt64(INFO.args + 8 * i, true)
    ),
  };
}

/** Lets a process go on to its next stop; one that was killed has gone. */
export function resume(stop: Stop): void {
  const signal = stop.kind === "other" ? stop.signal : 0;
  const op = stop.kind === "stopped" ? PTRACE_LISTEN : PTRACE_SYSCALL;
  unlessGone(stop.pid, () => ptrace(op, stop.pid, 0n, BigInt(signal)));
}

/** Lets a process go for good. */
export function detach(pid: number): void {
  unlessGone(pid, () => ptrace(PTRACE_DETACH, pid));
}

/** Has the call that a process is about to make not be made. */
export function skipCall(pid: number): void {
  ptrace(PTRACE_POKEUSER, pid, BigInt(USER.number), 0xffff_ffff_ffff_ffffn);
}

/** Has a call that was not made return an error. */
export function failWith(pid: number, errno: number): void {
  const result = BigInt.asUintN(64, BigInt(-errno));
  ptrace(PTRACE_POKEUSER, pid, BigInt(USER.rax), result);
}

/** Has a `read()` or `write()` that is about to be made be of less. */
export function setThirdArgument(pid: number, value: bigint): void {
  ptrace(PTRACE_POKEUSER, pid, BigInt(USER.rdx), value);
}

/** The word at an address of a process that is stopped. */
export function wordAt(pid: number, address: bigint): bigint {
  // libc's wrapper returns it, or -1.
  return BigInt(libc.ptrace(PTRACE_PEEKDATA, pid, address, 0n));
}

/** The text at an address of a process that is stopped. */
export function textAt(pid: number, address: bigint): string {
  const bytes: number[] = [];
  const word = new BigInt64Array(1);
  // -1 is a word too, and no path has it.
  for (let at = address; bytes.length < 4096; at += 8n) {
    word[0] = wordAt(pid, at);
    for (const byte of new Uint8Array(word.buffer)) {
      if (byte === 0) return new TextDecoder().decode(new Uint8Array(bytes));
      bytes.push(byte);
    }
    if (word[0] === -1n) return "";
  }
  return "";
}

/** SIGKILL takes a process away in the midst of a stop. */
function unlessGone(pid: number, act: () => void): void {
  try {
    act();
  } catch (error) {
    // By what is to be seen: the errno may be that of a call of the runtime's.
    if (!(error instanceof LibcError) || isStopped(pid)) throw error;
  }
}

function isStopped(pid: number): boolean {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return /^State:\tt/m.test(status);
  } catch (error) {
    // ESRCH too, from one that ends while it is read.
    if (error instanceof Error) return false;
    throw error;
  }
}
