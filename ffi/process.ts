/**
 * Processes: who this one is, what becomes of its children.
 *
 * @module
 */
import { type CString, cString, CStringArray, fromBytes } from "./c_string.ts";
import { readFile } from "./file.ts";
import { statFile } from "./file_stat.ts";
import {
  bind,
  checked,
  Errno,
  errno,
  LibcError,
  uninterrupted,
} from "./libc.ts";
import { decodeWaitStatus, type WaitStatus } from "./wait_status.ts";

const libc = bind({
  getpid: { parameters: [], result: "i32" }, // pid_t
  getppid: { parameters: [], result: "i32" }, // pid_t
  setsid: { parameters: [], result: "i32" }, // pid_t
  setpgid: {
    parameters: ["i32", /* pid_t */ "i32" /* pid_t pgid */],
    result: "i32",
  },
  getsid: { parameters: ["i32" /* pid_t */], result: "i32" }, // pid_t
  getpgid: { parameters: ["i32" /* pid_t */], result: "i32" }, // pid_t
  kill: { parameters: ["i32", /* pid_t */ "i32" /* int sig */], result: "i32" },
  sigqueue: {
    parameters: [
      "i32", // pid_t pid
      "i32", // int sig
      "u64", // const union sigval value
    ],
    result: "i32",
  },
  waitpid: {
    parameters: [
      "i32", // pid_t pid
      "buffer", // int *wstatus
      "i32", // int options
    ],
    result: "i32",
  },
  waitid: {
    parameters: [
      "i32", // idtype_t
      "u32", // id_t
      "buffer", // siginfo_t *
      "i32", // int options
    ],
    result: "i32",
  },
  execvp: {
    parameters: [
      "buffer", // const char *file
      "buffer", // char *const argv[]
    ],
    result: "i32",
  },
  execvpe: {
    parameters: [
      "buffer", // const char *file
      "buffer", // char *const argv[]
      "buffer", // char *const envp[]
    ],
    result: "i32",
  },
  execve: {
    parameters: [
      "buffer", // const char *path
      "buffer", // char *const argv[]
      "buffer", // char *const envp[]
    ],
    result: "i32",
  },
  syscall: { parameters: ["i64" /* long number */], result: "i64" },
  _exit: { parameters: ["i32" /* int status */], result: "void" },
  unshare: { parameters: ["i32" /* int flags */], result: "i32" },
});

export const WNOHANG = 1;
export const WEXITED = 4;
export const WNOWAIT = 0x1000000;
const CLD_EXITED = 1;
const P_ALL = 0;
export const P_PID = 1;
/** `siginfo_t` as `waitid()` fills it in. */
export const SIGINFO = { size: 128, code: 8, pid: 16, status: 24 } as const;
const CLONE_THREAD = 0x10000;
/** glibc has a function for it from 2.30 on. */
const SYS_GETTID = Deno.build.arch === "aarch64" ? 178n : 186n;

/**
 * The pid of this process. `Deno.pid` is remembered across `fork()`.
 *
 * @returns The pid.
 */
export function getpid(): number {
  return libc.getpid();
}

/**
 * Whether this is the first thread of its process.
 *
 * @returns Whether it is.
 */
export function isMainThread(): boolean {
  return libc.syscall(SYS_GETTID) === BigInt(libc.getpid());
}

/**
 * The pid of the parent of this process.
 *
 * @returns The pid, 0 when the parent is in another PID namespace.
 */
export function getppid(): number {
  return libc.getppid();
}

/**
 * Begins a session, with this process as its leader and no terminal.
 *
 * @returns The session's id.
 * @throws {LibcError} `EPERM` when this process leads a process group.
 */
export function setsid(): number {
  return checked("setsid", libc.setsid());
}

/**
 * Asks whether a process is in the process group of this one.
 *
 * @param pid The process.
 * @returns Whether it is; also when there is no such process.
 */
export function isInOurGroup(pid: number): boolean {
  const group = libc.getpgid(pid);
  return group === -1 || group === libc.getpgid(0);
}

/**
 * Asks whether this process leads its session.
 *
 * @returns Whether it does.
 */
export function leadsSession(): boolean {
  return libc.getsid(0) === libc.getpid();
}

/**
 * Sends a signal.
 *
 * @param pid A process; a process group when negative.
 * @param signal The signal's number; 0 only asks whether it could be sent.
 * @throws {LibcError} `ESRCH`, `EPERM`.
 */
