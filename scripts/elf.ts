/** `Elf64_Ehdr`: offsets of what tells how long the image is. */
const EHDR = { size: 64, shoff: 40, shentsize: 58, shnum: 60 } as const;

/**
 * Tells where the ELF image at the beginning of a file ends. The table of
 * section headers is the last thing in it. `deno compile` appends a program's
 * data after that.
 *
 * @returns The length in bytes, or `undefined` if it is no 64-bit ELF image.
 */
export async function elfLength(path: string): Promise<number | undefined> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(EHDR.size);
  const length = await file.read(bytes);
  const header = new DataView(bytes.buffer);
  const isElf64 = header.getUint32(0) === 0x7f454c46 &&
    header.getUint8(4) === 2;
  if (length !== EHDR.size || !isElf64) return undefined;
  return Number(header.getBigUint64(EHDR.shoff, true)) +
    header.getUint16(EHDR.shentsize, true) *
      header.getUint16(EHDR.shnum, true);
}
