import { assertEquals } from "@std/assert/equals";
import { getrlimit, RLIMITS } from "../../ffi/limit.ts";
import { type Sleep, sleeperImage } from "../../ffi/sleeper.ts";
import type { Proof } from "../../ffi/sleeper_proof.ts";
import { systemCall } from "../../ffi/system_calls.ts";
import { run } from "../../scripts/command.ts";
import {
  type Architecture,
  binutil,
  emulator,
  lacks,
  link,
  must,
  withTempDir,
} from "../binutils.ts";
import { freeze, look } from "../proc.ts";
import { type Running, Sandbox } from "../sandbox.ts";
import { makeFifo, NAME, wake } from "../sleepers.ts";
import "../open_libc.ts";

/** The machine that this is not. */
const OTHER: Architecture = Deno.build.arch === "x86_64" ? "aarch64" : "x86_64";
const [QEMU] = emulator(OTHER) as [string];
const TOOLS = ["as", "ld"].map((name) => binutil(OTHER, name));
const LACKS_QEMU = await lacks([QEMU]);
const LACKS_TOOLS = await lacks([QEMU, ...TOOLS]);

/** Programs that write their arguments, each on a line, and their environment. */
const SHOW: Record<Architecture, string> = {
  x86_64: `
      lea 8(%rsp), %rbx
      call list; call list
      xor %edi, %edi; mov $60, %eax; syscall
list: mov (%rbx), %rsi; add $8, %rbx; test %rsi, %rsi; jz 2f
      mov $-1, %rdx
1:    inc %rdx; cmpb $0, (%rsi,%rdx); jne 1b
      movb $10, (%rsi,%rdx); inc %rdx
      mov $1, %edi; mov $1, %eax; syscall; jmp list
2:    ret
`,
  aarch64: `
      add x19, sp, #8
      bl list; bl list
      mov x0, #0; mov x8, #93; svc #0
list: ldr x1, [x19], #8; cbz x1, 2f
      mov x2, x1; mov w3, #10
1:    ldrb w0, [x2], #1; cbnz w0, 1b
      strb w3, [x2, #-1]; sub x2, x2, x1
      mov x0, #1; mov x8, #64; svc #0; b list
2:    ret
`,
};

/** Programs that become that of descriptor 3, and fail otherwise. */
const EXECVEAT: Record<Architecture, string> = {
  x86_64: `
      mov $3, %edi; lea empty(%rip), %rsi; lea 8(%rsp), %rdx; lea -8(%rdx), %r10
      mov $0x1000, %r8d; mov $${systemCall("execveat", "x86_64")}, %eax
      movq $0, (%r10); syscall
      mov $1, %edi; mov $60, %eax; syscall
empty: .byte 0
`,
  aarch64: `
      mov x0, #3; adr x1, empty; add x2, sp, #8; mov x3, sp
      mov x4, #0x1000; mov x8, #${systemCall("execveat", "aarch64")}
      str xzr, [x3]; svc #0
      mov x0, #1; mov x8, #93; svc #0
empty: .byte 0
`,
};

/** Whether the emulator has no `execveat()`, as Debian's before 13. */
const LACKS_EXECVEAT = LACKS_TOOLS || await withTempDir(async (path) => {
  await build(EXECVEAT, `${path}/program`);
  const script = `exec ${QEMU} ${path}/program 3</bin/true`;
  return !(await run("sh", ["-c", script])).success;
});

async function build(
  sources: Record<Architecture, string>,
  path: string,
): Promise<void> {
  const source = `.globl _start\n_start:${sources[OTHER]}`;
  await link(OTHER, source, path, []);
}

/** Has an image of the other machine wait for its standard input. */
async function startEmulated(
  box: Sandbox,
  sleep: Partial<Sleep>,
): Promise<Running> {
  const image = sleeperImage({
    name: NAME,
    watched: [0],
    path: "/bin/sh",
    keptFd: 3,
    argv: ["sh", "-c", "echo awake as $$"],
    env: [],
    ...sleep,
  }, OTHER);
  await Deno.writeFile(box.path("image"), image, { mode: 0o755 });
  await makeFifo(box, "wake");
  const script = `exec ${QEMU} ./image sleeper <>wake 3</bin/sh`;
  const running = box.start(["sh", "-c", script]);
  await asleep(box, running);
  return running;
}

async function asleep(box: Sandbox, { pid }: Running): Promise<void> {
  await box.until("the image sleeps", () => {
    const { state, status } = look(pid) ?? {};
    return status?.get("Name") === NAME && state === "S";
  });
}

