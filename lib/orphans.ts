/**
 * Ending what a monitor has started that was killed before its caller heard that
 * the daemon is ready.
 *
 * @module
 */
import { waitKilled } from "../ffi/child.ts";
import { close } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { readProcess, readProcesses } from "../ffi/process_table.ts";
import { Signal } from "../ffi/signal.ts";
import { bootTime, waitReadable } from "../ffi/wait.ts";
import { passOn } from "./pass_on.ts";
import {
  hasEnded,
  prove,
  type ProvenProcess,
  sendSignal,
  SignalRefused,
} from "./proven_process.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** How long they may take to end. */
const ORPHAN_MS = 10_000;
/** How often to look for more, which they may have forked meanwhile. */
const LOOKS = 20;

/**
 * Ends what a child has started that a signal killed before it said that it was
 * ready: a monitor's daemon may be a command already, and know nothing of that.
 * The caller is about to be told that the start has failed, and may make another:
 * nothing may run then that nobody looks after. Returns when all have ended, or
 * when that takes too long.
 *
 * They are in the session that the child leads, if it leads one. A daemon cannot
 * leave it: from before its exec on it leads a process group, and no leader of a
 * group may begin a session. While the child was not waited for, its number is no
 * other session's; so who is in that session by the number, with a descriptor
 * open, is one of them.
 *
 * @param leader The child; it is left to be waited for.
 */
export function endOrphans(leader: number): void {
  if (!waitKilled(leader)) return;
  const told = new Map<number, ProvenProcess | undefined>();
  try {
    for (let look = 0; look < LOOKS; look++) {
      const found = orphansOf(leader).filter((pid) => !told.has(pid));
      if (found.length === 0) break;
      for (const pid of found) told.set(pid, tell(pid, leader));
    }
    const held = [...told.values()].filter((orphan) => orphan !== undefined);
    const left = awaitEnds(held).map(({ pid }) => pid);
    if (left.length === 0) return;
    const still = left.length === 1
      ? "was told to end, and still runs"
      : "were told to end, and still run";
    vlog.warn(`pid ${left.join(", ")} ${still}`);
  } finally {
    for (const orphan of told.values()) {
      if (orphan !== undefined) close(orphan.pidfd);
    }
  }
}

function orphansOf(leader: number): number[] {
  return [...readProcesses().values()]
    .filter(({ pid, session, hasEnded }) =>
      session === leader && pid !== leader && !hasEnded
    )
    .map(({ pid }) => pid);
}

/** @returns The orphan, to be waited for, if it can be. */
function tell(pid: number, leader: number): ProvenProcess | undefined {
  let orphan: ProvenProcess | undefined;
  try {
    orphan = prove(pid, () => readProcess(pid)?.session === leader);
    if (orphan !== undefined) sendSignal(orphan, Signal.SIGTERM);
    return orphan;
  } catch (error) {
    // It is another user's by now.
    if (error instanceof SignalRefused) return orphan;
    if (!(error instanceof LibcError)) throw error;
    // Linux before 5.3: by its number, which was its a moment ago.
    passOn(Signal.SIGTERM, pid);
    return undefined;
  }
}

/** @returns Those that have not ended in time. */
function awaitEnds(orphans: readonly ProvenProcess[]): ProvenProcess[] {
  const deadline = bootTime() + ORPHAN_MS;
  for (;;) {
    const left = orphans.filter((orphan) => !hasEnded(orphan));
    const patience = deadline - bootTime();
    if (left.length === 0 || patience <= 0) return left;
    waitReadable(left.map(({ pidfd }) => pidfd), Math.ceil(patience));
  }
}
