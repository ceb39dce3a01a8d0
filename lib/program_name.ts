/**
 * The program's name, as messages, logs and default file names have it.
 *
 * @module
 */

let program = "tend";
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
 * The name under which this program speaks.
 *
 * @returns The name.
 */
export function programName(): string {
  return program;
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
