/**
 * The function that `scripts/readlink.ts` has an executable call in place of
 * libc's `readlink`. It does as that one does, but for one answer.
 *
 * Deno's runtime opens the file that `/proc/self/exe` names and looks for the
 * program in it. That of a file which was removed, or which another has
 * replaced, is a name with ` (deleted)` behind it, which leads nowhere. The
 * function answers with `/proc/self/exe` itself then, which leads to the file.
 */
import type { Instruction } from "../ffi/machine_code.ts";
import type { Architecture } from "./elf_image.ts";

/** What `scripts/readlink.ts` looks for: labels. */
export const READLINK_LABEL = {
  /** Where the function begins. */
  entry: "readlink",
  /** An i64: how far from itself the address of `__errno_location` is. */
  errno: "errno",
} as const;

/**
 * The instructions, for each machine. They use the registers that a function
 * may spoil, and of the stack 8 or 16 bytes, when there is an error.
 */
export const READLINK_CODE: Readonly<
  Record<Architecture, readonly Instruction[]>
> = {
  x86_64: [
    // The 0 depends on the executable.
    ["0000000000000000", "errno: .quad slot - errno"],
    ["2f 70 72 6f 63 2f 73 65 6c 66", 'link: .ascii "/proc/self"'],
    ["2f 65 78 65 00", '.asciz "/exe"'],
    ["20 28 64 65 6c 65 74 65 64 29", 'deleted: .ascii " (deleted)"'],
    ["cc cc cc cc cc cc cc", ".balign 8, 0xcc"],

    // It has its parameters where the system call has them, and rdi, rsi and
    // rdx come through that.
    ["b8 00000059", "readlink: mov $89, %eax"],
    ["0f 05", "syscall"],
    ["48 85 c0", "test %rax, %rax"],
    ["78 4f", "js failed"],

    // Does the answer end in " (deleted)"?
    ["48 83 f8 0a", "cmp $10, %rax"],
    ["72 48", "jb done"],
    ["49 89 f8", "mov %rdi, %r8"],
    ["49 89 f1", "mov %rsi, %r9"],
    ["48 8d 7c 06 f6", "lea -10(%rsi,%rax), %rdi"],
    ["48 8d 35 ffffffcb", "lea deleted(%rip), %rsi"],
    ["b9 0000000a", "mov $10, %ecx"],
    ["f3 a6", "repe cmpsb"],
    ["75 2d", "jne done"],
    // Is it that of "/proc/self/exe"? What differs ends this, so a shorter path
    // is read as far as its NUL and no further.
    ["4c 89 c7", "mov %r8, %rdi"],
    ["48 8d 35 ffffffa9", "lea link(%rip), %rsi"],
    ["b9 0000000f", "mov $15, %ecx"],
    ["f3 a6", "repe cmpsb"],
    ["75 1a", "jne done"],
    // As much of the new answer as there is room for. If it is all the room,
    // the caller knows that there may be more.
    ["4c 89 cf", "mov %r9, %rdi"],
    ["48 8d 35 ffffff96", "lea link(%rip), %rsi"],
    ["b8 0000000e", "mov $14, %eax"],
    ["48 39 d0", "cmp %rdx, %rax"],
    ["48 0f 47 c2", "cmova %rdx, %rax"],
    ["89 c1", "mov %eax, %ecx"],
    ["f3 a4", "rep movsb"],
    ["c3", "done: ret"],

    // errno, and -1. The push aligns the stack too.
    ["50", "failed: push %rax"],
    ["48 8d 05 ffffff75", "lea errno(%rip), %rax"],
    ["48 03 00", "add (%rax), %rax"],
    ["ff 10", "call *(%rax)"],
    ["59", "pop %rcx"],
    ["f7 d9", "neg %ecx"],
    ["89 08", "mov %ecx, (%rax)"],
    ["48 83 c8 ff", "or $-1, %rax"],
    ["c3", "ret"],
  ],
  aarch64: [
    // The 0 depends on the executable.
    ["0000000000000000", "errno: .quad slot - errno"],
    ["2f 70 72 6f 63 2f 73 65 6c 66", 'link: .ascii "/proc/self"'],
    ["2f 65 78 65 00", '.asciz "/exe"'],
    ["20 28 64 65 6c 65 74 65 64 29", 'deleted: .ascii " (deleted)"'],
    ["00 00 00 00 00 00 00", ".fill 7, 1, 0"],

    // readlinkat(AT_FDCWD, path, buffer, size)
    ["aa0203e3", "readlink: mov x3, x2"],
    ["aa0103e2", "mov x2, x1"],
    ["aa0003e1", "mov x1, x0"],
    ["92800c60", "mov x0, #-100"],
    ["d28009c8", "mov x8, #78"],
    ["d4000001", "svc #0"],
    ["b7f803a0", "tbnz x0, #63, failed"],

    // Does the answer end in " (deleted)"?
    ["f1002804", "subs x4, x0, #10"],
    ["54000343", "b.lo done"],
    ["8b040044", "add x4, x2, x4"],
    ["70fffe25", "adr x5, deleted"],
    ["d2800146", "mov x6, #10"],
    ["38401487", "tail: ldrb w7, [x4], #1"],
    ["384014a8", "ldrb w8, [x5], #1"],
    ["6b0800ff", "cmp w7, w8"],
    ["54000261", "b.ne done"],
    ["f10004c6", "subs x6, x6, #1"],
    ["54ffff61", "b.ne tail"],
    // Is it that of "/proc/self/exe"? What differs ends this, so a shorter path
    // is read as far as its NUL and no further.
    ["10fffcc5", "adr x5, link"],
    ["38401427", "whole: ldrb w7, [x1], #1"],
    ["384014a8", "ldrb w8, [x5], #1"],
    ["6b0800ff", "cmp w7, w8"],
    ["54000181", "b.ne done"],
    ["35ffff88", "cbnz w8, whole"],
    // As much of the new answer as there is room for. If it is all the room,
    // the caller knows that there may be more.
    ["10fffc05", "adr x5, link"],
    ["d28001c6", "mov x6, #14"],
    ["eb06007f", "cmp x3, x6"],
    ["9a863060", "csel x0, x3, x6, lo"],
    ["d2800006", "mov x6, #0"],
    ["386668a7", "copy: ldrb w7, [x5, x6]"],
    ["38266847", "strb w7, [x2, x6]"],
    ["910004c6", "add x6, x6, #1"],
    ["eb0000df", "cmp x6, x0"],
    ["54ffff83", "b.lo copy"],
    ["d65f03c0", "done: ret"],

    // errno, and -1.
    ["a9bf7be0", "failed: stp x0, x30, [sp, #-16]!"],
    ["10fffa41", "adr x1, errno"],
    ["f9400022", "ldr x2, [x1]"],
    ["f8626821", "ldr x1, [x1, x2]"],
    ["d63f0020", "blr x1"],
    ["a8c17be1", "ldp x1, x30, [sp], #16"],
    ["4b0103e1", "neg w1, w1"],
    ["b9000001", "str w1, [x0]"],
    ["92800000", "mov x0, #-1"],
    ["d65f03c0", "ret"],
  ],
};