Deno.test({
  name: `sleeperImage() for ${OTHER} wakes up when a pipe can be read`,
  ignore: LACKS_QEMU,
  fn: async () => {
    await using box = await Sandbox.create();
    const running = await startEmulated(box, {});
    wake(box);
    const { code, stdout, stderr } = await running.finished();
    assertEquals([code, stdout, stderr], [0, `awake as ${running.pid}\n`, ""]);
  },
});

Deno.test({
  name: `sleeperImage() for ${OTHER} sleeps on after SIGSTOP and SIGCONT`,
  ignore: LACKS_QEMU,
  fn: async () => {
    await using box = await Sandbox.create();
    const running = await startEmulated(box, {});
    await freeze(box, running.pid);
    Deno.kill(running.pid, "SIGCONT");
    await asleep(box, running);
    wake(box);
    assertEquals(
      (await running.finished()).stdout,
      `awake as ${running.pid}\n`,
    );
  },
});

Deno.test({
  name: `sleeperImage() for ${OTHER} starts a program of that machine`,
  ignore: LACKS_TOOLS,
  fn: async () => {
    await using box = await Sandbox.create();
    await build(SHOW, box.path("show"));
    const args = ["", "a b", "ü"];
    const env = ["A=b", `LONG=${"x".repeat(5000)}`, "EMPTY="];
    const running = await startEmulated(box, {
      // Linux starts no program of another machine by itself.
      path: (await must("sh", ["-c", `command -v ${QEMU}`])).trim(),
      argv: [QEMU, "./show", ...args],
      env,
    });
    wake(box);
    const { stdout } = await running.finished();
    const lines = stdout.split("\n");
    assertEquals(lines.splice(0, 1 + args.length), ["./show", ...args]);
    // The emulator has an order of its own.
    assertEquals(lines.sort(), ["", ...env].sort());
  },
});

Deno.test({
  name: `sleeperImage() for ${OTHER} waits for a program that is not there`,
  ignore: LACKS_QEMU,
  fn: async () => {
    await using box = await Sandbox.create();
    const path = box.path("program");
    const running = await startEmulated(box, { path, keptFd: -1 });
    wake(box);
    // The emulator makes the call of this machine.
    const call = `${systemCall("nanosleep")} `;
    await box.until(
      "it waits to try again",
      () => box.read(`/proc/${running.pid}/syscall`)?.startsWith(call),
    );
    await Deno.symlink("/bin/sh", path);
    const { stdout } = await running.finished();
    assertEquals(stdout, `awake as ${running.pid}\n`);
  },
});

Deno.test({
  name: `sleeperImage() for ${OTHER} starts the program of the descriptor`,
  ignore: LACKS_EXECVEAT,
  fn: async () => {
    await using box = await Sandbox.create();
    const running = await startEmulated(box, { path: box.path("program") });
    wake(box);
    const { stdout } = await running.finished();
    assertEquals(stdout, `awake as ${running.pid}\n`);
  },
});

/** What is proved of a shell that is another than it was before. */
function proof(trial: string): Proof {
  const resource = RLIMITS.nofile;
  return {
    memory: 2 ** 20,
    descriptors: 10,
    limits: [{ resource, soft: getrlimit(resource).soft }],
    program: { size: 1n, mtime: 1n },
    trialArgv: ["sh", "-c", trial],
    trialEnv: [],
    trialStatus: 123,
    noteFd: -1,
  };
}

Deno.test({
  name: `sleeperImage() for ${OTHER} starts a program that was tried`,
  ignore: LACKS_QEMU,
  fn: async () => {
    await using box = await Sandbox.create();
    const file = box.path("tried");
    const running = await startEmulated(box, {
      proof: proof(`echo $$ >>${file}; exit 123`),
      keptFd: -1,
    });
    wake(box);
    const { stdout } = await running.finished();
    assertEquals(stdout, `awake as ${running.pid}\n`);
    const pids = box.read(file)!.trim().split("\n").map(Number);
    assertEquals([pids.length, pids.includes(running.pid)], [1, false]);
  },
});

Deno.test({
  name: `sleeperImage() for ${OTHER} starts no program whose trial fails`,
  ignore: LACKS_QEMU,
  fn: async () => {
    await using box = await Sandbox.create();
    const file = box.path("tried");
    const running = await startEmulated(box, {
      // Until it is there.
      proof: proof(`echo >>${file}; test -e ${box.path("go")} && exit 123`),
      keptFd: -1,
    });
    wake(box);
    const call = `${systemCall("nanosleep")} `;
    await box.until(
      "it waits to try again",
      () =>
        box.exists(file) &&
        box.read(`/proc/${running.pid}/syscall`)?.startsWith(call),
    );
    await Deno.writeTextFile(box.path("go"), "");
    const { stdout } = await running.finished();
    assertEquals(stdout, `awake as ${running.pid}\n`);
    assertEquals(box.read(file), "\n\n");
  },
});
