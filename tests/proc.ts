/**
 * Processes as `/proc` shows them.
 *
 * @module
 */
import type { Sandbox } from "./sandbox.ts";

/** What `/proc/PID/stat` and `/proc/PID/status` say of a process. */
export interface Process {
  /** One letter, `S` for a sleeping one. */
  readonly state: string;
  /** Its parent. */
  readonly ppid: number;
  /** Its process group. */
  readonly pgrp: number;
  /** Its session. */
  readonly session: number;
  /** The number of its controlling terminal; 0 without one. */
  readonly tty: number;
  /** The lines of its `status`, by name. */
  readonly status: ReadonlyMap<string, string>;
}

/** Looks at a process; `undefined` when it has ended, waited for or not. */
export function look(pid: number): Process | undefined {
  try {
    const stat = statOf(pid);
    if (stat.state === "Z" || stat.state === "X") return undefined;
    const status = Deno.readTextFileSync(`/proc/${pid}/status`).split("\n")
      .map((line) => line.split(":\t") as [string, string]);
    return { ...stat, status: new Map(status) };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function statOf(pid: number): Omit<Process, "status"> {
  const [state = "", ...numbers] = statFields(pid);
  const [ppid, pgrp, session, tty] = numbers.map(Number);
  return { state, ppid: ppid!, pgrp: pgrp!, session: session!, tty: tty! };
}

/** Whether a process runs: a zombie does not. */
export function isAlive(pid: number): boolean {
  return look(pid) !== undefined;
}

/** The parent of a process that runs. */
export function parentOf(pid: number): number {
  const process = look(pid);
  if (process === undefined) throw new Error(`pid ${pid} does not run`);
  return process.ppid;
}

/** The children of a process that run. */
export function childrenOf(pid: number): number[] {
  return pids().filter((child) => look(child)?.ppid === pid);
}

/** Those behind its name, which may hold any character. */
function statFields(pid: number): string[] {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** The children of a process that have ended, and that it has not waited for. */
export function zombiesOf(parent: number): number[] {
  return pids().filter((pid) => {
    try {
      const { state, ppid } = statOf(pid);
      return state === "Z" && ppid === parent;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  });
}

/** What `ps` shows of a process, its arguments apart by blanks. */
export function titleOf(pid: number): string {
  return Deno.readTextFileSync(`/proc/${pid}/cmdline`)
    .replace(/\0+$/, "").replaceAll("\0", " ");
}

/** What a process's descriptors refer to, by number. */
export function fdsOf(pid: number): Map<number, string> {
  const fds = new Map<number, string>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      fds.set(Number(name), Deno.readLinkSync(`/proc/${pid}/fd/${name}`));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  return fds;
}

/** Whether a process is a monitor that sleeps: no file holds its program. */
export function isAsleep(pid: number): boolean {
  try {
    // Once it waits: before that it makes itself at home.
    return look(pid)?.state === "S" &&
      Deno.readLinkSync(`/proc/${pid}/exe`).startsWith("/memfd:tend");
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/**
 * Stops a process by SIGSTOP. Returns when it is stopped: until then it may
 * handle, or die of, what is sent to it next.
 */
export async function freeze(box: Sandbox, pid: number): Promise<void> {
  Deno.kill(pid, "SIGSTOP");
  await box.until(`pid ${pid} is stopped`, () => look(pid)?.state === "T");
}

/** The numbers of the signals in a mask of `/proc/PID/status`, as `SigIgn`. */
export function signalsIn(pid: number, mask: string): number[] {
  const bits = BigInt(`0x${look(pid)?.status.get(mask) ?? "0"}`);
  return Array.from({ length: 64 }, (_, i) => i + 1)
    .filter((signal) => (bits >> BigInt(signal - 1)) & 1n);
}

/** The processes in whose environment a text stands. */
export function pidsWithEnvironment(text: string): number[] {
  const kernels = kernelTasks();
  return pids().filter((pid) => {
    if (kernels.has(pid)) return false;
    try {
      return environmentOf(pid).includes(text);
    } catch (error) {
      if (isGone(error) || error instanceof Deno.errors.PermissionDenied) {
        return false;
      }
      throw error;
    }
  });
}

/**
 * The kernel's own tasks, where they are seen: to fail to read the environment
 * of each takes longer than to read those of all processes.
 */
function kernelTasks(): Set<number> {
  try {
    if (Deno.readTextFileSync("/proc/2/comm") !== "kthreadd\n") {
      return new Set();
    }
    const children = Deno.readTextFileSync("/proc/2/task/2/children");
    return new Set([2, ...children.trim().split(" ").map(Number)]);
  } catch (error) {
    if (isGone(error)) return new Set();
    throw error;
  }
}

/** A process that is just becoming another program has none for a moment. */
function environmentOf(pid: number): string {
  for (;;) {
    const text = Deno.readTextFileSync(`/proc/${pid}/environ`);
    if (text !== "") return text;
    const fields = statFields(pid);
    const [vsize, code] = [fields[20], fields[23]];
    const [start, end] = [fields[47], fields[48]];
    // A task of the kernel's, or one that was really given none: where its code
    // begins is noted last. It may have been given some since we read them.
    if (vsize === "0" || (code !== "0" && start === end)) return "";
  }
}

function pids(): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name))
    .filter((pid) => pid > 0);
}

/** Whether an error says that there is no such file or process any more. */
export function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    // ESRCH, from a process that ends while it is read.
    (error instanceof Error && error.message.includes("os error 3"));
}
