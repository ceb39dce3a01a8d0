/**
 * The numbers of the system calls that scripts make.
 *
 * @module
 */

import { Signal } from "./signal.ts";

/** The numbers, for each machine. */
const NUMBERS = {
  x86_64: {
    read: 0,
    lseek: 8,
    setitimer: 38,
    kill: 62,
    setpgid: 109,
    getpgid: 121,
    rt_sigtimedwait: 128,
    waitid: 247,
    madvise: 28,
    rt_sigaction: 13,
    rt_sigprocmask: 14,
    nanosleep: 35,
    getpid: 39,
    clone: 56,
    wait4: 61,
    fcntl: 72,
    getcwd: 79,
    chdir: 80,
    getppid: 110,
    setsid: 112,
    write: 1,
    writev: 20,
    pwrite64: 18,
    prctl: 157,
    execve: 59,
    close: 3,
    exit_group: 231,
    openat: 257,
    newfstatat: 262,
    unlinkat: 263,
    ppoll: 271,
    ftruncate: 77,
    dup3: 292,
    prlimit64: 302,
    mmap: 9,
    munmap: 11,
    ioctl: 16,
    fchmod: 91,
    clock_gettime: 228,
    renameat: 264,
    pidfd_send_signal: 424,
    pidfd_open: 434,
    execveat: 322,
    recvmsg: 47,
    timerfd_settime: 286,
  },
  aarch64: {
    read: 63,
    lseek: 62,
    setitimer: 103,
    kill: 129,
    setpgid: 154,
    getpgid: 155,
    rt_sigtimedwait: 137,
    waitid: 95,
    madvise: 233,
    rt_sigaction: 134,
    rt_sigprocmask: 135,
    nanosleep: 101,
    getpid: 172,
    clone: 220,
    wait4: 260,
    fcntl: 25,
    getcwd: 17,
    chdir: 49,
    getppid: 173,
    setsid: 157,
    write: 64,
    writev: 66,
    pwrite64: 68,
    prctl: 167,
    execve: 221,
    close: 57,
    exit_group: 94,
    openat: 56,
    newfstatat: 79,
    unlinkat: 35,
    ppoll: 73,
    ftruncate: 46,
    dup3: 24,
    prlimit64: 261,
    mmap: 222,
    munmap: 215,
    ioctl: 29,
    fchmod: 52,
    clock_gettime: 113,
    renameat: 38,
    pidfd_send_signal: 424,
    pidfd_open: 434,
    execveat: 281,
    recvmsg: 212,
    timerfd_settime: 86,
  },
} as const;

/**
 * What `clone()` is told for a child that shares our memory while we are
 * suspended, until it executes a program or ends. Nothing tells of its end, and
 * only {@linkcode WAIT_ALL} waits for it.
 */
export const SILENT_VFORK: number = 0x100 /* CLONE_VM */ |
  0x4000 /* CLONE_VFORK */;

/** The same as `vfork()` makes it: its end sends SIGCHLD. */
export const VFORK: number = SILENT_VFORK | Signal.SIGCHLD;

/** Has `wait4()` wait for a child whose end sends nothing, too. */
export const WAIT_ALL = 0x40000000; // __WALL

/** A system call, by its name. */
export type SystemCall = keyof typeof NUMBERS[typeof Deno.build.arch];

/**
 * The number of a system call.
 *
 * @param call Its name.
 * @param machine The machine.
 * @returns The number.
 */
export function systemCall(
  call: SystemCall,
  machine: typeof Deno.build.arch = Deno.build.arch,
): number {
  return NUMBERS[machine][call];
}
