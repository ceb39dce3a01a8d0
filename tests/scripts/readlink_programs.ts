/**
 * A program that tries the machine code of `scripts/readlink_code.ts`.
 *
 * @module
 */
import type { Architecture } from "../../scripts/elf_image.ts";

/** What the program below imports. */
export const LIBC = `
      .globl readlink, __errno_location
      .type readlink, %function; .type __errno_location, %function
readlink:
__errno_location: nop
`;

/**
 * A program that does as the dynamic loader does, but has everything that it
 * imports be its own `__errno_location`. Then it calls `readlink` through
 * both of its pointers to it, with its first argument for the path, and for the
 * size as many bytes as its second argument has. Each time it writes what that
 * returned, errno, and the buffer, which was full of dots. It ends with 99 if
 * a register or the stack is not as a function should leave it.
 *
 * Its `__errno_location` spoils every register that it may.
 */
export const PROGRAMS: Record<Architecture, string> = {
  x86_64: `
      .globl _start
_start: lea __ehdr_start(%rip), %rdi
      lea _DYNAMIC(%rip), %rsi; lea table(%rip), %rbx
1:    mov (%rsi), %rax; mov 8(%rsi), %rdx; add $16, %rsi
      cmp $32, %rax; jae 1b; mov %rdx, (%rbx,%rax,8)
      test %rax, %rax; jnz 1b
      mov 56(%rbx), %rsi; mov 64(%rbx), %rcx; call load  # DT_RELA, DT_RELASZ
      mov 184(%rbx), %rsi; mov 16(%rbx), %rcx; call load # DT_JMPREL, DT_PLTRELSZ
      mov 16(%rsp), %r12; mov 24(%rsp), %rdi; xor %r13d, %r13d
1:    cmpb $0, (%rdi,%r13); je 2f; inc %r13; jmp 1b
2:    lea plt(%rip), %r14; call try
      mov pointer(%rip), %r14; call try
      xor %edi, %edi
exit: mov $60, %eax; syscall
bad:  mov $99, %edi; jmp exit
plt:  jmp readlink@plt
load: add %rdi, %rsi; add %rsi, %rcx
1:    cmp %rcx, %rsi; jae 3f
      mov (%rsi), %rax; mov 16(%rsi), %rdx; add %rdi, %rdx
      cmpl $8, 8(%rsi); je 2f                            # R_X86_64_RELATIVE
      lea errno_location(%rip), %rdx
2:    mov %rdx, (%rdi,%rax); add $24, %rsi; jmp 1b
3:    ret
try:  lea buffer(%rip), %rdi; mov $'., %al; mov $240, %ecx; rep stosb
      movl $0, error(%rip)
      mov %rsp, %r15; mov $0x1234, %ebp; mov $0x5678, %ebx; push %r12; push %r13
      mov %r12, %rdi; lea buffer(%rip), %rsi; mov %r13, %rdx
      sub $8, %rsp; call *%r14; add $8, %rsp
      cmp %r13, (%rsp); jne bad; cmp %r12, 8(%rsp); jne bad; add $16, %rsp
      cmp %rsp, %r15; jne bad
      cmp $0x1234, %rbp; jne bad; cmp $0x5678, %rbx; jne bad
      mov %rax, result(%rip)
      lea result(%rip), %rsi; mov $256, %edx; mov $1, %edi; mov $1, %eax
      syscall; ret
errno_location: lea 8(%rsp), %rax; test $15, %al; jnz bad
      mov $-1, %rcx; mov %rcx, %rdx; mov %rcx, %rsi; mov %rcx, %rdi
      mov %rcx, %r8; mov %rcx, %r9; mov %rcx, %r10; mov %rcx, %r11
      lea error(%rip), %rax; ret
      .balign 4096, 0xcc; nop
      .data
pointer: .quad readlink, __errno_location@GOTPCREL
result: .quad 0
error: .quad 0
buffer: .skip 240
      .bss
table: .skip 256
`,
  aarch64: `
      .globl _start
_start: adrp x19, __ehdr_start; add x19, x19, :lo12:__ehdr_start
      adrp x0, _DYNAMIC; add x0, x0, :lo12:_DYNAMIC
      adrp x20, table; add x20, x20, :lo12:table
1:    ldp x1, x2, [x0], #16
      cmp x1, #32; b.hs 1b
      str x2, [x20, x1, lsl #3]; cbnz x1, 1b
      ldp x0, x1, [x20, #56]; bl load                    // DT_RELA, DT_RELASZ
      ldr x0, [x20, #184]; ldr x1, [x20, #16]; bl load   // DT_JMPREL, DT_PLTRELSZ
      ldp x21, x0, [sp, #16]; mov x22, #0
1:    ldrb w1, [x0, x22]; cbz w1, 2f; add x22, x22, #1; b 1b
2:    adr x23, plt; bl try
      adrp x23, pointer; ldr x23, [x23, :lo12:pointer]; bl try
      mov x0, #0
exit: mov x8, #93; svc #0
bad:  mov x0, #99; b exit
plt:  b readlink
load: add x0, x0, x19; add x1, x1, x0
1:    cmp x0, x1; b.hs 3f
      ldp x2, x3, [x0]; ldr x4, [x0, #16]; add x4, x4, x19
      cmp w3, #1027; b.eq 2f                             // R_AARCH64_RELATIVE
      adr x4, errno_location
2:    str x4, [x19, x2]; add x0, x0, #24; b 1b
3:    ret
try:  adrp x24, result; add x24, x24, :lo12:result
      mov w1, #'.'; add x2, x24, #16
1:    strb w1, [x2], #1; sub x3, x2, x24; cmp x3, #256; b.ne 1b
      str xzr, [x24, #8]
      mov x25, sp; mov x26, x30; mov x27, x21; mov x28, x22; mov x29, x23
      mov x0, x21; add x1, x24, #16; mov x2, x22; blr x23
      mov x1, sp; cmp x1, x25; b.ne bad
      cmp x27, x21; b.ne bad; cmp x28, x22; b.ne bad; cmp x29, x23; b.ne bad
      str x0, [x24]
      mov x0, #1; mov x1, x24; mov x2, #256; mov x8, #64; svc #0
      ret x26
errno_location: mov x1, #-1; mov x2, x1; mov x3, x1; mov x4, x1; mov x5, x1
      mov x6, x1; mov x7, x1; mov x8, x1; mov x9, x1; mov x16, x1; mov x17, x1
      adrp x0, error; add x0, x0, :lo12:error; ret
unused: adrp x0, :got:__errno_location; ldr x0, [x0, :got_lo12:__errno_location]
      .balign 4096, 0; nop
      .data; .balign 8
pointer: .quad readlink
result: .quad 0
error: .quad 0
buffer: .skip 240
      .bss
table: .skip 256
`,
};
