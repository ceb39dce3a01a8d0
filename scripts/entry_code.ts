/**
 * The instructions that `scripts/entry.ts` has run before Rust's runtime, which
 * spoils three things beyond repair by JavaScript: it ignores SIGPIPE, it dies
 * of an argument that is not UTF-8, and of a removed working directory. Without
 * `/proc` it dies, too, and does not say why; without descriptors it panics.
 *
 * So they say that, and end; they note for `ffi/entry_note.ts` what SIGPIPE did;
 * go to `/` if the working directory is gone, and note that; and blank the
 * arguments, which `ffi/argv.ts` has from `/proc/self/cmdline`.
 */
import { ENTRY_NOTE_MAGIC, START_DESCRIPTORS } from "../ffi/entry_note.ts";
import type { Instruction } from "../ffi/machine_code.ts";
import type { Architecture } from "./elf_image.ts";

/** What there is for one machine. */
export interface EntryCode {
  /** What runs at the new entry point; it ends with a jump to the old one. */
  readonly lines: readonly Instruction[];
  /** How far that jump reaches. */
  readonly reach: number;
  /** The last 4 bytes of that jump, for a distance from its end. */
  readonly jump: (distance: number) => number;
}

/** Without it the runtime does not find its program, and says only that. */
const NO_PROC = "tend: /proc is not mounted here, and tend needs it\n";

const TOO_FEW = "tend: too few descriptors are free to start (ulimit -n)\n";

/** Text of one byte a character, as instructions have it. */
function hex(text: string): string {
  return Array.from(
    text,
    (character) => character.charCodeAt(0).toString(16).padStart(2, "0"),
  ).join(" ");
}

/** What `ffi/entry_note.ts` looks for. The 0 depends on the executable. */
const NOTE: readonly Instruction[] = [
  [ENTRY_NOTE_MAGIC.toString(16), `.quad ${ENTRY_NOTE_MAGIC}`],
  ["0000000000000000", ".quad slot - entry"],
];

/**
 * The instructions, for each machine. What is handed over at an entry point
 * comes through: in rdx or x0 the function that the dynamic loader wants called
 * at exit, and the stack, with its pointer. The other registers mean nothing
 * there.
 *
 * All that changes is that each argument, and the program's name, becomes an
 * empty string. They cannot be made fewer: then the stack would have to begin
 * further up, and beyond what libc has told V8 to be its end.
 */
