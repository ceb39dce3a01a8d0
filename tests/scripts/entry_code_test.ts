import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { SLOT_BIT } from "../../ffi/entry_note.ts";
import { replaceEntry } from "../../scripts/entry.ts";
import {
  type Architecture,
  ARCHITECTURES,
  binutil,
  emulator,
  lacks,
  link,
  withTempDir,
} from "../binutils.ts";

const READER = import.meta.resolve("../../ffi/entry_note.ts");

/**
 * A program that writes what it finds on the stack: its arguments, a new line,
 * the environment, another. Then it enters itself a second time, as a dynamic
 * loader would and without even a name, and looks whether all came through
 * that it handed over. It ends with what was in its slot, and 8 times what is
 * there after the second time; or with 99 if anything is not as it should be.
 */
const PROGRAMS: Record<Architecture, string> = {
  x86_64: `
      .globl _start
_start: test %rbx, %rbx; jnz again  # 0 when a process begins
      test $15, %spl; jnz bad
      lea 8(%rsp), %r14
      call print; cmp %r15, (%rsp); jne bad # argc
      call print
2:    mov (%r14), %rdx; mov 8(%r14), %r12; add $16, %r14 # auxiliary vector
      cmp $9, %rdx; jne 2b          # AT_ENTRY
      mov 16(%r12), %r13; add %r12, %r13; movzbl (%r13), %ebp; movb $0, (%r13)
      push $0; push $0              # argc, argv
      mov %rsp, %rbx; mov $0x1234, %edx; jmp *%r12
again: cmp %rsp, %rbx; jne bad
      cmp $0x1234, %rdx; jne bad
      mov (%rsp), %rax; or 8(%rsp), %rax; jnz bad
      movzbl (%r13), %edi; lea (%rbp,%rdi,8), %edi
exit: mov $60, %eax; syscall
bad:  mov $99, %edi; jmp exit
print: xor %r15d, %r15d             # how many
1:    mov (%r14), %rsi; add $8, %r14; test %rsi, %rsi; jz 3f
      inc %r15; xor %edx, %edx
2:    inc %rdx; cmpb $0, -1(%rsi,%rdx); jne 2b
      call write; jmp 1b
3:    lea line(%rip), %rsi; mov $1, %edx
write: mov $1, %edi; mov $1, %eax; syscall; ret
line: .byte 10
      .balign 4096, 0xcc; nop
      .bss; .skip 1
`,
  aarch64: `
      .globl _start
_start: cbnz x20, again             // 0 when a process begins
      mov x0, sp; tst x0, #15; b.ne bad
      add x24, sp, #8
      bl print; ldr x0, [sp]; cmp x0, x25; b.ne bad // argc
      bl print
2:    ldp x0, x21, [x24], #16       // auxiliary vector
      cmp x0, #9; b.ne 2b           // AT_ENTRY
      ldr x22, [x21, #16]; add x22, x22, x21; ldrb w23, [x22]; strb wzr, [x22]
      stp xzr, xzr, [sp, #-16]!     // argc, argv
      mov x20, sp; mov x0, #0x1234; br x21
again: mov x1, sp; cmp x1, x20; b.ne bad
      mov x1, #0x1234; cmp x0, x1; b.ne bad
      ldp x0, x1, [sp]; orr x0, x0, x1; cbnz x0, bad
      ldrb w0, [x22]; add w0, w23, w0, lsl #3
exit: mov x8, #93; svc #0
bad:  mov x0, #99; b exit
print: mov x25, #0; mov x26, x30    // how many
1:    ldr x1, [x24], #8; cbz x1, 3f
      add x25, x25, #1; mov x2, x1
2:    ldrb w0, [x2], #1; cbnz w0, 2b
      sub x2, x2, x1; bl write; b 1b
3:    mov x30, x26; adr x1, line; mov x2, #1
write: mov x0, #1; mov x8, #64; svc #0; ret
line: .byte 10
      .balign 4096, 0; nop
      .bss; .skip 1
`,
};

const decoder = new TextDecoder();

/** How `env` has what the caller does with SIGPIPE, and what is noted then. */
const DEFAULT = ["--default-signal=PIPE", SLOT_BIT.sigpipeDefault] as const;
const IGNORED = ["--ignore-signal=PIPE", SLOT_BIT.sigpipeIgnored] as const;

