/**
 * Gives a finished executable a new entry point: the instructions of
 * `scripts/entry_code.ts`, which go on to the old one. Later would be too late:
 * Rust's runtime comes before all JavaScript.
 *
 * The instructions take the place of padding between functions; what they note
 * goes into memory that is there only because memory comes in pages.
 */
import { ENTRY_NOTE } from "../ffi/entry_note.ts";
import { machineCode } from "../ffi/machine_code.ts";
import {
  EHDR,
  type ElfImage,
  findRoom,
  MARGIN,
  PAGE,
  PF_RX,
  PF_W,
  readElfImage,
  refusal,
} from "./elf_image.ts";
import { ENTRY_CODE } from "./entry_code.ts";

/**
 * Changes an executable so that it begins with our instructions.
 *
 * @param elf The whole file; it is changed in place.
 * @throws {Failure} It is not as this expects; nothing is changed then.
 */
export function replaceEntry(elf: Uint8Array): void {
  const image = readElfImage(elf);
  const { view } = image;
  const { lines, reach, jump } = ENTRY_CODE[image.architecture];
  const original = readEntry(image);
  const slot = findSlot(image);
  const code = machineCode(lines);
  const size = code.length;
  const { address: entry, offset } = findRoom(image, size);
  const distance = original - (entry + size);
  // The start of the jump is a few bytes further away than its end.
  if (Math.abs(distance) > reach - 8) throw refusal("its code is too large");

  elf.set(code, offset);
  view.setBigInt64(offset + ENTRY_NOTE.slot, BigInt(slot - entry), true);
  view.setUint32(offset + size - 4, jump(distance), true);
  view.setBigUint64(EHDR.entry, BigInt(entry), true);
}

function readEntry({ view, segments }: ElfImage): number {
  const entry = Number(view.getBigUint64(EHDR.entry, true));
  const isCode = segments.some(({ flags, vaddr, filesz }) =>
    flags === PF_RX && entry >= vaddr && entry < vaddr + filesz
  );
  if (!isCode) throw refusal("its entry point is not in its code");
  return entry;
}

/**
 * Finds a byte that is mapped, writable and 0 and belongs to nobody: the last
 * one of the page where the last of the variables are. The heap begins after it.
 */
function findSlot({ segments }: ElfImage): number {
  const last = segments.toSorted((a, b) => a.vaddr - b.vaddr).at(-1);
  if (last === undefined || (last.flags & PF_W) === 0) {
    throw refusal("its last segment is not writable");
  }
  // Else the kernel leaves there what follows in the file.
  if (last.memsz <= last.filesz) throw refusal("it has no zeroed variables");
  const end = last.vaddr + last.memsz;
  const slot = Math.ceil(end / PAGE) * PAGE - 1;
  if (slot < end + MARGIN) throw refusal("its variables fill their last page");
  return slot;
}