export function kill(pid: number, signal: number): void {
  checked("kill", libc.kill(pid, signal));
}

/**
 * Sends a signal with a value.
 *
 * @param pid A process.
 * @param signal The signal's number. One below 32 that is pending is not sent
 * once more: it keeps the value that it has.
 * @param value The value.
 * @throws {LibcError} `ESRCH`, `EPERM`, `EAGAIN`.
 */
export function sigqueue(pid: number, signal: number, value: bigint): void {
  checked("sigqueue", libc.sigqueue(pid, signal, value));
}

/**
 * Waits until a child ends.
 *
 * @param pid The child.
 * @returns How it ended.
 * @throws {LibcError} `ECHILD` when there is no such child.
 */
export function waitpid(pid: number): WaitStatus {
  const status = new Int32Array(1);
  uninterrupted(
    "waitpid",
    () => libc.waitpid(pid, new Uint8Array(status.buffer), 0),
  );
  return decodeWaitStatus(status[0]!);
}

/**
 * Waits until a child ends, and leaves it to be waited for: until then its pid,
 * and the id of its process group, are nobody else's.
 *
 * @param pid The child.
 * @returns Whether a signal ended it.
 * @throws {LibcError} `ECHILD` when there is no such child.
 */
export function waitKilled(pid: number): boolean {
  const info = new DataView(new ArrayBuffer(SIGINFO.size));
  const bytes = new Uint8Array(info.buffer);
  const options = WEXITED | WNOWAIT;
  uninterrupted("waitid", () => libc.waitid(P_PID, pid, bytes, options));
  return info.getInt32(SIGINFO.code, true) !== CLD_EXITED;
}

/**
 * Asks for any child that has ended, and leaves it to be waited for.
 *
 * @returns The child; `running` when none has ended, `none` when there is none.
 */
export function endedChild(): number | "running" | "none" {
  const pid = peek(P_ALL, 0);
  if (pid === -1) return "none";
  return pid === 0 ? "running" : pid;
}

/**
 * Asks whether a process is a child that has not been waited for. `/proc` may
 * not tell: of another user's process, as a setuid program is one, or of one
 * that is not dumpable, where it is mounted with `hidepid`.
 *
 * @param pid The process.
 * @returns Whether it is.
 * @throws {LibcError} Does not happen on Linux.
 */
export function isChild(pid: number): boolean {
  if (peekAt(pid) !== undefined) return true;
  const why = errno();
  if (why === Errno.ECHILD || why === Errno.EINVAL) return false;
  throw new LibcError("waitid", why);
}

/** Whether a child has ended, which is left to be waited for. */
function peekAt(pid: number): "running" | "ended" | undefined {
  const ended = peek(P_PID, pid);
  return ended === 0 ? "running" : ended === -1 ? undefined : "ended";
}

/** A child that has ended: 0 when none has, -1 when there is none. */
function peek(idType: number, pid: number): number {
  const info = new DataView(new ArrayBuffer(SIGINFO.size));
  const options = WEXITED | WNOHANG | WNOWAIT;
  const bytes = new Uint8Array(info.buffer);
  if (libc.waitid(idType, pid, bytes, options) === -1) return -1;
  return info.getInt32(SIGINFO.pid, true);
}

/**
 * Makes this process the leader of a process group of its own.
 *
 * @throws {LibcError} `EPERM` when it leads a session.
 */
export function leaveProcessGroup(): void {
  checked("setpgid", libc.setpgid(0, 0));
}

/**
 * Becomes another program, looked up in `PATH` when the name has no slash.
 *
 * @param file The program.
 * @param argv Its arguments, with its name first.
 * @returns Never; this process is another program then.
 * @throws {LibcError} `ENOENT`, `EACCES`, `E2BIG` and others.
 */
export function execvp(file: CString, argv: readonly CString[]): never {
  const path = cString(file);
  const args = new CStringArray(argv);
  libc.execvp(path, new Uint8Array(args.pointers.buffer));
  throw new LibcError("exec", errno());
}

/**
 * Gets ready to become another program with another environment, so that next
 * to nothing is left to do: for a process that has too little memory by then.
 *
 * @param path The program. One that is no ELF file and has no `#!` is a script
 * for `/bin/sh`, as for {@linkcode execvp}.
 * @param argv Its arguments, with its name first.
 * @param env Its environment.
 * @returns Becomes it, or throws as {@linkcode execvp} does.
 * @throws {TypeError} When a string holds a NUL.
 */
