/**
 * The program's name, as messages, logs and default file names have it.
 *
 * @module
 */
import { basename } from "@std/path/basename";
import { readLink } from "../ffi/file.ts";

let program: string | undefined;
let subprogram = "";

/**
 * Sets the name under which this program speaks. Port of
 * `ovs_set_program_name()` in util.c.
 *
 * @param name The name; without a slash, since files are named after it.
 * @throws {TypeError} When it is empty or holds a slash or a NUL.
 */
export function setProgramName(name: string): void {
  if (name === "" || /[/\0]/.test(name)) {
    throw new TypeError(`not a program name: ${JSON.stringify(name)}`);
  }
  program = name;
}

/**
 * The name under which this program speaks; that of its file until it is set.
 *
 * @returns The name.
 */
export function programName(): string {
  program ??= fileName();
  return program;
}

function fileName(): string {
  if (Deno.build.standalone) {
    return basename(readLink("/proc/self/exe").replace(/ \(deleted\)$/, ""));
  }
  const file = basename(decodeURIComponent(new URL(Deno.mainModule).pathname));
  // Of `deno eval` and `deno run -`: they have no file.
  return file.startsWith("$deno$") ? "deno" : file.replace(/\.[^.]*$/, "");
}

/**
 * Sets what this process is within the program: `monitor`, or nothing. Port of
 * `set_subprogram_name()` in util.c.
 *
 * @param name The name; empty for the program itself.
 */
export function setSubprogramName(name: string): void {
  subprogram = name;
}

/**
 * What this process is within the program.
 *
 * @returns The name; empty for the program itself.
 */
export function subprogramName(): string {
  return subprogram;
}