/** Arguments for the shell, and how many there are. */
const ARGUMENTS = [
  ["", 0],
  ["a", 1],
  ["a b", 2],
  ["a '' c", 3],
  ["$(seq 10000)", 10000],
] as const;

for (const architecture of ARCHITECTURES) {
  const tools = ["as", "ld"].map((name) => binutil(architecture, name));
  const options = {
    ignore: await lacks([...tools, ...emulator(architecture)]),
  };

  /** Makes the program, and runs a script that has the path of it as `$0`. */
  const runProgram = (script: string) =>
    withTempDir(async (path) => {
      const program = `${path}/program`;
      const pie = ["-pie", "--no-dynamic-linker"];
      await link(architecture, PROGRAMS[architecture], program, pie);
      const elf = await Deno.readFile(program);
      replaceEntry(elf);
      await Deno.writeFile(program, elf);
      const { code, stdout } = await new Deno.Command("sh", {
        args: ["-c", script, [...emulator(architecture), program].join(" ")],
        cwd: path,
      }).output();
      return { code, stdout: decoder.decode(stdout).replaceAll("\0", "|") };
    });

  for (const [option, bit] of [DEFAULT, IGNORED]) {
    Deno.test({
      name: `replaceEntry() has ${architecture} note SIGPIPE for env ${option}`,
      ...options,
      fn: async () => {
        const { code } = await runProgram(`exec env ${option} $0`);
        assertEquals(code, bit + 8 * bit);
      },
    });
  }

  Deno.test({
    name: `replaceEntry() has ${architecture} note a removed directory`,
    ...options,
    fn: async () => {
      const { code } = await runProgram(
        `mkdir d && cd d && rmdir ../d && exec env ${DEFAULT[0]} $0`,
      );
      // The second time it is in the root directory.
      const [, bit] = DEFAULT;
      assertEquals(code, bit + SLOT_BIT.cwdRemoved + 8 * bit);
    },
  });

  Deno.test({
    name: `replaceEntry() has ${architecture} end without descriptors`,
    // The emulator has some of its own.
    ignore: options.ignore || emulator(architecture).length > 0,
    fn: async () => {
      for (const [limit, status] of [[4, 4], [12, 4], [24, 9]]) {
        const { code } = await runProgram(
          `ulimit -n ${limit}; exec env ${DEFAULT[0]} $0`,
        );
        assertEquals(code, status, `${limit}`);
      }
    },
  });

  for (const [args, count] of ARGUMENTS) {
    Deno.test({
      name: `replaceEntry() has ${architecture} blank ${count} arguments`,
      ...options,
      fn: async () => {
        const { code, stdout } = await runProgram(
          `exec env -i ${DEFAULT[0]} A=1 $0 ${args}`,
        );
        assertEquals(stdout, `${"|".repeat(1 + count)}\nA=1|\n`);
        assertEquals(code, 9 * SLOT_BIT.sigpipeDefault);
      },
    });
  }
}

for (const [option, bit] of [DEFAULT, IGNORED]) {
  Deno.test(`ffi/ reads what replaceEntry() has Deno note for env ${option}`, () =>
    withTempDir(async (path) => {
      // As large and as linked as the one under tend, and the same runtime.
      const program = `${path}/deno`;
      const elf = await Deno.readFile(Deno.execPath());
      replaceEntry(elf);
      await Deno.writeFile(program, elf, { mode: 0o755 });
      // One line, for without arguments Deno reads such and evaluates each.
      await Deno.writeTextFile(
        `${path}/script`,
        `const note = await import("${READER}"); ` +
          `console.log(note.sigpipeAtEntry(), note.cwdWasRemoved())\n`,
      );
      const script = `exec <script && mkdir d && cd d && rmdir ../d &&
        exec env ${option} DENO_DIR=${path} "$0"`;
      const { stdout } = await new Deno.Command("sh", {
        args: ["-c", script, program],
        cwd: path,
        env: { NO_COLOR: "1" },
      }).output();
      const sigpipe = bit === DEFAULT[1] ? "default" : "ignored";
      assertStringIncludes(decoder.decode(stdout), `${sigpipe} true\n`);
    }));
}
