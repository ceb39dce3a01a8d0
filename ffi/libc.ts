/**
 * How every other file of this folder reaches libc: bound when first used,
 * `-1` turned into a {@linkcode LibcError}.
 *
 * @module
 */
import { cString } from "./c_string.ts";

const errnoLibrary = bind({
  __errno_location: { parameters: [], result: "pointer" }, // int *
  strerror: { parameters: ["i32" /* int errnum */], result: "pointer" }, // char *
});

let errnoView: Deno.UnsafePointerView | undefined;

/** The errno values that tend speaks of by name; equal on x86-64 and aarch64. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EEXIST: 17,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ELOOP: 40,
  EREMOTE: 66,
  EAFNOSUPPORT: 97,
  EALREADY: 114,
  EINPROGRESS: 115,
  EDQUOT: 122,
} as const;

/**
 * A libc call that failed.
 *
 * @example
 * ```ts
 * import { LibcError } from "./libc.ts";
 *
 * const error = new LibcError("open", 2);
 * error.message; // "open failed (No such file or directory)"
 * error.code; // "ENOENT"
 * ```
 */
export class LibcError extends Error {
  /** The class's name. */
  override readonly name = "LibcError";
  /** The call that failed, as the manual names it: `fcntl(F_SETLK)`. */
  readonly call: string;
  /** Its errno. */
  readonly errno: number;

  /**
   * @param call The call that failed.
   * @param errno Its errno.
   */
  constructor(call: string, errno: number) {
    super(`${call} failed (${strerror(errno)})`);
    this.call = call;
    this.errno = errno;
  }

  /** The errno's name, `ENOENT`; its number where tend has no name for it. */
  get code(): string {
    const entry = Object.entries(Errno).find(([, n]) => n === this.errno);
    return entry?.[0] ?? String(this.errno);
  }

  /** libc's words for the errno: `No such file or directory`. */
  get reason(): string {
    return strerror(this.errno);
  }
}

/**
 * Declares functions of libc. Each is looked up when it is first used, so that
 * importing a module opens nothing and needs no permission.
 *
 * `Deno.dlopen` compiles machine code for every function of its table, 0.3 ms
 * for each: longer than tend has for all it does. Called by its address a
 * function costs 2 µs more a call, and nothing before.
 *
 * @param symbols The functions, with their C types beside them.
 * @returns The functions.
 */
export function bind<const S extends Record<string, Deno.ForeignFunction>>(
  symbols: S,
): Deno.StaticForeignLibraryInterface<S> {
  const functions = {};
  for (const [name, definition] of Object.entries(symbols)) {
    Object.defineProperty(functions, name, {
      configurable: true,
      get: () => {
        const value = lookUp(name, definition);
        Object.defineProperty(functions, name, { value });
        return value;
      },
    });
  }
  return functions as Deno.StaticForeignLibraryInterface<S>;
}

function lookUp(
  name: string,
  definition: Deno.ForeignFunction,
): (...args: never[]) => unknown {
  const pointer = new Deno.UnsafeFnPointer(
    symbol(name) as Deno.PointerObject<Deno.ForeignFunction>,
    definition,
  );
  return pointer.call.bind(pointer);
}

/**
 * The address of a function or variable of libc.
 *
 * @param name Its name.
 * @returns Its address.
 * @throws {Error} When this is not glibc on Linux, or it has no such symbol.
 */
export function symbol(name: string): Deno.PointerObject {
  if (libc === undefined) {
    libc = openLibc();
    // Now: after a call that has failed, to look this up could change errno.
    errno();
  }
  const address = libc.dlsym(null, cString(name));
  if (address === null) {
    throw new Error(`tend needs glibc, and this libc has no ${name}`);
  }
  return address;
}

const DLSYM = {
  dlsym: {
    parameters: ["pointer", /* void *handle */ "buffer" /* const char * */],
    result: "pointer", // void *
  },
} as const satisfies Deno.ForeignLibraryInterface;

let libc: Deno.StaticForeignLibraryInterface<typeof DLSYM> | undefined;

function openLibc(): Deno.StaticForeignLibraryInterface<typeof DLSYM> {
  const { os, arch } = Deno.build;
  if (os !== "linux") {
    throw new Error(`tend runs on Linux alone, and this is ${os}`);
  }
  if (arch !== "x86_64" && arch !== "aarch64") {
    throw new Error(`tend runs on x86-64 and aarch64, and this is ${arch}`);
  }
  try {
    return Deno.dlopen("libc.so.6", DLSYM).symbols;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Error(
      `tend needs glibc, and loading libc.so.6 failed: ${
        error instanceof Error ? error.message : error
      }`,
      { cause: error },
    );
  }
}

/**
 * Throws when a libc call has returned -1.
 *
 * @param call The call's name, for the error.
 * @param result What it returned. Nothing may come between the call and this.
 * @returns `result`, as a number.
 * @throws {LibcError} When `result` is -1.
 */
export function checked(call: string, result: number | bigint): number {
  if (Number(result) === -1) throw new LibcError(call, errno());
  return Number(result);
}

/**
 * Makes a libc call again for as long as a signal interrupts it.
 *
 * @param call The call's name, for the error.
 * @param make Makes the call.
 * @returns What the call returned, as a number.
 * @throws {LibcError} On any errno but `EINTR`.
 */
export function uninterrupted(
  call: string,
  make: () => number | bigint,
): number {
  for (;;) {
    const result = Number(make());
    if (result !== -1) return result;
    const why = errno();
    if (why !== Errno.EINTR) throw new LibcError(call, why);
  }
}

/**
 * The errno of the last call.
 *
 * @returns `errno` of this thread.
 */
export function errno(): number {
  // The address is the thread's own and never changes, in a fork neither.
  errnoView ??= new Deno.UnsafePointerView(
    errnoLibrary.__errno_location()!,
  );
  return errnoView.getInt32();
}

/**
 * Sets errno to 0, before a call that changes it when it fails, and has no
 * other way to say so.
 */
export function clearErrno(): void {
  const address = errnoLibrary.__errno_location()!;
  new Int32Array(Deno.UnsafePointerView.getArrayBuffer(address, 4))[0] = 0;
}

/**
 * Text for an errno.
 *
 * @param errno An errno.
 * @returns libc's words: `Permission denied`.
 */
export function strerror(errno: number): string {
  const text = errnoLibrary.strerror(errno);
  return text === null
    ? `errno ${errno}`
    : Deno.UnsafePointerView.getCString(text);
}
