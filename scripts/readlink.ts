/**
 * Has a finished executable call another `readlink` than libc's: that of
 * `scripts/readlink_code.ts`, with which a program starts from its own file,
 * whatever has become of that one's name.
 *
 * What the dynamic loader would fill in is called through pointers, and which
 * of them get the address of `readlink` stands in tables. There they become
 * pointers into the executable. Others ask the loader for `readlink` by name,
 * as ffi does, and are still given libc's.
 */
import { machineCode, offsetOf } from "../ffi/machine_code.ts";
import {
  type Architecture,
  type ElfImage,
  findRoom,
  readElfImage,
  refusal,
} from "./elf_image.ts";
import { READLINK_CODE, READLINK_LABEL } from "./readlink_code.ts";

/** `Elf64_Dyn`: offsets. */
const DYN = { tag: 0, value: 8, size: 16 } as const;
const DT_PLTRELSZ = 2;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_RELA = 7;
const DT_RELASZ = 8;
const DT_JMPREL = 23;
const DT_FLAGS = 30;
const DF_BIND_NOW = 8;

/** Where the tables of relocations are, and how long they are. */
const TABLES = [[DT_RELA, DT_RELASZ], [DT_JMPREL, DT_PLTRELSZ]] as const;

/** `Elf64_Sym`: offsets. */
const SYM = { name: 0, size: 24 } as const;

/** `Elf64_Rela`: offsets; the type and the symbol make up `r_info`. */
const RELA = { offset: 0, type: 8, symbol: 12, addend: 16, size: 24 } as const;

/** Types of relocations. */
const TYPES: Readonly<
  Record<Architecture, Record<"pointer" | "got" | "plt" | "relative", number>>
> = {
  x86_64: { pointer: 1, got: 6, plt: 7, relative: 8 },
  aarch64: { pointer: 257, got: 1025, plt: 1026, relative: 1027 },
};

/** An entry of a table that says what the dynamic loader is to fill in. */
interface Relocation {
  /** Where the entry is in the file. */
  readonly at: number;
  /** The address that is to be filled. */
  readonly address: number;
  readonly type: number;
  /** The symbol whose address it is to be filled with. */
  readonly name: string;
  readonly addend: bigint;
}

/**
 * Changes an executable so that it calls our `readlink`.
 *
 * @param elf The whole file; it is changed in place.
 * @throws {Failure} It is not as this expects; nothing is changed then.
 */
export function replaceReadlink(elf: Uint8Array): void {
  const image = readElfImage(elf);
  const types = TYPES[image.architecture];
  const imports = readImports(image, ["readlink", "__errno_location"]);
  const pointers = imports.filter(({ name }) => name === "readlink");
  if (pointers.length === 0) throw refusal("it does not import readlink");
  const known = [types.pointer, types.got, types.plt];
  if (pointers.some((p) => !known.includes(p.type) || p.addend !== 0n)) {
    throw refusal("it imports readlink in a way of its own");
  }
  // Not one among variables, which the program itself might change.
  const errno = imports.find(({ name, type }) =>
    name === "__errno_location" && (type === types.got || type === types.plt)
  );
  if (errno === undefined) throw refusal("it does not import errno");

  const lines = READLINK_CODE[image.architecture];
  const code = machineCode(lines);
  const errnoOffset = offsetOf(lines, READLINK_LABEL.errno);
  const entryOffset = offsetOf(lines, READLINK_LABEL.entry);
  const { address, offset } = findRoom(image, code.length);

  elf.set(code, offset);
  const { view } = image;
  const distance = errno.address - (address + errnoOffset);
  view.setBigInt64(offset + errnoOffset, BigInt(distance), true);
  for (const { at } of pointers) {
    view.setUint32(at + RELA.type, types.relative, true);
    view.setUint32(at + RELA.symbol, 0, true);
    view.setBigInt64(at + RELA.addend, BigInt(address + entryOffset), true);
  }
}

/** Finds the relocations that are for certain symbols. */
function readImports(image: ElfImage, names: readonly string[]): Relocation[] {
  const { view } = image;
  const dynamic = readDynamic(image);
  const need = (tag: number) => {
    const value = dynamic.get(tag);
    if (value === undefined) throw refusal("it lacks a table");
    return value;
  };
  // Else the loader may leave functions for when they are first called. It does
  // not take an entry of another type for such a one, and ours might come
  // before the address of __errno_location.
  if (((dynamic.get(DT_FLAGS) ?? 0) & DF_BIND_NOW) === 0) {
    throw refusal("it is not bound when it starts");
  }
  const symbols = need(DT_SYMTAB);
  const strings = need(DT_STRTAB);
  const nameOf = (symbol: number) => {
    const at = fileOffset(image, symbols + symbol * SYM.size, SYM.size);
    const name = strings + view.getUint32(at + SYM.name, true);
    return names.find((wanted) => isString(image, name, wanted));
  };

  const found: Relocation[] = [];
  for (const [tag, sizeTag] of TABLES) {
    const size = need(sizeTag);
    const start = fileOffset(image, need(tag), size);
    for (let at = start; at + RELA.size <= start + size; at += RELA.size) {
      const symbol = view.getUint32(at + RELA.symbol, true);
      const name = symbol === 0 ? undefined : nameOf(symbol);
      if (name === undefined) continue;
      found.push({
        at,
        address: Number(view.getBigUint64(at + RELA.offset, true)),
        type: view.getUint32(at + RELA.type, true),
        name,
        addend: view.getBigInt64(at + RELA.addend, true),
      });
    }
  }
  return found;
}

/** Reads the dynamic section. What is there several times is not needed. */
function readDynamic(image: ElfImage): Map<number, number> {
  const { view, dynamic } = image;
  if (dynamic === undefined) throw refusal("it is not dynamically linked");
  const { vaddr, filesz } = dynamic;
  const start = fileOffset(image, vaddr, filesz);
  const entries = new Map<number, number>();
  for (let at = start; at + DYN.size <= start + filesz; at += DYN.size) {
    entries.set(
      Number(view.getBigUint64(at + DYN.tag, true)),
      Number(view.getBigUint64(at + DYN.value, true)),
    );
  }
  return entries;
}

function isString(image: ElfImage, address: number, text: string): boolean {
  const expected = new TextEncoder().encode(`${text}\0`);
  const at = fileOffset(image, address, 1);
  return expected.every((byte, i) => image.bytes[at + i] === byte);
}

/** Where in the file that is which is mapped at an address. */
function fileOffset(
  { segments }: ElfImage,
  address: number,
  size: number,
): number {
  const segment = segments.find(({ vaddr, filesz }) =>
    address >= vaddr && address + size <= vaddr + filesz
  );
  if (segment === undefined) throw refusal("its tables are cut off");
  return address - segment.vaddr + segment.offset;
}
