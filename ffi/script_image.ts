/**
 * Programs that are a script of system calls and nothing else: ELF files of a
 * few hundred bytes.
 *
 * @module
 */
import type { CallScript, Cell } from "./call_script.ts";
import { INTERPRETER } from "./interpreter.ts";
import { machineCode, offsetOf } from "./machine_code.ts";

/** `Elf64_Ehdr`, `Elf64_Phdr`: sizes, and `e_machine`. */
const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const E_MACHINE = { x86_64: 62, aarch64: 183 } as const;
const ET_EXEC = 2;
const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;
/** The largest page of each machine: so far apart are the two segments. */
const PAGE = { x86_64: 0x1000, aarch64: 0x10000 } as const;
/** Where the instructions are in memory; the script is in the next page. */
const CODE = 0x400000;

/**
 * Makes the two words where a program finds its stack: address and size, for
 * `madvise()`.
 *
 * @param script The program's script.
 * @returns The words.
 */
export function stackRange(script: CallScript): readonly [Cell, Cell] {
  return [script.cell(), script.cell()];
}

/**
 * Makes a program of a script, an ELF file. Its instructions are never writable,
 * and its script is never executable.
 *
 * @param script What it does; it must not return.
 * @param stack The first word of {@linkcode stackRange}.
 * @param machine The machine that it is for.
 * @returns The file.
 */
export function scriptImage(
  script: CallScript,
  stack: Cell,
  machine: typeof Deno.build.arch,
): Uint8Array<ArrayBuffer> {
  const page = PAGE[machine];
  const { bytes, first } = script.link(BigInt(CODE + page));
  const instructions = INTERPRETER[machine];
  const code = machineCode(instructions);
  const codeAt = EHDR_SIZE + 3 * PHDR_SIZE;
  const entry = CODE + codeAt + offsetOf(instructions, "image");

  const image = new Uint8Array(page + bytes.length);
  image.set(code, codeAt);
  image.set(bytes, page);
  const view = new DataView(image.buffer);
  const literal = (name: string, value: bigint) =>
    view.setBigUint64(codeAt + offsetOf(instructions, name), value, true);
  literal("script", first);
  literal("stack", BigInt(CODE + page + stack.cell));

  // e_ident: ELF, 64 bits, little-endian, version 1.
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, ET_EXEC, true);
  view.setUint16(18, E_MACHINE[machine], true);
  view.setUint32(20, 1, true); // e_version
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, BigInt(EHDR_SIZE), true); // e_phoff
  view.setUint16(52, EHDR_SIZE, true);
  view.setUint16(54, PHDR_SIZE, true);
  view.setUint16(56, 3, true); // e_phnum
  const segment = (
    index: number,
    type: number,
    flags: number,
    offset: number,
    size: number,
  ) => {
    const at = EHDR_SIZE + index * PHDR_SIZE;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    if (type !== PT_LOAD) return;
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 16, BigInt(CODE + offset), true); // p_vaddr
    view.setBigUint64(at + 24, BigInt(CODE + offset), true); // p_paddr
    view.setBigUint64(at + 32, BigInt(size), true); // p_filesz
    view.setBigUint64(at + 40, BigInt(size), true); // p_memsz
    view.setBigUint64(at + 48, BigInt(page), true); // p_align
  };
  segment(0, PT_LOAD, PF_R | PF_X, 0, codeAt + code.length);
  segment(1, PT_LOAD, PF_R | PF_W, page, bytes.length);
  segment(2, PT_GNU_STACK, PF_R | PF_W, 0, 0);
  return image;
}
