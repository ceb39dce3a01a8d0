/**
 * The environment as libc has it. `Deno.env` would need a permission.
 *
 * @module
 */
import {
  type CString,
  cString,
  fromBytes,
  splitStrings,
  toBytes,
} from "./c_string.ts";
import { readFile } from "./file.ts";
import { bind, checked, symbol } from "./libc.ts";

const libc = bind({
  getenv: { parameters: ["buffer" /* const char * */], result: "pointer" },
  setenv: {
    parameters: [
      "buffer", // const char *name
      "buffer", // const char *value
      "i32", // int overwrite
    ],
    result: "i32",
  },
  unsetenv: { parameters: ["buffer" /* const char * */], result: "i32" },
  strlen: { parameters: ["pointer" /* const char * */], result: "usize" },
});

const POINTER_SIZE = 8;

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
 * @throws {LibcError} `ENOMEM`.
 */
export function setenv(name: string, value: CString): void {
  checked("setenv", libc.setenv(cString(name), cString(value), 1));
}

/**
 * Removes a variable, however often it is set.
 *
 * @param name Its name.
 */
export function unsetenv(name: string): void {
  checked("unsetenv", libc.unsetenv(cString(name)));
}

/**
 * All entries, as they are.
 *
 * @returns Each as bytes: `NAME=VALUE`, or what else a caller has put there.
 */
export function environment(): Uint8Array<ArrayBuffer>[] {
  return entryPointers().map(bytesAt);
}

/**
 * Takes an entry out of the environment, and wipes it out of the memory that
 * `/proc/PID/environ` shows. No other thread may look at the environment
 * meanwhile.
 *
 * @param prefix How the entry begins.
 * @returns What follows that; `undefined` when there is no such entry.
 */
export function takeEntry(prefix: string): Uint8Array<ArrayBuffer> | undefined {
  const pointers = entryPointers();
  const index = pointers.findIndex((pointer) =>
    fromBytes(bytesAt(pointer)).startsWith(prefix)
  );
  if (index === -1) return undefined;
  const bytes = bytesAt(pointers[index]!);
  const { getArrayBuffer } = Deno.UnsafePointerView;
  // libc has no name for an entry without `=`, and so no call for this. With
  // the NULL at the end there is one pointer more.
  const size = (pointers.length + 1) * POINTER_SIZE;
  new BigUint64Array(getArrayBuffer(environ()!, size))
    .copyWithin(index, index + 1);
  new Uint8Array(getArrayBuffer(pointers[index]!, bytes.length)).fill(0);
  return bytes.slice(toBytes(prefix).length);
}

/**
 * The environment that the kernel has given to this process.
 *
 * @returns Its entries, as bytes; those that were wiped are empty.
 * @throws {LibcError} When `/proc` is not mounted.
 */
export function initialEnvironment(): Uint8Array<ArrayBuffer>[] {
  return splitStrings(readFile("/proc/self/environ"));
}

/**
 * All variables, for a program that is started.
 *
 * @returns The value of `environ`: good until a variable is set.
 */
export function environ(): Deno.PointerValue {
  return new Deno.UnsafePointerView(symbol("environ")).getPointer();
}

function entryPointers(): Deno.PointerObject[] {
  const pointers: Deno.PointerObject[] = [];
  const list = environ();
  if (list === null) return pointers;
  const view = new Deno.UnsafePointerView(list);
  for (;;) {
    const pointer = view.getPointer(pointers.length * POINTER_SIZE);
    if (pointer === null) return pointers;
    pointers.push(pointer);
  }
}

function bytesAt(string: Deno.PointerObject): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Number(libc.strlen(string)));
  Deno.UnsafePointerView.copyInto(string, bytes);
  return bytes;
}
