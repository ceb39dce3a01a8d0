/**
 * Starting a program in a session that it does not lead.
 *
 * @module
 */
import { CallScript } from "./call_script.ts";
import { type CString, cString, CStringArray } from "./c_string.ts";
import { waitpid } from "./child.ts";
import { bind, checked, Errno, LibcError } from "./libc.ts";
import { runScript } from "./run_script.ts";
import {
  alteredSignals,
  KERNEL_SIGACTION_SIZE,
  KERNEL_SIGSET_SIZE,
  SIG_SETMASK,
  Signal,
  sigset,
} from "./signal.ts";
import { VFORK } from "./system_calls.ts";

const libc = bind({
  prctl: { parameters: ["i32", /* int op */ "u64"], result: "i32" },
});

const PR_SET_PDEATHSIG = 1;
const CLONE_PARENT = 0x8000;

/**
 * Starts a program as a child of this process, in a session of its own that it
 * does not lead: it can never gain a terminal. Unlike `fork()` it does not
 * matter how many threads this process has. The program begins with no signal
 * blocked, and gets SIGTERM if this process ends before it has called
 * {@linkcode outliveParent}.
 *
 * The leader is a process between the two, which makes the session, starts the
 * program as its own parent's child and ends. Both share our memory while this
 * thread is suspended, so they run no code but a script. Our signal handlers
 * are not theirs to run either: all signals are blocked, and have their default
 * effect before they are let through.
 *
 * @param path The program.
 * @param argv Its arguments, with its name first.
 * @param env Its environment.
 * @param pass A descriptor that it gets, and the number that it has there.
 * @returns Its pid.
 * @throws {LibcError} `EAGAIN`, `ENOENT` and others.
 */
export function spawnInNewSession(
  path: CString,
  argv: readonly CString[],
  env: readonly CString[],
  pass: { readonly fd: number; readonly as: number },
): number {
  const [args, variables] = [new CStringArray(argv), new CStringArray(env)];
  const script = new CallScript();
  const leader = script.cell();
  const session = script.cell();
  const pid = script.cell();
  const failure = script.cell();
  const none = script.bytes(sigset([]).subarray(0, KERNEL_SIGSET_SIZE));
  const all = script.bytes(new Uint8Array(KERNEL_SIGSET_SIZE).fill(0xff));
  const old = script.bytes(new Uint8Array(KERNEL_SIGSET_SIZE));
  const byDefault = script.bytes(new Uint8Array(KERNEL_SIGACTION_SIZE));
  const file = script.bytes(cString(path));
  const addressOf = ({ pointers }: CStringArray) =>
    Deno.UnsafePointer.value(
      Deno.UnsafePointer.of(new Uint8Array(pointers.buffer)),
    );
  const failed = { result: failure, failed: "give up" };

  script.step("block", "rt_sigprocmask", [
    SIG_SETMASK,
    all,
    old,
    KERNEL_SIGSET_SIZE,
  ]);
  script.step("clone leader", "clone", [VFORK, 0], {
    result: leader,
    failed: "restore",
    zero: "lead",
    positive: "reap",
  });
  script.step("lead", "setsid", [], { result: session, failed: "leave" });
  script.step("clone program", "clone", [VFORK | CLONE_PARENT, 0], {
    result: pid,
    failed: "leave",
    zero: "follow",
    positive: "leave",
  });
  // Whoever is interrupted while it waits for the program wants it no more.
  const endWithUs = [PR_SET_PDEATHSIG, Signal.SIGTERM];
  script.step("follow", "prctl", endWithUs, failed);
  script.step("pass", "dup3", [pass.fd, pass.as, 0], failed);
  for (const signal of alteredSignals().caught) {
    const operands = [signal, byDefault, 0, KERNEL_SIGSET_SIZE];
    script.step(`default ${signal}`, "rt_sigaction", operands, failed);
  }
  script.step("unblock", "rt_sigprocmask", [
    SIG_SETMASK,
    none,
    0,
    KERNEL_SIGSET_SIZE,
  ]);
  script.step("execute", "execve", [
    file,
    addressOf(args),
    addressOf(variables),
  ], failed);
  script.step("give up", "exit_group", [127]);
  script.step("leave", "exit_group", [0]);
  script.step("reap", "wait4", [leader, 0, 0, 0]);
  script.step("restore", "rt_sigprocmask", [
    SIG_SETMASK,
    old,
    0,
    KERNEL_SIGSET_SIZE,
  ]);
  script.step("done", "return");

  const word = runScript(script);
  for (const cell of [leader, pid]) {
    const result = Number(word(cell));
    if (result < 0) throw new LibcError("clone", -result);
  }
  const begun = Number(word(session));
  if (begun < 0) throw new LibcError("setsid", -begun);
  const child = Number(word(pid));
  const why = Number(word(failure));
  if (why < 0) {
    waitpid(child);
    throw new LibcError("exec", -why);
  }
  // The leader was killed before it came to that.
  if (child === 0) throw new LibcError("clone", Errno.ESRCH);
  return child;
}

/**
 * Lets this process go on when its parent ends.
 *
 * @throws {LibcError} Does not happen on Linux.
 */
export function outliveParent(): void {
  checked("prctl(PR_SET_PDEATHSIG)", libc.prctl(PR_SET_PDEATHSIG, 0n));
}
