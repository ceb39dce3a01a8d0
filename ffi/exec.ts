/**
 * Becoming another program.
 *
 * @module
 */
import { type CString, cString, CStringArray } from "./c_string.ts";
import { bind, errno, LibcError } from "./libc.ts";

const libc = bind({
  execvp: {
    parameters: [
      "buffer", // const char *file
      "buffer", // char *const argv[]
    ],
    result: "i32",
  },
  execvpe: {
    parameters: [
      "buffer", // const char *file
      "buffer", // char *const argv[]
      "buffer", // char *const envp[]
    ],
    result: "i32",
  },
  execve: {
    parameters: [
      "buffer", // const char *path
      "buffer", // char *const argv[]
      "buffer", // char *const envp[]
    ],
    result: "i32",
  },
});

/**
 * Becomes another program, looked up in `PATH` when the name has no slash.
 *
 * @param file The program.
 * @param argv Its arguments, with its name first.
 * @returns Never; this process is another program then.
 * @throws {LibcError} `ENOENT`, `EACCES`, `E2BIG` and others.
 */
export function execvp(file: CString, argv: readonly CString[]): never {
  const path = cString(file);
  const args = new CStringArray(argv);
  libc.execvp(path, new Uint8Array(args.pointers.buffer));
  throw new LibcError("exec", errno());
}

/**
 * Gets ready to become another program with another environment, so that next
 * to nothing is left to do: for a process that has too little memory by then.
 *
 * @param path The program. One that is no ELF file and has no `#!` is a script
 * for `/bin/sh`, as for {@linkcode execvp}.
 * @param argv Its arguments, with its name first.
 * @param env Its environment.
 * @returns Becomes it, or throws as {@linkcode execvp} does.
 * @throws {TypeError} When a string holds a NUL.
 */
export function readyToExec(
  path: CString,
  argv: readonly CString[],
  env: readonly CString[],
): () => never {
  const name = cString(path);
  const [args, variables] = [new CStringArray(argv), new CStringArray(env)];
  const words = new Uint8Array(args.pointers.buffer);
  const entries = new Uint8Array(variables.pointers.buffer);
  const { execvpe } = libc;
  return () => {
    execvpe(name, words, entries);
    // Until here: theirs are the strings.
    void [args, variables];
    throw new LibcError("exec", errno());
  };
}

/**
 * Becomes another program, with another environment.
 *
 * @param file The program's path.
 * @param argv Its arguments, with its name first.
 * @param env Its environment.
 * @returns Never; this process is another program then.
 * @throws {LibcError} `ENOENT`, `EACCES`, `E2BIG` and others.
 */
export function execve(
  file: CString,
  argv: readonly CString[],
  env: readonly CString[],
): never {
  const path = cString(file);
  const [args, variables] = [new CStringArray(argv), new CStringArray(env)];
  libc.execve(
    path,
    new Uint8Array(args.pointers.buffer),
    new Uint8Array(variables.pointers.buffer),
  );
  throw new LibcError("exec", errno());
}
