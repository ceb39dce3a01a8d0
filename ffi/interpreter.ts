/**
 * Machine code that makes the system calls of a script, `call_script.ts`. It is
 * all of an image that waits, and it runs where JavaScript cannot: in a child
 * that shares its parent's memory.
 *
 * A step is 11 words: the number of the system call, the addresses of its six
 * operands, the address where its result goes, and the addresses of the steps
 * that follow a result below, equal to and above 0. Seven numbers below 0 are no
 * system calls:
 *
 * - -1 returns to the caller;
 * - -2 asks whether the words at two addresses differ;
 * - -3 writes its first operand in decimal, with a line feed, to the address that
 *   is its second;
 * - -4 calls the function at its first operand;
 * - -5 multiplies two operands and adds a third;
 * - -6 divides, without a sign, and has the quotient;
 * - -7 copies to one address from another so many bytes, or through the first
 *   that is its fourth operand. It has how many that were, and that number below
 *   0 when there is no such byte. Behind it others may have been overwritten.
 *
 * @module
 */
import type { Instruction } from "./machine_code.ts";

/** The instructions, for each machine. */
export const INTERPRETER: Readonly<
  Record<typeof Deno.build.arch, readonly Instruction[]>
> = {
  x86_64: [
    // Where the script of an image begins.
    ["0000000000000000", "script: .quad 0"],
    // Where an image notes a piece of its stack.
    ["0000000000000000", "stack: .quad 0"],
    // An image begins here and never returns. It notes the first page of its
    // stack, and how much there is before the page of its arguments.
    ["48 8b 1d e9 ff ff ff", "image: mov script(%rip), %rbx"],
    ["48 8b 0d ea ff ff ff", "mov stack(%rip), %rcx"],
    ["48 89 e0", "mov %rsp, %rax"],
    ["48 25 00 f0 ff ff", "and $-4096, %rax"],
    ["48 89 01", "mov %rax, (%rcx)"],
    ["48 8b 54 24 08", "mov 8(%rsp), %rdx"],
    ["48 81 e2 00 f0 ff ff", "and $-4096, %rdx"],
    ["48 29 c2", "sub %rax, %rdx"],
    ["48 89 51 08", "mov %rdx, 8(%rcx)"],
    ["eb 04", "jmp step"],
    // A function of one parameter, the first step. What follows, but for -4,
    // leaves the stack alone: a child that shares it comes through here too.
    ["53", "call: push %rbx"],
    ["48 89 fb", "mov %rdi, %rbx"],
    // The operands of a step are addresses.
    ["48 8b 7b 08", "step: mov 8(%rbx), %rdi"],
    ["48 8b 3f", "mov (%rdi), %rdi"],
    ["48 8b 73 10", "mov 16(%rbx), %rsi"],
    ["48 8b 36", "mov (%rsi), %rsi"],
    ["48 8b 53 18", "mov 24(%rbx), %rdx"],
    ["48 8b 12", "mov (%rdx), %rdx"],
    ["4c 8b 53 20", "mov 32(%rbx), %r10"],
    ["4d 8b 12", "mov (%r10), %r10"],
    ["4c 8b 43 28", "mov 40(%rbx), %r8"],
    ["4d 8b 00", "mov (%r8), %r8"],
    ["4c 8b 4b 30", "mov 48(%rbx), %r9"],
    ["4d 8b 09", "mov (%r9), %r9"],
    ["48 8b 03", "mov (%rbx), %rax"],
    ["48 85 c0", "test %rax, %rax"],
    ["78 22", "js own"],
    ["0f 05", "syscall"],
    // The result is stored, and tells which step is next.
    ["48 8b 4b 38", "result: mov 56(%rbx), %rcx"],
    ["48 89 01", "mov %rax, (%rcx)"],
    ["48 85 c0", "test %rax, %rax"],
    ["78 0e", "js error"],
    ["74 06", "jz zero"],
    ["48 8b 5b 50", "mov 80(%rbx), %rbx"],
    ["eb b8", "jmp step"],
    ["48 8b 5b 48", "zero: mov 72(%rbx), %rbx"],
    ["eb b2", "jmp step"],
    ["48 8b 5b 40", "error: mov 64(%rbx), %rbx"],
    ["eb ac", "jmp step"],
    // A number below 0 is no system call.
    ["48 ff c0", "own: inc %rax"],
    ["0f 84 00 01 00 00", "jz return"],
    ["48 ff c0", "inc %rax"],
    ["0f 84 9d 00 00 00", "jz compare"],
    ["48 ff c0", "inc %rax"],
    ["0f 84 ad 00 00 00", "jz decimal"],
    ["48 ff c0", "inc %rax"],
    ["0f 84 9b 00 00 00", "jz invoke"],
    ["48 ff c0", "inc %rax"],
    ["74 6c", "jz multiply"],
    ["48 ff c0", "inc %rax"],
    ["74 74", "jz divide"],
    // Copies through a byte: 16 at once for as long as so many are left, so that
    // what is copied behind it is within what may be copied.
    ["66 41 0f 6e ca", "movd %r10d, %xmm1"],
    ["66 0f 60 c9", "punpcklbw %xmm1, %xmm1"],
    ["f2 0f 70 c9 00", "pshuflw $0, %xmm1, %xmm1"],
    ["66 0f 70 c9 00", "pshufd $0, %xmm1, %xmm1"],
    ["31 c0", "xor %eax, %eax"],
    ["48 8d 48 10", "wide: lea 16(%rax), %rcx"],
    ["48 39 d1", "cmp %rdx, %rcx"],
    ["77 29", "ja narrow"],
    ["f3 0f 6f 04 06", "movdqu (%rsi,%rax,1), %xmm0"],
    ["f3 0f 7f 04 07", "movdqu %xmm0, (%rdi,%rax,1)"],
    ["66 0f 74 c1", "pcmpeqb %xmm1, %xmm0"],
    ["66 44 0f d7 c0", "pmovmskb %xmm0, %r8d"],
    ["48 89 c8", "mov %rcx, %rax"],
    ["45 85 c0", "test %r8d, %r8d"],
    ["74 dc", "jz wide"],
    ["45 0f bc c0", "bsf %r8d, %r8d"],
    ["4a 8d 44 00 f1", "lea -15(%rax,%r8,1), %rax"],
    ["e9 6b ff ff ff", "jmp result"],
    ["48 39 d0", "narrow: cmp %rdx, %rax"],
    ["74 13", "je absent"],
    ["8a 0c 06", "mov (%rsi,%rax,1), %cl"],
    ["88 0c 07", "mov %cl, (%rdi,%rax,1)"],
    ["48 ff c0", "inc %rax"],
    ["44 38 d1", "cmp %r10b, %cl"],
    ["75 ed", "jne narrow"],
    ["e9 53 ff ff ff", "jmp result"],
    ["48 f7 d8", "absent: neg %rax"],
    ["e9 4b ff ff ff", "jmp result"],
    // The first two multiplied, and the third added.
    ["48 0f af fe", "multiply: imul %rsi, %rdi"],
    ["48 8d 04 17", "lea (%rdi,%rdx,1), %rax"],
    ["e9 3e ff ff ff", "jmp result"],
    ["48 89 f8", "divide: mov %rdi, %rax"],
    ["31 d2", "xor %edx, %edx"],
    ["48 f7 f6", "div %rsi"],
    ["e9 31 ff ff ff", "jmp result"],
    // Whether two words differ.
    ["31 c0", "compare: xor %eax, %eax"],
    ["48 8b 0f", "mov (%rdi), %rcx"],
    ["48 3b 0e", "cmp (%rsi), %rcx"],
    ["0f 95 c0", "setne %al"],
    ["e9 21 ff ff ff", "jmp result"],
    // A function of the C library that returns an int.
    ["ff d7", "invoke: call *%rdi"],
    ["48 98", "cltq"],
    ["e9 18 ff ff ff", "jmp result"],
    // Writes a number in decimal, with a line feed: how many digits, then each.
    ["48 89 f8", "decimal: mov %rdi, %rax"],
    ["b9 0a 00 00 00", "mov $10, %ecx"],
    ["49 89 f0", "mov %rsi, %r8"],
    ["49 ff c0", "count: inc %r8"],
    ["31 d2", "xor %edx, %edx"],
    ["48 f7 f1", "div %rcx"],
    ["48 85 c0", "test %rax, %rax"],
    ["75 f3", "jnz count"],
    ["41 c6 00 0a", "movb $10, (%r8)"],
    ["48 89 f8", "mov %rdi, %rax"],
    ["49 8d 78 01", "lea 1(%r8), %rdi"],
    ["49 ff c8", "digit: dec %r8"],
    ["31 d2", "xor %edx, %edx"],
    ["48 f7 f1", "div %rcx"],
    ["80 c2 30", "add $'0', %dl"],
    ["41 88 10", "mov %dl, (%r8)"],
    ["48 85 c0", "test %rax, %rax"],
    ["75 ed", "jnz digit"],
    ["48 89 f8", "mov %rdi, %rax"],
    ["48 29 f0", "sub %rsi, %rax"],
    ["e9 d7 fe ff ff", "jmp result"],
    ["5b", "return: pop %rbx"],
    ["c3", "ret"],
  ],
  aarch64: [
    // Where the script of an image begins.
    ["0000000000000000", "script: .quad 0"],
    // Where an image notes a piece of its stack.
    ["0000000000000000", "stack: .quad 0"],
    // An image begins here and never returns. It notes the first page of its
    // stack, and how much there is before the page of its arguments.
    ["58ffff93", "image: ldr x19, script"],
    ["58ffffa9", "ldr x9, stack"],
    ["910003ea", "mov x10, sp"],
    ["9274cd4a", "and x10, x10, #-4096"],
    ["f94007eb", "ldr x11, [sp, #8]"],
    ["9274cd6b", "and x11, x11, #-4096"],
    ["cb0a016b", "sub x11, x11, x10"],
    ["a9002d2a", "stp x10, x11, [x9]"],
    ["14000003", "b step"],
    // A function of one parameter, the first step. What follows, but for -4,
    // leaves the stack alone: a child that shares it comes through here too.
    ["a9bf7bf3", "call: stp x19, x30, [sp, #-16]!"],
    ["aa0003f3", "mov x19, x0"],
    // The operands of a step are addresses.
    ["a9408660", "step: ldp x0, x1, [x19, #8]"],
    ["f9400000", "ldr x0, [x0]"],
    ["f9400021", "ldr x1, [x1]"],
    ["a9418e62", "ldp x2, x3, [x19, #24]"],
    ["f9400042", "ldr x2, [x2]"],
    ["f9400063", "ldr x3, [x3]"],
    ["a9429664", "ldp x4, x5, [x19, #40]"],
    ["f9400084", "ldr x4, [x4]"],
    ["f94000a5", "ldr x5, [x5]"],
    ["f9400268", "ldr x8, [x19]"],
    ["b7f80188", "tbnz x8, #63, own"],
    ["d4000001", "svc #0"],
    // The result is stored, and tells which step is next.
    ["f9401e69", "result: ldr x9, [x19, #56]"],
    ["f9000120", "str x0, [x9]"],
    ["b7f800c0", "tbnz x0, #63, error"],
    ["b4000060", "cbz x0, zero"],
    ["f9402a73", "ldr x19, [x19, #80]"],
    ["17ffffef", "b step"],
    ["f9402673", "zero: ldr x19, [x19, #72]"],
    ["17ffffed", "b step"],
    ["f9402273", "error: ldr x19, [x19, #64]"],
    ["17ffffeb", "b step"],
    // A number below 0 is no system call.
    ["b1000508", "own: adds x8, x8, #1"],
    ["54000860", "b.eq return"],
    ["b1000508", "adds x8, x8, #1"],
    ["54000520", "b.eq compare"],
    ["b1000508", "adds x8, x8, #1"],
    ["540005e0", "b.eq decimal"],
    ["b1000508", "adds x8, x8, #1"],
    ["54000540", "b.eq invoke"],
    ["b1000508", "adds x8, x8, #1"],
    ["540003e0", "b.eq multiply"],
    ["b1000508", "adds x8, x8, #1"],
    ["540003e0", "b.eq divide"],
    // Copies through a byte: 16 at once for as long as so many are left, so that
    // what is copied behind it is within what may be copied.
    ["4e010c61", "dup v1.16b, w3"],
    ["d2800009", "mov x9, #0"],
    ["9100412a", "wide: add x10, x9, #16"],
    ["eb02015f", "cmp x10, x2"],
    ["540001a8", "b.hi narrow"],
    ["3ce96820", "ldr q0, [x1, x9]"],
    ["3ca96800", "str q0, [x0, x9]"],
    ["6e218c00", "cmeq v0.16b, v0.16b, v1.16b"],
    // Four bits for each byte.
    ["0f0c8400", "shrn v0.8b, v0.8h, #4"],
    ["9e66000b", "fmov x11, d0"],
    ["aa0a03e9", "mov x9, x10"],
    ["b4fffeeb", "cbz x11, wide"],
    ["dac0016b", "rbit x11, x11"],
    ["dac0116b", "clz x11, x11"],
    ["8b4b0929", "add x9, x9, x11, lsr #2"],
    ["d1003d20", "sub x0, x9, #15"],
    ["17ffffda", "b result"],
    ["eb02012a", "narrow: subs x10, x9, x2"],
    ["54000100", "b.eq absent"],
    ["3869682a", "ldrb w10, [x1, x9]"],
    ["3829680a", "strb w10, [x0, x9]"],
    ["91000529", "add x9, x9, #1"],
    ["6b23015f", "cmp w10, w3, uxtb"],
    ["54ffff41", "b.ne narrow"],
    ["aa0903e0", "mov x0, x9"],
    ["17ffffd1", "b result"],
    ["cb0903e0", "absent: neg x0, x9"],
    ["17ffffcf", "b result"],
    // The first two multiplied, and the third added.
    ["9b010800", "multiply: madd x0, x0, x1, x2"],
    ["17ffffcd", "b result"],
    ["9ac10800", "divide: udiv x0, x0, x1"],
    ["17ffffcb", "b result"],
    // Whether two words differ.
    ["f9400000", "compare: ldr x0, [x0]"],
    ["f9400021", "ldr x1, [x1]"],
    ["eb01001f", "cmp x0, x1"],
    ["9a9f07e0", "cset x0, ne"],
    ["17ffffc6", "b result"],
    // A function of the C library that returns an int.
    ["d63f0000", "invoke: blr x0"],
    ["93407c00", "sxtw x0, w0"],
    ["17ffffc3", "b result"],
    // Writes a number in decimal, with a line feed: how many digits, then each.
    ["d2800149", "decimal: mov x9, #10"],
    ["aa0003ea", "mov x10, x0"],
    ["aa0103eb", "mov x11, x1"],
    ["9100056b", "count: add x11, x11, #1"],
    ["9ac9094a", "udiv x10, x10, x9"],
    ["b5ffffca", "cbnz x10, count"],
    ["39000169", "strb w9, [x11]"],
    ["9100056c", "add x12, x11, #1"],
    ["9ac9080a", "digit: udiv x10, x0, x9"],
    ["9b09814d", "msub x13, x10, x9, x0"],
    ["1100c1ad", "add w13, w13, #'0'"],
    ["381ffd6d", "strb w13, [x11, #-1]!"],
    ["aa0a03e0", "mov x0, x10"],
    ["b5ffff60", "cbnz x0, digit"],
    ["cb010180", "sub x0, x12, x1"],
    ["17ffffb3", "b result"],
    ["a8c17bf3", "return: ldp x19, x30, [sp], #16"],
    ["d65f03c0", "ret"],
  ],
};
