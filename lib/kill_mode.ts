/**
 * Signals to all that a daemon is made of, while it runs and when it has ended.
 *
 * Nobody else is ever hit. While the daemon was not waited for, its number is no
 * other process's, and no other group's. What is left of its group afterwards is
 * signalled from within; members of that are in our session, and so come from
 * the daemon. Of a tree each process is held by a descriptor and proved.
 *
 * @module
 */
import { endedChild, isChild } from "../ffi/child.ts";
import { close } from "../ffi/descriptor.ts";
import { LibcError } from "../ffi/libc.ts";
import { getpid } from "../ffi/process.ts";
import {
  groupOf,
  isGroup,
  isInOurGroup,
  signalGroupFromWithin,
} from "../ffi/process_group.ts";
import { readProcess, readProcesses } from "../ffi/process_table.ts";
import { Signal } from "../ffi/signal.ts";
import { ourselves, visitDescendants } from "./descendants.ts";
import type { MonitorState } from "./monitor_state.ts";
import { passOn } from "./pass_on.ts";
import { familyNow } from "./process_tree.ts";
import {
  hold,
  prove,
  type ProvenProcess,
  sendSignal,
  SignalRefused,
} from "./proven_process.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** How often to look, where not all are found at once; some may fork for ever. */
const LOOKS = 20;

/** What is asked for here of a monitor's state. */
type Killable = Pick<
  MonitorState,
  "killMode" | "daemonPid" | "helpers" | "loggers"
>;

/**
 * Sends a signal to all that a daemon is made of, which was not waited for.
 *
 * @param state What the monitor knows.
 * @param signal The signal's number.
 */
export function signalDaemon(state: Killable, signal: number): void {
  const { killMode, daemonPid } = state;
  switch (killMode) {
    case "process":
      return passOn(signal, daemonPid);
    case "group":
      // Before its exec, or if it has left its group since.
      if (groupOf(daemonPid) !== daemonPid) passOn(signal, daemonPid);
      return passOn(signal, -daemonPid);
    case "tree":
      return signalWholeTree(state, signal);
  }
}

/**
 * Sends a signal to all that a daemon is made of but what is in the process group
 * of this process, which has got it.
 *
 * @param state What the monitor knows.
 * @param signal The signal's number.
 */
export function signalOthers(state: Killable, signal: number): void {
  if (state.killMode === "tree") signalWholeTree(state, signal, isInOurGroup);
}

/**
 * Sends a signal to what is left of a daemon that was waited for.
 *
 * @param state What the monitor knows.
 * @param signal The signal's number.
 */
export function signalLeft(state: Killable, signal: number): void {
  switch (state.killMode) {
    case "process":
      return;
    case "group":
      return signalGroup(state.daemonPid, signal);
    case "tree":
      signalTree(state, signal);
  }
}

/**
 * Asks, at next to no cost, whether anything may be left of a daemon that was
 * waited for.
 *
 * @param state What the monitor knows.
 * @returns Whether to look for it.
 */
export function mayBeLeft(state: Killable): boolean {
  switch (state.killMode) {
    case "process":
      return false;
    case "group":
      // Another user's would be nothing that we could end.
      return isGroup(state.daemonPid);
    case "tree":
      return endedChild() !== "none";
  }
}

/**
 * Looks for what is left of a daemon that was waited for. All children of ours
 * that have ended were waited for too.
 *
 * One that forks a successor and ends, again and again, is not overlooked. Of a
 * tree a child is left as long as we have not waited for it, and its successor is
 * ours before it ends. Of a group, which nobody can look at as a whole, nobody is
 * left when all that are in it are killed at once and none is seen then: there
 * may be some yet who have ended, and whose parents do not wait for them.
 *
 * @param state What the monitor knows.
 * @returns One of its processes, if there is any.
 */
export function someoneLeft(state: Killable): number | undefined {
  if (!mayBeLeft(state)) return undefined;
  const [member] = leftOf(state);
  if (member !== undefined || state.killMode === "tree") return member;
  signalGroup(state.daemonPid, Signal.SIGKILL);
  return leftOf(state)[0];
}

/**
 * What is to be seen of that.
 *
 * @param state What the monitor knows.
 * @returns The processes; of a tree those that have lost their parents.
 */
