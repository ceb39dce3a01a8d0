/**
 * Starting a program beside this one: `posix_spawn()`.
 *
 * @module
 */
import { type CString, cString, CStringArray } from "./c_string.ts";
import { bind, LibcError } from "./libc.ts";
import { sigset } from "./signal.ts";

const libc = bind({
  posix_spawn: {
    parameters: [
      "buffer", // pid_t *pid
      "buffer", // const char *path
      "buffer", // const posix_spawn_file_actions_t *
      "buffer", // const posix_spawnattr_t *
      "buffer", // char *const argv[]
      "buffer", // char *const envp[]
    ],
    result: "i32", // an errno
  },
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_adddup2: {
    parameters: ["buffer", "i32", /* int fd */ "i32" /* int newfd */],
    result: "i32",
  },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: {
    parameters: ["buffer", "i16" /* short flags */],
    result: "i32",
  },
  posix_spawnattr_setsigmask: {
    parameters: ["buffer", "buffer" /* const sigset_t * */],
    result: "i32",
  },
});

/** Room for glibc's opaque types, which are 80 and 336 bytes. */
const OPAQUE_SIZE = 512;
const POSIX_SPAWN_SETSIGMASK = 0x08;

/** What a spawned program gets beside its arguments. */
export interface SpawnOptions {
  /** Its environment. */
  readonly env: readonly CString[];
  /** A descriptor that it gets, if there is one, and its number there. */
  readonly pass?: { readonly fd: number; readonly as: number };
  /** Whether it begins with no signal blocked, and not with ours. */
  readonly unblockSignals: boolean;
}

/**
 * Starts a program. Unlike `fork()` it does not matter how many threads this
 * process has.
 *
 * @param path The program.
 * @param argv Its arguments, with its name first.
 * @param options What else it gets.
 * @returns Its pid.
 * @throws {LibcError} `ENOENT`, `EAGAIN` and others: glibc passes on what
 * `execve()` said.
 */
export function posixSpawn(
  path: CString,
  argv: readonly CString[],
  { env, pass, unblockSignals }: SpawnOptions,
): number {
  const pid = new Int32Array(1);
  const file = cString(path);
  const args = new CStringArray(argv);
  const variables = new CStringArray(env);
  const actions = new Uint8Array(OPAQUE_SIZE);
  const attributes = new Uint8Array(OPAQUE_SIZE);
  ok(libc.posix_spawn_file_actions_init(actions));
  ok(libc.posix_spawnattr_init(attributes));
  try {
    // The duplicate is not closed on exec.
    if (pass !== undefined) {
      ok(libc.posix_spawn_file_actions_adddup2(actions, pass.fd, pass.as));
    }
    if (unblockSignals) {
      ok(libc.posix_spawnattr_setsigmask(attributes, sigset([])));
      ok(libc.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK));
    }
    ok(libc.posix_spawn(
      new Uint8Array(pid.buffer),
      file,
      actions,
      attributes,
      new Uint8Array(args.pointers.buffer),
      new Uint8Array(variables.pointers.buffer),
    ));
  } finally {
    libc.posix_spawnattr_destroy(attributes);
    libc.posix_spawn_file_actions_destroy(actions);
  }
  return pid[0]!;
}

/** These functions return their errno. */
function ok(error: number): void {
  if (error !== 0) throw new LibcError("posix_spawn", error);
}
