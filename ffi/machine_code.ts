/**
 * Machine code, as an assembler lists it.
 *
 * @module
 */

/** An instruction, in hexadecimal as `objdump` has it, and its source. */
export type Instruction = readonly [code: string, assembly: string];

/**
 * Makes bytes of instructions.
 *
 * @param instructions The instructions. A number of more than one byte is
 * little-endian in memory.
 * @returns Their bytes.
 */
export function machineCode(
  instructions: readonly Instruction[],
): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const [code] of instructions) {
    for (const number of code.split(" ")) {
      for (let i = number.length - 2; i >= 0; i -= 2) {
        bytes.push(parseInt(number.slice(i, i + 2), 16));
      }
    }
  }
  return Uint8Array.from(bytes);
}

/**
 * Where a label is.
 *
 * @param instructions The instructions.
 * @param label The label, without its colon.
 * @returns Its offset in their bytes.
 * @throws {Error} When there is none.
 */
export function offsetOf(
  instructions: readonly Instruction[],
  label: string,
): number {
  const index = instructions.findIndex(([, assembly]) =>
    assembly.startsWith(`${label}:`)
  );
  if (index === -1) throw new Error(`no label ${label}`);
  return instructions.slice(0, index).reduce(
    (sum, [code]) => sum + code.replaceAll(" ", "").length / 2,
    0,
  );
}
