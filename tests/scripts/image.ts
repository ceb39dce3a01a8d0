/**
 * An executable made by hand, for tests of what changes one.
 *
 * @module
 */

/** The addresses, and offsets, in the image. */
export const IMAGE = {
  entry: 0x400,
  padding: 0xc00,
  paddingEnd: 0x1000,
  data: 0x2000,
  dataEnd: 0x2400,
  size: 0x3000,
} as const;

/** Where its headers are. */
export const HEADER = {
  code: 64,
  data: 64 + 56,
  dynamic: 64 + 2 * 56,
} as const;
/** Offsets in such a header. */
export const FIELD = { type: 0, flags: 4, filesz: 32, memsz: 40 } as const;

/** `e_machine`, and what is between functions. */
const MACHINE = {
  x86_64: [62, 0xcc],
  aarch64: [183, 0],
} as const;

/**
 * Makes an executable: two pages with code and some padding, and a third with
 * variables; some of these are the dynamic section, and all 0.
 */
export function image(
  architecture: keyof typeof MACHINE = "x86_64",
): Uint8Array<ArrayBuffer> {
  const [number, padding] = MACHINE[architecture];
  const elf = new Uint8Array(IMAGE.size);
  elf.fill(0x90, HEADER.dynamic + 56, IMAGE.data);
  elf.fill(padding, IMAGE.padding, IMAGE.paddingEnd);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = new DataView(elf.buffer);
  view.setUint16(16, 3, true); // e_type: ET_DYN
  view.setUint16(18, number, true);
  setEntry(elf, IMAGE.entry);
  view.setBigUint64(32, BigInt(HEADER.code), true);
  view.setUint16(56, 3, true); // e_phnum
  const size = IMAGE.dataEnd - IMAGE.data;
  header(view, HEADER.code, 1, 5, [0, IMAGE.data, IMAGE.data]);
  header(view, HEADER.data, 1, 6, [IMAGE.data, size, size + 16]);
  header(view, HEADER.dynamic, 2, 6, [IMAGE.data, 0x100, 0x100]);
  return elf;
}

function header(
  view: DataView,
  at: number,
  type: number,
  flags: number,
  [start, filesz, memsz]: [number, number, number],
): void {
  view.setUint32(at + FIELD.type, type, true);
  view.setUint32(at + FIELD.flags, flags, true);
  [start, start, start, filesz, memsz].forEach((value, i) =>
    view.setBigUint64(at + 8 + 8 * i, BigInt(value), true)
  );
}

/** Where a program begins. */
export function entryOf(elf: Uint8Array<ArrayBuffer>): number {
  return Number(new DataView(elf.buffer).getBigUint64(24, true));
}

/** Has it begin elsewhere. */
export function setEntry(elf: Uint8Array<ArrayBuffer>, entry: number): void {
  new DataView(elf.buffer).setBigUint64(24, BigInt(entry), true);
}

/** Bytes as text, for comparisons. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join(" ");
}
