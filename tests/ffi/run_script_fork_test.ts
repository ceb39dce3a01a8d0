import { assertEquals } from "@std/assert/equals";
import { CallScript } from "../../ffi/call_script.ts";
import { cString } from "../../ffi/c_string.ts";
import { Errno } from "../../ffi/libc.ts";
import { getpid } from "../../ffi/process.ts";
import { runScript } from "../../ffi/run_script.ts";
import { decodeWaitStatus, type WaitStatus } from "../../ffi/wait_status.ts";
import { isAlive } from "../proc.ts";
import "../open_libc.ts";

/** CLONE_VFORK, CLONE_VM, SIGCHLD: the child has our memory while we wait. */
const FORK = 0x4000 | 0x100 | 17;

/** What became of a child. */
interface Forked {
  /** What `clone()` returned to us. */
  readonly pid: bigint;
  /** What `wait4()` returned. */
  readonly waited: bigint;
  /** How it ended. */
  readonly status: WaitStatus;
  /** What a word holds that the child's steps may set. */
  readonly noted: bigint;
}

/** Has a script fork and wait; `child` adds the steps of its child. */
function forkAndWait(
  child: (script: CallScript, noted: ReturnType<CallScript["cell"]>) => void,
): Forked {
  const script = new CallScript();
  const [pid, waited, noted] = [script.cell(), script.cell(), script.cell()];
  const status = script.bytes(new Uint8Array(4));
  script.step("fork", "clone", [FORK], {
    result: pid,
    failed: "return",
    positive: "wait",
  });
  child(script, noted);
  script.step("wait", "wait4", [pid, status], { result: waited });
  script.step("return", "return");
  const valueOf = runScript(script);
  const value = Number(BigInt.asIntN(32, valueOf({ cell: status.place })));
  return {
    pid: valueOf(pid),
    waited: valueOf(waited),
    status: decodeWaitStatus(value),
    noted: valueOf(noted),
  };
}

/** Adds a step that becomes a program. */
function exec(script: CallScript, path: string, ...args: string[]): void {
  const [file, ...rest] = [path, ...args].map((argument) =>
    script.bytes(cString(argument))
  );
  const argv = script.pointers([file!, ...rest]);
  script.step("exec", "execve", [file!, argv, script.pointers([])]);
}

Deno.test("runScript() forks, and waits for a child that exits", () => {
  const { pid, waited, status } = forkAndWait((script) =>
    script.step("exit", "exit_group", [7], { positive: "exit" })
  );
  assertEquals(waited, pid);
  assertEquals(status, { kind: "exited", code: 7 });
  assertEquals(isAlive(Number(pid)), false);
});

Deno.test("runScript() forks a child with a pid of its own", () => {
  const { pid, noted } = forkAndWait((script, noted) => {
    // Into our own word: the child has our memory.
    script.step("note", "getpid", [], { result: noted });
    script.step("exit", "exit_group", [0]);
  });
  assertEquals(noted, pid);
});

Deno.test("runScript() forks a child of this process", () => {
  const { noted } = forkAndWait((script, noted) => {
    script.step("note", "getppid", [], { result: noted });
    script.step("exit", "exit_group", [0]);
  });
  assertEquals(noted, BigInt(getpid()));
});

Deno.test("runScript() forks, and waits for a program", () => {
  const { pid, waited, status } = forkAndWait((script) => {
    exec(script, "/bin/sh", "-c", 'exit "$1"', "sh", "5");
    script.step("exit", "exit_group", [99]);
  });
  assertEquals(waited, pid);
  assertEquals(status, { kind: "exited", code: 5 });
});

Deno.test("runScript() has a child go on that cannot become a program", () => {
  const { status, noted } = forkAndWait((script, noted) => {
    const nothing = script.bytes(cString("/proc/self/none"));
    const operands = [nothing, script.pointers([]), script.pointers([])];
    script.step("exec", "execve", operands, { result: noted });
    script.step("exit", "exit_group", [99]);
  });
  assertEquals(noted, BigInt(-Errno.ENOENT));
  assertEquals(status, { kind: "exited", code: 99 });
});

Deno.test("runScript() forks a hundred times in one script", () => {
  const script = new CallScript();
  const pids = Array.from({ length: 100 }, () => script.cell());
  const status = script.bytes(new Uint8Array(4));
  pids.forEach((pid, i) => {
    const wait = `wait ${i}`;
    const after = { result: pid, failed: "return", positive: wait };
    script.step(`fork ${i}`, "clone", [FORK], after);
    script.step(`exit ${i}`, "exit_group", [0]);
    script.step(wait, "wait4", [pid, status], { failed: "return" });
  });
  script.step("return", "return");
  const seen = pids.map(runScript(script));
  assertEquals(seen.filter((pid) => pid <= 0n), []);
  assertEquals(new Set(seen).size, seen.length);
});
