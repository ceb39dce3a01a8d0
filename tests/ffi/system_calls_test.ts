import { assertEquals } from "@std/assert/equals";
import { type SystemCall, systemCall } from "../../ffi/system_calls.ts";
import { run } from "../../scripts/command.ts";
import {
  type Architecture,
  ARCHITECTURES,
  binutil,
  emulator,
  lacks,
  link,
  withTempDir,
} from "../binutils.ts";

/** All of them; one that is missing here does not compile. */
const CALLS: Record<SystemCall, true> = {
  madvise: true,
  read: true,
  pidfd_send_signal: true,
  pidfd_open: true,
  lseek: true,
  setitimer: true,
  kill: true,
  setpgid: true,
  getpgid: true,
  rt_sigtimedwait: true,
  waitid: true,
  rt_sigaction: true,
  rt_sigprocmask: true,
  nanosleep: true,
  getpid: true,
  clone: true,
  getcwd: true,
  wait4: true,
  fcntl: true,
  ftruncate: true,
  chdir: true,
  getppid: true,
  setsid: true,
  write: true,
  writev: true,
  pwrite64: true,
  prctl: true,
  execve: true,
  close: true,
  exit_group: true,
  openat: true,
  newfstatat: true,
  unlinkat: true,
  ppoll: true,
  dup3: true,
  prlimit64: true,
  mmap: true,
  munmap: true,
  ioctl: true,
  fchmod: true,
  clock_gettime: true,
  renameat: true,
  execveat: true,
  recvmsg: true,
  timerfd_settime: true,
};

/** Makes a call that fails, if it can, since all its operands are -1. */
const SOURCES: Record<Architecture, (number: number) => string> = {
  x86_64: (number) => `
    mov $-1, %rdi; mov $-1, %rsi; mov $-1, %rdx
    mov $-1, %r10; mov $-1, %r8; mov $-1, %r9
    mov $${number}, %eax; syscall
`,
  aarch64: (number) => `
    mov x0, #-1; mov x1, #-1; mov x2, #-1
    mov x3, #-1; mov x4, #-1; mov x5, #-1
    mov x8, #${number}; svc #0
`,
};

for (const architecture of ARCHITECTURES) {
  const [emulated] = emulator(architecture);
  const trace = emulated === undefined ? ["strace"] : [emulated, "-strace"];
  const tools = ["as", "ld"].map((name) => binutil(architecture, name));
  const ignore = await lacks([...tools, trace[0]!]);

  /** What the tracer calls these calls, in a process that makes them. */
  const traced = (calls: readonly SystemCall[]) =>
    withTempDir(async (path) => {
      const lines = calls.map((call) =>
        SOURCES[architecture](systemCall(call, architecture))
      );
      const source = `.globl _start\n_start:${lines.join("")}`;
      await link(architecture, source, `${path}/program`, []);
      const [tracer, ...args] = [...trace, `${path}/program`];
      const { output } = await run(tracer!, args);
      const names = [...output.matchAll(/^(?:\d+ )?(\w+)\(/gm)];
      // strace begins with its own.
      return names.map(([, name]) => name).slice(emulated ? 0 : 1);
    });

  // qemu says nothing of an execve() of no path: sleeper_emulated_test.ts.
  const shown = (Object.keys(CALLS) as SystemCall[])
    .filter((call) => !(emulated && call === "execve"));
  // The last one, for nothing comes after it.
  const calls = [
    ...shown.filter((call) => call !== "exit_group"),
    "exit_group" as const,
  ];

  Deno.test({
    name: `systemCall() has the numbers of ${architecture}`,
    ignore,
    fn: async () => assertEquals(await traced(calls), calls),
  });
}

Deno.test("systemCall() has the numbers of this machine by default", () => {
  const here = Deno.build.arch;
  for (const call of Object.keys(CALLS) as SystemCall[]) {
    assertEquals(systemCall(call), systemCall(call, here));
  }
});
