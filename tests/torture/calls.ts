/**
 * System calls of x86-64 by number, and what each is to these tests.
 *
 * @module
 */
import { Errno, strerror } from "../../ffi/libc.ts";

const { EACCES, EAGAIN, EINTR, EIO, EMFILE, ENFILE } = Errno;
const { ENOMEM, ENOSPC, EPERM, EROFS } = Errno;

const ENOLCK = 37;

/** What there may be too little of when a descriptor is made. */
const NO_ROOM = [EMFILE, ENFILE, ENOMEM] as const;

interface Call {
  readonly name: string;
  /** The errors that it can fail with, of those that are tried. */
  readonly errors: readonly number[];
}

/**
 * Calls that something may depend on. The kernel's documents say for each what
 * it can fail with; a read of `/proc` gets the errors of a disk too, for none
 * of ours tells them apart.
 */
const CALLS: Readonly<Record<number, Call>> = {
  0: { name: "read", errors: [EINTR, EIO, ENOMEM] },
  1: { name: "write", errors: [EINTR, ENOSPC, EIO] },
  2: { name: "open", errors: [EINTR, EACCES, EROFS, ENOSPC, EIO, ...NO_ROOM] },
  3: { name: "close", errors: [EINTR, EIO] },
  // So few descriptors need no memory.
  7: { name: "poll", errors: [EINTR] },
  17: { name: "pread64", errors: [EINTR, EIO] },
  18: { name: "pwrite64", errors: [EINTR, ENOSPC, EIO] },
  21: { name: "access", errors: [EACCES, EIO, ENOMEM] },
  // Onto one that is open; that takes no number.
  33: { name: "dup2", errors: [EINTR] },
  41: { name: "socket", errors: [EACCES, ...NO_ROOM] },
  42: { name: "connect", errors: [EACCES, EAGAIN] },
  44: { name: "sendto", errors: [EAGAIN, ENOMEM] },
  47: { name: "recvmsg", errors: [ENOMEM] },
  49: { name: "bind", errors: [EACCES, ENOMEM] },
  54: { name: "setsockopt", errors: [ENOMEM] },
  56: { name: "clone", errors: [EAGAIN, ENOMEM] },
  57: { name: "fork", errors: [EAGAIN, ENOMEM] },
  58: { name: "vfork", errors: [EAGAIN, ENOMEM] },
  59: { name: "execve", errors: [EACCES, EIO, ENOMEM, ENFILE] },
  61: { name: "wait4", errors: [EINTR] },
  62: { name: "kill", errors: [] },
  72: { name: "fcntl", errors: [] },
  77: { name: "ftruncate", errors: [EINTR, EIO, EROFS] },
  80: { name: "chdir", errors: [EACCES, EIO, ENOMEM] },
  81: { name: "fchdir", errors: [EACCES, EIO] },
  82: { name: "rename", errors: [EACCES, ENOSPC, EROFS, EIO] },
  83: { name: "mkdir", errors: [EACCES, ENOSPC, EROFS, ENOMEM] },
  87: { name: "unlink", errors: [EACCES, EROFS, EIO] },
  91: { name: "fchmod", errors: [EPERM, EROFS, EIO] },
  89: { name: "readlink", errors: [EACCES, EIO, ENOMEM] },
  93: { name: "fchown", errors: [EPERM, EROFS, EIO] },
  109: { name: "setpgid", errors: [EPERM] },
  112: { name: "setsid", errors: [EPERM] },
  116: { name: "setgroups", errors: [EPERM, ENOMEM] },
  117: { name: "setresuid", errors: [EPERM, EAGAIN] },
  119: { name: "setresgid", errors: [EPERM] },
  128: { name: "rt_sigtimedwait", errors: [EINTR] },
  129: { name: "rt_sigqueueinfo", errors: [EAGAIN] },
  141: { name: "setpriority", errors: [EACCES, EPERM] },
  157: { name: "prctl", errors: [EPERM] },
  217: { name: "getdents64", errors: [EIO, ENOMEM] },
  // Ours do not wait.
  247: { name: "waitid", errors: [] },
  254: { name: "inotify_add_watch", errors: [ENOSPC, EACCES, ENOMEM] },
  257: {
    name: "openat",
    errors: [EINTR, EACCES, EROFS, ENOSPC, EIO, ...NO_ROOM],
  },
  262: { name: "newfstatat", errors: [EACCES, EIO, ENOMEM] },
  264: { name: "renameat", errors: [EACCES, ENOSPC, EROFS, EIO] },
  271: { name: "ppoll", errors: [EINTR] },
  283: { name: "timerfd_create", errors: NO_ROOM },
  286: { name: "timerfd_settime", errors: [] },
  289: { name: "signalfd4", errors: NO_ROOM },
  290: { name: "eventfd2", errors: NO_ROOM },
  292: { name: "dup3", errors: [EINTR] },
  293: { name: "pipe2", errors: [EMFILE, ENFILE] },
  294: { name: "inotify_init1", errors: [EMFILE, ENFILE, ENOMEM] },
  302: { name: "prlimit64", errors: [EPERM] },
  312: { name: "kcmp", errors: [EPERM] },
  319: { name: "memfd_create", errors: [EACCES, ...NO_ROOM] },
  322: { name: "execveat", errors: [EACCES, EIO, ENOMEM, ENFILE] },
  332: { name: "statx", errors: [EACCES, EIO, ENOMEM] },
  424: { name: "pidfd_send_signal", errors: [] },
  434: { name: "pidfd_open", errors: NO_ROOM },
  435: { name: "clone3", errors: [EAGAIN, EPERM, ENOMEM] },
};

