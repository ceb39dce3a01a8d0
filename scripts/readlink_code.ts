/**
 * The function that `scripts/readlink.ts` has an executable call in place of
 * libc's `readlink`. It does as that one does, but for one path.
 *
 * Deno's runtime asks what `/proc/self/exe` leads to, more than once, and opens
 * the file of that name to look for the program in it. Such a name may lead to
 * another file by then, or nowhere, for files are replaced and removed. The
 * function answers with `/proc/self/exe` itself, which always leads to the file
 * that runs, and asks nobody: it fails neither without room nor without `/proc`.
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
    ["cc", ".balign 8, 0xcc"],

    // Is the path "/proc/self/exe"? What differs ends this, so a shorter one is
    // read as far as its NUL and no further.
    ["49 89 f8", "readlink: mov %rdi, %r8"],
    ["49 89 f1", "mov %rsi, %r9"],
    ["48 8d 35 ffffffe3", "lea link(%rip), %rsi"],
    ["b9 0000000f", "mov $15, %ecx"],
    ["f3 a6", "repe cmpsb"],
    ["75 1b", "jne other"],
    // As much of it as there is room for. If it is all the room, the caller
    // knows that there may be more.
    ["4c 89 cf", "mov %r9, %rdi"],
    ["48 8d 35 ffffffd0", "lea link(%rip), %rsi"],
    ["b8 0000000e", "mov $14, %eax"],
    ["48 39 d0", "cmp %rdx, %rax"],
    ["48 0f 47 c2", "cmova %rdx, %rax"],
    ["89 c1", "mov %eax, %ecx"],
    ["f3 a4", "rep movsb"],
    ["c3", "ret"],

    // readlink(path, buffer, size): size is in its place.
    ["4c 89 c7", "other: mov %r8, %rdi"],
    ["4c 89 ce", "mov %r9, %rsi"],
    ["b8 00000059", "mov $89, %eax"],
    ["0f 05", "syscall"],
    ["48 85 c0", "test %rax, %rax"],
    ["78 01", "js failed"],
    ["c3", "ret"],

    // errno, and -1. The push aligns the stack too.
    ["50", "failed: push %rax"],
    ["48 8d 05 ffffff9c", "lea errno(%rip), %rax"],
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
    ["00", ".balign 8, 0"],

    // Is the path "/proc/self/exe"? What differs ends this, so a shorter one is
    // read as far as its NUL and no further.
    ["10ffff85", "readlink: adr x5, link"],
    ["aa0003e3", "mov x3, x0"],
    ["38401467", "whole: ldrb w7, [x3], #1"],
    ["384014a8", "ldrb w8, [x5], #1"],
    ["6b0800ff", "cmp w7, w8"],
    ["54000181", "b.ne other"],
    ["35ffff88", "cbnz w8, whole"],
    // As much of it as there is room for. If it is all the room, the caller
    // knows that there may be more.
    ["10fffea5", "adr x5, link"],
    ["d28001c0", "mov x0, #14"],
    ["eb00005f", "cmp x2, x0"],
    ["9a803040", "csel x0, x2, x0, lo"],
    ["aa0003e6", "mov x6, x0"],
    ["b4000186", "copy: cbz x6, done"],
    ["d10004c6", "sub x6, x6, #1"],
    ["386668a7", "ldrb w7, [x5, x6]"],
    ["38266827", "strb w7, [x1, x6]"],
    ["17fffffc", "b copy"],

    // readlinkat(AT_FDCWD, path, buffer, size)
    ["aa0203e3", "other: mov x3, x2"],
    ["aa0103e2", "mov x2, x1"],
    ["aa0003e1", "mov x1, x0"],
    ["92800c60", "mov x0, #-100"],
    ["d28009c8", "mov x8, #78"],
    ["d4000001", "svc #0"],
    ["b7f80040", "tbnz x0, #63, failed"],
    ["d65f03c0", "done: ret"],

    // errno, and -1.
    ["a9bf7be0", "failed: stp x0, x30, [sp, #-16]!"],
    ["10fffc01", "adr x1, errno"],
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