export function leftOf(state: Killable): number[] {
  switch (state.killMode) {
    case "process":
      return [];
    case "group":
      return membersOf(state.daemonPid);
    case "tree":
      return childrenOfDaemon(state);
  }
}

/**
 * Makes a descriptor that can be read when a process of a group ends, which need
 * not be our child.
 *
 * @param state What the monitor knows.
 * @returns The descriptor; `undefined` when it has ended, or before Linux 5.3.
 */
export function watchLeft(
  { killMode, daemonPid }: Killable,
): number | undefined {
  if (killMode !== "group") return undefined;
  try {
    for (const pid of membersOf(daemonPid)) {
      const process = hold(pid);
      if (process !== undefined) return process.pidfd;
    }
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
  }
  return undefined;
}

/** Those who are in a group of our session, and live. */
function membersOf(group: number): number[] {
  const session = readProcess(getpid())?.session;
  return [...readProcesses().values()]
    .filter((info) => info.group === group && info.session === session)
    // Of several threads the first one may end before the others.
    .filter(({ hasEnded, threads }) => !hasEnded || threads > 1)
    .map(({ pid }) => pid);
}

/** At once where that can be: then no fork escapes. */
function signalGroup(group: number, signal: number): void {
  try {
    signalGroupFromWithin(group, signal);
  } catch (error) {
    // Where no child can be made, or no machine code.
    if (!(error instanceof LibcError)) throw error;
    const session = readProcess(getpid())?.session;
    const isMember = (pid: number) => {
      const info = readProcess(pid);
      return info?.group === group && info.session === session;
    };
    for (const pid of membersOf(group)) {
      const process = prove(pid, () => isMember(pid));
      if (process === undefined) continue;
      try {
        signalOne(process, signal);
      } finally {
        close(process.pidfd);
      }
    }
  }
}

/** The daemon is told whatever cannot be seen: its number is still its own. */
function signalWholeTree(
  state: Killable,
  signal: number,
  isSpared: (pid: number) => boolean = () => false,
): void {
  const { daemonPid } = state;
  const told = signalTree(state, signal, isSpared);
  if (!told.has(daemonPid) && !isSpared(daemonPid)) passOn(signal, daemonPid);
}

/**
 * Parents before their children, which they might replace. Where there are too
 * many to be held at once, those that have lost a parent meanwhile are found by
 * another look; nobody is told twice.
 *
 * @returns Who was told.
 */
function signalTree(
  state: Killable,
  signal: number,
  isSpared: (pid: number) => boolean = () => false,
): Set<number> {
  const pids = new Set<number>();
  const isMeant = (pid: number) => !isHelper(state, pid);
  const told = new Set<string>();
  const tell = (process: ProvenProcess, since: number) => {
    const key = `${process.pid} ${since}`;
    if (!told.has(key) && !isSpared(process.pid)) signalOne(process, signal);
    told.add(key);
    pids.add(process.pid);
  };
  try {
    for (let look = 0; look < LOOKS; look++) {
      const before = told.size;
      const isWhole = visitDescendants(ourselves(), isMeant, tell);
      if (isWhole || told.size === before) break;
    }
  } catch (error) {
    // Linux before 5.3, or no descriptors. A child's number is its own until we
    // wait for it.
    if (!(error instanceof LibcError)) throw error;
    vlog.warn(`${error.message}, signal ${signal} for direct children alone`);
    for (const pid of childrenIfSeen(state)) {
      if (!isSpared(pid) && !pids.has(pid)) passOn(signal, pid);
      pids.add(pid);
    }
  }
  return pids;
}

function signalOne(process: ProvenProcess, signal: number): void {
  try {
    sendSignal(process, signal);
  } catch (error) {
    if (!(error instanceof SignalRefused)) throw error;
    vlog.warn(`${error.message}, signal ${signal} not passed on`);
  }
}

/** The daemon, and what has lost its parent. */
function childrenOfDaemon(state: Killable): number[] {
  const { at, below } = familyNow();
  const self = at(getpid());
  const children = self === undefined ? [] : below(self);
  return children.filter((pid) => !isHelper(state, pid) && isChild(pid));
}

function childrenIfSeen(state: Killable): number[] {
  try {
    return childrenOfDaemon(state);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    return [];
  }
}

function isHelper({ helpers, loggers }: Killable, pid: number): boolean {
  return helpers.includes(pid) || loggers.some((logger) => logger.pid === pid);
}
