/**
 * Finds, weighs and ends what the benchmark has started.
 *
 * Supervisors fork, detach, start again and change their titles; no list of
 * pids stays true. But all of them keep the environment that they were given,
 * so everything carries a mark there: the directory that it was started for.
 */
import { fromBytes } from "../../ffi/c_string.ts";
import { endedChild, waitpid } from "../../ffi/child.ts";
import { readDirectory } from "../../ffi/directory.ts";
import { readFile } from "../../ffi/file.ts";
import { bind, checked, LibcError } from "../../ffi/libc.ts";
import { kill } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { Failure } from "../failure.ts";

const libc = bind({
  prctl: { parameters: ["i32", /* int op */ "u64"], result: "i32" },
});

const PR_SET_CHILD_SUBREAPER = 36;
/** The variable that holds the mark. */
const MARK = "TEND_BENCH";
/** How long SIGKILL may take, for a thousand processes too. */
const PATIENCE_MS = 20_000;

/** The environment with the mark of a directory. */
export function marked(directory: string): Record<string, string> {
  return { [MARK]: `${directory}/` };
}

/**
 * Makes this process the parent of the orphans below it. Where PID 1 does not
 * wait for them, as in many a container, they would stay as zombies.
 */
export function adoptOrphans(): void {
  checked("prctl", libc.prctl(PR_SET_CHILD_SUBREAPER, 1n));
}

/** The processes that carry the mark of a directory or of one within it. */
export function pidsMarked(directory: string): number[] {
  const mark = `${MARK}=${directory}/`;
  // A zombie has no environment left: it counts as ended.
  return otherPids().filter((pid) =>
    (proc(pid, "environ") ?? "").split("\0").some((variable) =>
      variable.startsWith(mark)
    )
  );
}

/** The processes that run a program. */
export function pidsRunning(program: string): number[] {
  return otherPids().filter((pid) => exeOf(pid) === program);
}

function otherPids(): number[] {
  return Array.from(Deno.readDirSync("/proc"), ({ name }) => Number(name))
    .filter((pid) => pid > 0 && pid !== Deno.pid);
}

/** A file of a process; `undefined` if it is gone, or not ours to read. */
export function proc(pid: number, file: string): string | undefined {
  return unlessGone(() => fromBytes(readFile(`/proc/${pid}/${file}`)));
}

/** The program that a process runs. */
export function exeOf(pid: number): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/exe`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

/** Whether a process is a monitor that sleeps: then no file is its program. */
export function isAsleep(pid: number): boolean {
  return exeOf(pid)?.startsWith("/memfd:") ?? false;
}

/** PSS, in KiB. */
export function pssOf(pid: number): number {
  const text = proc(pid, "smaps_rollup") ?? "";
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? NaN);
}

/** How often the threads of a process have been taken off a CPU, by thread. */
export function switchesOf(pid: number): Map<string, number> {
  const tids = unlessGone(() => readDirectory(`/proc/${pid}/task`)) ?? [];
  return new Map(tids.map((tid) => {
    const text = proc(pid, `task/${tid}/status`) ?? "";
    const counts = text.matchAll(/^(?:non)?voluntary_ctxt_switches:\s+(\d+)/gm);
    return [
      tid,
      [...counts].reduce((sum, match) => sum + Number(match[1]), 0),
    ];
  }));
}

/**
 * Ends all that carries the mark of a directory.
 *
 * @throws {Failure} Something would not end.
 */
export function endMarked(directory: string): void {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const pids = pidsMarked(directory);
    if (pids.length === 0) return;
    if (performance.now() > deadline) {
      throw new Failure(`these would not end: ${pids.join(", ")}`);
    }
    // The supervisors first: they would start anew what ends before them.
    const isPayload = (pid: number) => exeOf(pid)?.endsWith("/sleep") ? 1 : 0;
    for (const pid of pids.toSorted((a, b) => isPayload(a) - isPayload(b))) {
      unlessGone(() => kill(pid, Signal.SIGKILL));
    }
    pause();
  }
}

/**
 * Waits for the orphans that have come to this process. Deno must have no
 * child then whose end it still waits for: that would be taken away from it.
 */
export function reapOrphans(): void {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const child = endedChild();
    if (child === "none") return;
    // What has been killed may be on its way out still.
    if (child === "running") pause();
    else waitpid(child);
  }
}

/** Without the event loop: this runs where the process is about to end, too. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}

function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    // ENOENT, ESRCH or EACCES, depending on the moment and the owner.
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}