/**
 * What else can fail in a logger: it has no runtime that does the same for
 * purposes of its own, and each call is one of our script's.
 */
const LOGGER_CALLS: Readonly<Record<number, Call>> = {
  9: { name: "mmap", errors: [ENOMEM] },
  28: { name: "madvise", errors: [EAGAIN] },
  35: { name: "nanosleep", errors: [EINTR] },
  // The queue of whoever is told of trouble may be full.
  424: { name: "pidfd_send_signal", errors: [EAGAIN] },
};

/** The kernel's names of those that wait for events. */
export const POLL = 7;
export const PPOLL = 271;
export const GETCWD = 79;
/** Ends a process: before it there may still be something to lose. */
const EXIT_GROUP = 231;

/**
 * Whether it matters that a process is killed right before a call. The others
 * read, or change what goes with the process: memory, its mask of signals. To
 * be killed before one of them is to be killed before what follows.
 */
export function matters(number: number, isLogger = false): boolean {
  return number in CALLS || number === EXIT_GROUP ||
    isLogger && number in LOGGER_CALLS;
}

/** The name of a call that matters. */
export function nameOf(number: number): string {
  return CALLS[number]?.name ?? LOGGER_CALLS[number]?.name ??
    (number === EXIT_GROUP ? "exit_group" : "?");
}

/** Calls that tend, which calls libc, has other names for. */
const SAID: Readonly<Record<string, string>> = {
  // Whether a command can be executed, and whether an output can be opened.
  access: "access|exec|open",
  clone: "clone|fork",
  clone3: "posix_spawn|clone",
  dup3: "dup2|dup3",
  eventfd2: "eventfd",
  execve: "exec|execve|fexecve|posix_spawn",
  execveat: "exec|fexecve",
  // As setpgid(): what is done right before a command is told as its exec.
  fcntl: "fcntl|dup|exec",
  ftruncate: "ftruncate|truncate",
  getdents64: "readdir",
  newfstatat: "stat|lstat|fstat|fstatat|opendir",
  open: "open|opendir|create",
  openat: "open|openat|opendir|create",
  pread64: "pread",
  prlimit64: "getrlimit|setrlimit|prlimit",
  pwrite64: "pwrite",
  renameat: "rename",
  rt_sigqueueinfo: "sigqueue",
  rt_sigtimedwait: "sigtimedwait",
  signalfd4: "signalfd",
  setpgid: "setpgid|exec",
  // Whether a command is there, too.
  statx: "stat|lstat|fstat|statx|open|exec",
  unlink: "unlink|delete",
  vfork: "fork|vfork|clone",
  wait4: "waitpid|wait4",
};

