/**
 * The environment as libc has it. `Deno.env` would need a permission.
 *
 * @module
 */
import { cString } from "./c_string.ts";
import { bind, checked, symbol } from "./libc.ts";

const libc = bind({
  getenv: { parameters: ["buffer" /* const char * */], result: "pointer" },
  strlen: { parameters: ["pointer" /* const char * */], result: "usize" },
  setenv: {
    parameters: [
      "buffer", // const char *name
      "buffer", // const char *value
      "i32", // int overwrite
    ],
    result: "i32",
  },
  unsetenv: { parameters: ["buffer" /* const char * */], result: "i32" },
});

/**
 * Reads a variable.
 *
 * @param name Its name.
 * @returns Its value, as bytes; `undefined` when it is not set.
 */
export function getenv(name: string): Uint8Array<ArrayBuffer> | undefined {
  const value = libc.getenv(cString(name));
  if (value === null) return undefined;
  const bytes = new Uint8Array(Number(libc.strlen(value)));
  Deno.UnsafePointerView.copyInto(value, bytes);
  return bytes;
}

/**
 * Sets a variable.
 *
 * @param name Its name.
 * @param value Its value.
 * @throws {LibcError} `ENOMEM`, `EINVAL`.
 */
export function setenv(name: string, value: string): void {
  checked("setenv", libc.setenv(cString(name), cString(value), 1));
}

/**
 * Removes a variable, and wipes its value out of the memory that
 * `/proc/PID/environ` shows.
 *
 * @param name Its name.
 * @throws {LibcError} `EINVAL`.
 */
export function unsetenv(name: string): void {
  const value = libc.getenv(cString(name));
  if (value !== null) {
    const length = Number(libc.strlen(value));
    const bytes = Deno.UnsafePointerView.getArrayBuffer(value, length);
    new Uint8Array(bytes).fill(0);
  }
  checked("unsetenv", libc.unsetenv(cString(name)));
}

/**
 * All variables, as they are.
 *
 * @returns `NAME=VALUE` of each, as bytes.
 */
export function environment(): Uint8Array<ArrayBuffer>[] {
  const variables: Uint8Array<ArrayBuffer>[] = [];
  const list = environ();
  if (list === null) return variables;
  const view = new Deno.UnsafePointerView(list);
  for (;;) {
    const variable = view.getPointer(variables.length * 8);
    if (variable === null) return variables;
    const bytes = new Uint8Array(Number(libc.strlen(variable)));
    Deno.UnsafePointerView.copyInto(variable, bytes);
    variables.push(bytes);
  }
}

/**
 * All variables, for a program that is started.
 *
 * @returns The value of `environ`: good until a variable is set.
 */
export function environ(): Deno.PointerValue {
  return new Deno.UnsafePointerView(symbol("environ")).getPointer();
}