export function readyToExec(
  path: CString,
  argv: readonly CString[],
  env: readonly CString[],
): () => never {
  const name = cString(path);
  const [args, variables] = [new CStringArray(argv), new CStringArray(env)];
  const words = new Uint8Array(args.pointers.buffer);
  const entries = new Uint8Array(variables.pointers.buffer);
  const { execvpe } = libc;
  return () => {
    execvpe(name, words, entries);
    // Until here: theirs are the strings.
    void [args, variables];
    throw new LibcError("exec", errno());
  };
}

/**
 * Becomes another program, with another environment.
 *
 * @param file The program's path.
 * @param argv Its arguments, with its name first.
 * @param env Its environment.
 * @returns Never; this process is another program then.
 * @throws {LibcError} `ENOENT`, `EACCES`, `E2BIG` and others.
 */
export function execve(
  file: CString,
  argv: readonly CString[],
  env: readonly CString[],
): never {
  const path = cString(file);
  const [args, variables] = [new CStringArray(argv), new CStringArray(env)];
  libc.execve(
    path,
    new Uint8Array(args.pointers.buffer),
    new Uint8Array(variables.pointers.buffer),
  );
  throw new LibcError("exec", errno());
}

/**
 * Ends this process at once: no hook, no listener and nothing of Deno's runs.
 *
 * @param status The exit status, 0 to 255.
 * @returns Never.
 */
export function exitNow(status: number): never {
  libc._exit(status);
  throw new Error("unreachable: _exit returned");
}

/**
 * How many threads this process has.
 *
 * @returns The number; 2 stands for "several" where `/proc` is not mounted.
 * @throws {LibcError} When neither `/proc` nor `unshare()` tells.
 */
export function threadCount(): number {
  try {
    // A directory's link count is 2 and its subdirectories, one a thread.
    return statFile("/proc/self/task").nlink - 2;
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
  }
  // Changes nothing in a process of one thread, and is refused to others.
  if (libc.unshare(CLONE_THREAD) === 0) return 1;
  if (errno() === Errno.EINVAL) return 2;
  throw new LibcError("unshare(CLONE_THREAD)", errno());
}

/** `PF_FORKNOEXEC`, a bit of the ninth field of `/proc/PID/stat`. */
const PF_FORKNOEXEC = 0x40;

/**
 * Asks whether a child has become another program since it was forked.
 *
 * The kernel clears the flag before it closes what is to be closed on exec, so
 * whoever has seen such a pipe's end gets a true answer. It is true of a child
 * that has ended and was not waited for, too.
 *
 * @param pid The child.
 * @returns Whether it has; where `/proc` does not tell, whether it is alive.
 */
export function hasExeced(pid: number): boolean {
  const fields = procStat(pid);
  // Another PID namespace's has another process under that number.
  if (fields !== undefined && Number(fields[1]) === libc.getpid()) {
    return (Number(fields[6]) & PF_FORKNOEXEC) === 0;
  }
  return !hasEnded(pid);
}

/**
 * Asks whether a child has ended, and leaves it to be waited for.
 *
 * @param pid The child.
 * @returns Whether it has.
 */
export function hasEnded(pid: number): boolean {
  return peekAt(pid) === "ended";
}

/**
 * The fields of `/proc/PID/stat` from the third on, the state.
 *
 * @param pid A process.
 * @returns The fields, or `undefined` when `/proc` does not tell.
 */
export function procStat(pid: number | "self"): string[] | undefined {
  let text: string;
  try {
    text = fromBytes(readFile(`/proc/${pid}/stat`));
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  }
  // The second field is a name in parentheses that may hold any character.
  return text.slice(text.lastIndexOf(")") + 2).trimEnd().split(" ");
}

/**
 * The numbers that a process has in its PID namespaces, ours first.
 *
 * @param pid A process.
 * @returns The pids; empty when `/proc` does not tell.
 */
export function namespacePids(pid: number): number[] {
  let text: string;
  try {
    text = fromBytes(readFile(`/proc/${pid}/status`));
  } catch (error) {
    if (error instanceof LibcError) return [];
    throw error;
  }
  const line = /^NSpid:\s+(.*)$/m.exec(text);
  return line === null ? [] : line[1]!.split(/\s+/).map(Number);
}
