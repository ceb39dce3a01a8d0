/**
 * Process groups.
 *
 * @module
 */
import { addressOf, CallScript, type Place } from "./call_script.ts";
import { bind, checked, LibcError } from "./libc.ts";
import { runScript } from "./run_script.ts";
import { KERNEL_SIGSET_SIZE, SIG_SETMASK } from "./signal.ts";
import { SILENT_VFORK, WAIT_ALL } from "./system_calls.ts";
import { decodeWaitStatus, exitStatusOf } from "./wait_status.ts";

const libc = bind({
  kill: {
    parameters: ["i32", /* pid_t */ "i32" /* int sig */],
    result: "i32",
  },
  setpgid: {
    parameters: ["i32", /* pid_t */ "i32" /* pid_t pgid */],
    result: "i32",
  },
  getpgid: { parameters: ["i32" /* pid_t */], result: "i32" }, // pid_t
});

/** The exit status of a child that was in the group. */
const JOINED = 1;

/**
 * The process group of a process.
 *
 * @param pid The process; 0 for this one.
 * @returns The group; `undefined` when there is no such process.
 */
export function groupOf(pid: number): number | undefined {
  const group = libc.getpgid(pid);
  return group === -1 ? undefined : group;
}

/**
 * Asks whether a process is in the process group of this one.
 *
 * @param pid The process.
 * @returns Whether it is; also when there is no such process.
 */
export function isInOurGroup(pid: number): boolean {
  const group = groupOf(pid);
  return group === undefined || group === groupOf(0);
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
 * Asks whether there is a process group with a process that this one may signal.
 *
 * @param group The group.
 * @returns Whether there is.
 */
export function isGroup(group: number): boolean {
  return libc.kill(-group, 0) === 0;
}

/**
 * Signals all of a process group in the session of this process, whoever is in
 * it, at once.
 *
 * By its number alone another group could be hit, that has the number by now. So
 * a child joins the group first: that can only be done while there is such a
 * group in the child's own session, and from then on the number is that group's.
 * The child has nothing to lose: it holds back all signals, and ends. It shares
 * our memory while we are suspended, and runs no code but a script. No SIGCHLD
 * tells of it: whoever looks again on each of those would look for ever.
 *
 * @param group The group; not that of this process.
 * @param signal The signal's number; not SIGSTOP, which would stop us too.
 * @returns Whether there is such a group in our session.
 * @throws {LibcError} `EAGAIN` and others, when no child can be made.
 */
export function signalGroupFromWithin(group: number, signal: number): boolean {
  const script = new CallScript();
  const pid = script.cell();
  const status = script.cell();
  const [all, old] = [0xff, 0].map((byte) =>
    script.bytes(new Uint8Array(KERNEL_SIGSET_SIZE).fill(byte))
  ) as [Place, Place];
  const mask = (set: Place, before: Place | 0) =>
    [SIG_SETMASK, set, before, KERNEL_SIGSET_SIZE] as const;
  script.step("block", "rt_sigprocmask", mask(all, old));
  script.step("clone", "clone", [SILENT_VFORK, 0], {
    result: pid,
    failed: "restore",
    zero: "join",
    positive: "reap",
  });
  script.step("join", "setpgid", [0, group], { failed: "give up" });
  script.step("signal", "kill", [0, signal]);
  script.step("leave", "exit_group", [JOINED]);
  script.step("give up", "exit_group", [0]);
  script.step("reap", "wait4", [pid, addressOf(status), WAIT_ALL, 0]);
  script.step("restore", "rt_sigprocmask", mask(old, 0));
  script.step("done", "return");

  const word = runScript(script);
  const child = Number(word(pid));
  if (child < 0) throw new LibcError("clone", -child);
  const end = decodeWaitStatus(Number(word(status)));
  // Of SIGKILL it has died itself.
  return end.kind === "signaled" || exitStatusOf(end) === JOINED;
}