export const ENTRY_CODE: Readonly<Record<Architecture, EntryCode>> = {
  x86_64: {
    lines: [
      ["eb 58", "entry: jmp code"],
      ["cc cc", ".fill 2, 1, 0xcc"],
      ["2f 00", 'root: .asciz "/"'],
      ["cc cc", ".fill 2, 1, 0xcc"],
      ...NOTE,
      [hex("/proc/self/exe\0"), 'proc: .asciz "/proc/self/exe"'],
      [hex(NO_PROC), `message: .ascii ${JSON.stringify(NO_PROC)}`],
      ["49 89 d0", "code: mov %rdx, %r8"],

      // access("/proc/self/exe", F_OK)
      ["48 8d 3d ffffffb4", "lea proc(%rip), %rdi"],
      ["31 f6", "xor %esi, %esi"],
      ["b8 00000015", "mov $21, %eax"],
      ["0f 05", "syscall"],
      ["85 c0", "test %eax, %eax"],
      ["74 5c", "je mounted"],
      // write(2, message), and exit_group(4): it is no verb's word for a daemon
      // that does not run.
      ["48 8d 35 ffffffaf", "lea message(%rip), %rsi"],
      ["ba 00000033", "mov $51, %edx"],
      ["bf 00000002", "say: mov $2, %edi"],
      ["b8 00000001", "mov $1, %eax"],
      ["0f 05", "syscall"],
      ["bf 00000004", "mov $4, %edi"],
      ["b8 000000e7", "mov $231, %eax"],
      ["0f 05", "syscall"],
      [hex(TOO_FEW), `few: .ascii ${JSON.stringify(TOO_FEW)}`],

      // eventfd2(0, 0), as often as the runtime opens something; close().
      ["41 ba 0000000a", `mounted: mov $${START_DESCRIPTORS}, %r10d`],
      ["31 ff", "open: xor %edi, %edi"],
      ["31 f6", "xor %esi, %esi"],
      ["b8 00000122", "mov $290, %eax"],
      ["0f 05", "syscall"],
      ["85 c0", "test %eax, %eax"],
      ["78 1b", "js lacking"],
      ["50", "push %rax"],
      ["41 ff ca", "dec %r10d"],
      ["75 eb", "jnz open"],
      ["41 ba 0000000a", `mov $${START_DESCRIPTORS}, %r10d`],
      ["5f", "close: pop %rdi"],
      ["b8 00000003", "mov $3, %eax"],
      ["0f 05", "syscall"],
      ["41 ff ca", "dec %r10d"],
      ["75 f3", "jnz close"],
      ["eb 11", "jmp enough"],
      ["48 8d 35 ffffff91", "lacking: lea few(%rip), %rsi"],
      ["ba 00000038", "mov $56, %edx"],
      ["e9 ffffff6f", "jmp say"],

      // The slot is as far from the entry as the note says.
      ["4c 8d 0d fffffeeb", "enough: lea entry(%rip), %r9"],
      ["4d 03 49 10", "add 16(%r9), %r9"],

      // rt_sigaction(SIGPIPE, NULL, &old, 8). What is written goes below the
      // stack: there is no signal handler yet that could come in between.
      ["bf 0000000d", "mov $13, %edi"],
      ["31 f6", "xor %esi, %esi"],
      ["48 8d 54 24 e0", "lea -32(%rsp), %rdx"],
      ["41 ba 00000008", "mov $8, %r10d"],
      ["b8 0000000d", "mov $13, %eax"],
      ["0f 05", "syscall"],
      ["85 c0", "test %eax, %eax"],
      ["75 0e", "jne cwd"],
      // Its first field is the handler: SIG_IGN is 1, and makes 2 of it, as
      // SIG_DFL, 0, makes 1.
      ["48 83 7c 24 e0 01", "cmpq $1, -32(%rsp)"],
      ["0f 94 c0", "sete %al"],
      ["fe c0", "inc %al"],
      ["41 88 01", "mov %al, (%r9)"],

      // getcwd(buffer, 4096)
      ["48 8d bc 24 fffff000", "cwd: lea -4096(%rsp), %rdi"],
      ["be 00001000", "mov $4096, %esi"],
      ["b8 0000004f", "mov $79, %eax"],
      ["0f 05", "syscall"],
      // It is gone if this is ENOENT. Other failures mean that its name is too
      // long, which libc can help. And if the file system is gone, unmounted,
      // the name does not begin with a slash.
      ["83 f8 fe", "cmp $-2, %eax"],
      ["74 0e", "je gone"],
      ["85 c0", "test %eax, %eax"],
      ["78 1c", "js args"],
      ["80 bc 24 fffff000 2f", "cmpb $'/, -4096(%rsp)"],
      ["74 12", "je args"],
      // 4 for the slot, and chdir("/").
      ["41 80 09 04", "gone: orb $4, (%r9)"],
      ["48 8d 3d fffffe8e", "lea root(%rip), %rdi"],
      ["b8 00000050", "mov $80, %eax"],
      ["0f 05", "syscall"],

      // All of argv, from the last one: what follows the slash, which is
      // nothing.
      ["48 8b 0c 24", "args: mov (%rsp), %rcx"],
      ["48 8d 05 fffffe7d", "lea root+1(%rip), %rax"],
      ["48 ff c9", "next: dec %rcx"],
      ["78 07", "js done"],
      ["48 89 44 cc 08", "mov %rax, 8(%rsp,%rcx,8)"],
      ["eb f4", "jmp next"],
      ["4c 89 c2", "done: mov %r8, %rdx"],
      ["e9 00000000", "jmp original"],
    ],
    reach: 2 ** 31,
    jump: (distance) => distance,
  },
  aarch64: {
    lines: [
      ["14000017", "entry: b code"],
      ["2f 00 00 00", 'root: .asciz "/"; .balign 4'],
      ...NOTE,
      [hex("/proc/self/exe\0"), 'proc: .asciz "/proc/self/exe"'],
      [
        hex(`${NO_PROC}\0\0`),
        `message: .ascii ${JSON.stringify(NO_PROC)}; .balign 4`,
      ],
      ["aa0003e9", "code: mov x9, x0"],

      // faccessat(AT_FDCWD, "/proc/self/exe", F_OK)
      ["92800c60", "mov x0, #-100"],
      ["10fffda1", "adr x1, proc"],
      ["d2800002", "mov x2, #0"],
      ["d2800608", "mov x8, #48"],
      ["d4000001", "svc #0"],
      ["b40002e0", "cbz x0, mounted"],
      // write(2, message), and exit_group(4)
      ["70fffd61", "adr x1, message"],
      ["d2800662", "mov x2, #51"],
      ["d2800040", "say: mov x0, #2"],
      ["d2800808", "mov x8, #64"],
      ["d4000001", "svc #0"],
      ["d2800080", "mov x0, #4"],
      ["d2800bc8", "mov x8, #94"],
      ["d4000001", "svc #0"],
      [
        hex(`${TOO_FEW}`),
        `few: .ascii ${JSON.stringify(TOO_FEW)}; .balign 4`,
      ],

      // eventfd2(0, 0), as often as the runtime opens something; close().
      ["d280014a", `mounted: mov x10, #${START_DESCRIPTORS}`],
      ["d2800000", "open: mov x0, #0"],
      ["d2800001", "mov x1, #0"],
      ["d2800268", "mov x8, #19"],
      ["d4000001", "svc #0"],
      ["b7f80160", "tbnz x0, #63, lacking"],
      ["f81f0fe0", "str x0, [sp, #-16]!"],
      ["f100054a", "subs x10, x10, #1"],
      ["54ffff21", "b.ne open"],
      ["d280014a", `mov x10, #${START_DESCRIPTORS}`],
      ["f84107e0", "close: ldr x0, [sp], #16"],
      ["d2800728", "mov x8, #57"],
      ["d4000001", "svc #0"],
      ["f100054a", "subs x10, x10, #1"],
      ["54ffff81", "b.ne close"],
      ["14000004", "b enough"],
      ["10fffc41", "lacking: adr x1, few"],
      ["d2800702", "mov x2, #56"],
      ["17ffffda", "b say"],

      // The slot is as far from the entry as the note says.
      ["10fff72a", "enough: adr x10, entry"],
      ["f940094b", "ldr x11, [x10, #16]"],
      ["8b0b014a", "add x10, x10, x11"],
      // What is written goes onto the stack.
      ["d14007ff", "sub sp, sp, #4096"],

      // rt_sigaction(SIGPIPE, NULL, &old, 8)
      ["d28001a0", "mov x0, #13"],
      ["d2800001", "mov x1, #0"],
      ["910003e2", "mov x2, sp"],
      ["d2800103", "mov x3, #8"],
      ["d28010c8", "mov x8, #134"],
      ["d4000001", "svc #0"],
      ["b50000c0", "cbnz x0, cwd"],
      // Its first field is the handler: SIG_IGN is 1, and makes 2 of it, as
      // SIG_DFL, 0, makes 1.
      ["f94003eb", "ldr x11, [sp]"],
      ["f100057f", "cmp x11, #1"],
      ["1a9f17eb", "cset w11, eq"],
      ["1100056b", "add w11, w11, #1"],
      ["3900014b", "strb w11, [x10]"],

      // getcwd(buffer, 4096)
      ["910003e0", "cwd: mov x0, sp"],
      ["d2820001", "mov x1, #4096"],
      ["d2800228", "mov x8, #17"],
      ["d4000001", "svc #0"],
      // It is gone if this is ENOENT. Other failures mean that its name is too
      // long, which libc can help. And if the file system is gone, unmounted,
      // the name does not begin with a slash.
      ["b100081f", "cmn x0, #2"],
      ["540000a0", "b.eq gone"],
      ["b7f80140", "tbnz x0, #63, args"],
      ["394003eb", "ldrb w11, [sp]"],
      ["7100bd7f", "cmp w11, #'/'"],
      ["540000e0", "b.eq args"],
      // 4 for the slot, and chdir("/").
      ["3940014b", "gone: ldrb w11, [x10]"],
      ["321e016b", "orr w11, w11, #4"],
      ["3900014b", "strb w11, [x10]"],
      ["10fff3a0", "adr x0, root"],
      ["d2800628", "mov x8, #49"],
      ["d4000001", "svc #0"],

      // The stack as it was; and all of argv, from the last one: what follows
      // the slash, which is nothing.
      ["914007ff", "args: add sp, sp, #4096"],
      ["f94003eb", "ldr x11, [sp]"],
      ["910023ec", "add x12, sp, #8"],
      ["30fff2ed", "adr x13, root + 1"],
      ["f100056b", "next: subs x11, x11, #1"],
      ["54000064", "b.mi done"],
      ["f82b798d", "str x13, [x12, x11, lsl #3]"],
      ["17fffffd", "b next"],
      ["aa0903e0", "done: mov x0, x9"],
      ["14000000", "b original"],
    ],
    reach: 2 ** 27,
    jump: (distance) => 0x14000000 | ((distance + 4) / 4 & 0x3ffffff),
  },
};