/** libc asks for users and groups by calls that it does not tell of. */
const LOOKUPS = ["getpwnam", "getpwuid", "getgrnam", "getgrouplist"];
const LOOKING: readonly string[] = ["open", "openat", "read", "newfstatat"]
  .concat("socket", "connect", "sendto", "poll");

/**
 * Whether a text has a sentence with a call that failed, and why.
 *
 * @param text What was said.
 * @param number The call.
 * @param errno Its error.
 */
export function saysWhatFailed(
  text: string,
  number: number,
  errno: number,
): boolean {
  const name = nameOf(number);
  const names = [SAID[name] ?? name, ...LOOKING.includes(name) ? LOOKUPS : []];
  const call = `\\b(?:${names.join("|")})(?:\\([A-Z_]+\\))?`;
  const reason = strerror(errno);
  // In Open vSwitch's words, too.
  const sentences = [
    `${call} failed \\(${reason}\\)`,
    `${call}: ${reason}`,
    `failed to ${call} .*\\(${reason}\\)`,
    // Of an option whose value the system refuses.
    `option --limit=\\w+: .*\\(${reason}\\)`,
  ];
  return new RegExp(sentences.join("|")).test(text);
}

/** What `fcntl()` can fail with, by its second argument. */
const FCNTL_ERRORS: Readonly<Record<string, readonly number[]>> = {
  "0": [EMFILE], // F_DUPFD
  "6": [EAGAIN, EACCES, ENOLCK], // F_SETLK
  "1030": [EMFILE], // F_DUPFD_CLOEXEC
};

/**
 * The errors that a call can fail with.
 *
 * @param number The call.
 * @param file What its first argument refers to, if that is a descriptor.
 * @param second Its second argument.
 * @param isLogger Whether a logger makes it.
 */
export function errorsOf(
  number: number,
  file: string | undefined,
  second: string,
  isLogger = false,
): readonly number[] {
  const { name, errors } = (isLogger ? LOGGER_CALLS[number] : undefined) ??
    CALLS[number] ?? { name: "?", errors: [] };
  if (name === "fcntl") return FCNTL_ERRORS[second] ?? [];
  const isDisk = file === undefined || file.startsWith("/");
  const isPipe = file !== undefined && file.startsWith("pipe:");
  if (name === "close") return isDisk ? errors : [];
  // Neither disks nor memory are behind other descriptors.
  if (["read", "write"].includes(name) && !isDisk) return isPipe ? [EINTR] : [];
  return errors;
}

/**
 * Calls with a length that may do less than they were asked to. What comes through
 * the pipes of others than loggers is a byte, or a word that is written whole.
 */
export function mayBeShort(
  number: number,
  file: string | undefined,
  isLogger = false,
): boolean {
  return ["read", "write", "pread64", "pwrite64"].includes(nameOf(number)) &&
    file !== undefined &&
    (file.startsWith("/") || isLogger && file.startsWith("pipe:"));
}

/** The length of such a call instead: a pipe may hold very little. */
export function lessThan(length: bigint, file: string | undefined): bigint {
  const half = (length + 1n) / 2n;
  return file?.startsWith("pipe:") && half > 16n ? 16n : half;
}

/** Calls whose first argument is a descriptor. */
export function takesDescriptor(number: number): boolean {
  return ["read", "write", "close", "pread64", "pwrite64", "fcntl", "ftruncate"]
    .concat("fchdir", "dup2", "dup3", "getdents64").includes(nameOf(number));
}

/** Which argument of a call is a path. */
export function pathArgument(number: number): number | undefined {
  const name = nameOf(number);
  if (["openat", "newfstatat", "renameat", "statx"].includes(name)) return 1;
  return ["open", "access", "rename", "mkdir", "unlink", "readlink", "chdir"]
      .concat("execve").includes(name)
    ? 0
    : undefined;
}
