/**
 * Gives a finished executable a new entry point: the instructions of
 * `scripts/entry_code.ts`, which go on to the old one. Later would be too late:
 * Rust's runtime comes before all JavaScript.
 *
 * Nothing is inserted, for Deno finds a program's data from the file's end.
 * The instructions take the place of padding between functions; what they note
 * goes into memory that is there only because memory comes in pages.
 */
import { ENTRY_NOTE } from "../ffi/entry_note.ts";
import { type Machine, MACHINES } from "./entry_code.ts";
import { Failure } from "./failure.ts";

/** `Elf64_Ehdr`: offsets. */
const EHDR = {
  type: 16,
  machine: 18,
  entry: 24,
  phoff: 32,
  phnum: 56,
  size: 64,
};
/** ELF, 64 bits, little-endian. */
const ELF64_LE = 0x7f454c460201;
const ET_DYN = 3;

/** `Elf64_Phdr`: offsets. */
const PHDR = {
  flags: 4,
  offset: 8,
  vaddr: 16,
  filesz: 32,
  memsz: 40,
  size: 56,
};
const PT_LOAD = 1;
const PF_W = 2;
/** Executable, and readable: the note is among the instructions. */
const PF_RX = 5;

/** The smallest there is; where pages are larger these are parts of them. */
const PAGE = 4096;
/** How much padding must be left on either side. */
const MARGIN = 16;

/** What of a file is mapped where. */
interface Segment {
  readonly flags: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly filesz: number;
  readonly memsz: number;
}

/**
 * Changes an executable so that it begins with our instructions.
 *
 * @param elf The whole file; it is changed in place.
 * @throws {Failure} It is not as this expects; nothing is changed then.
 */
export function replaceEntry(elf: Uint8Array): void {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const { padding, lines, reach, jump } = readMachine(view);
  const segments = readSegments(view);
  const original = readEntry(view, segments);
  const slot = findSlot(segments);
  const code = Uint8Array.from(lines.flatMap(([code]) => bytesOf(code)));
  const size = code.length;
  const { entry, offset } = findRoom(elf, segments, padding, size);
  const distance = original - (entry + size);
  // The start of the jump is a few bytes further away than its end.
  if (Math.abs(distance) > reach - 8) throw refusal("its code is too large");

  elf.set(code, offset);
  view.setBigInt64(offset + ENTRY_NOTE.slot, BigInt(slot - entry), true);
  view.setUint32(offset + size - 4, jump(distance), true);
  view.setBigUint64(EHDR.entry, BigInt(entry), true);
}

function readMachine(view: DataView): Machine {
  const isElf = view.byteLength >= EHDR.size &&
    view.getUint32(0) * 0x10000 + view.getUint16(4) === ELF64_LE;
  if (!isElf) throw refusal("it is no 64-bit ELF file");
  if (view.getUint16(EHDR.type, true) !== ET_DYN) {
    throw refusal("it is not position-independent");
  }
  const number = view.getUint16(EHDR.machine, true);
  const machine = Object.values(MACHINES).find((m) => m.number === number);
  if (machine === undefined) throw refusal(`it is for machine ${number}`);
  return machine;
}

function readSegments(view: DataView): Segment[] {
  const start = Number(view.getBigUint64(EHDR.phoff, true));
  const end = start + view.getUint16(EHDR.phnum, true) * PHDR.size;
  if (end > view.byteLength) throw refusal("its headers are cut off");
  const segments: Segment[] = [];
  for (let at = start; at < end; at += PHDR.size) {
    const field = (offset: number) =>
      Number(view.getBigUint64(at + offset, true));
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    segments.push({
      flags: view.getUint32(at + PHDR.flags, true),
      offset: field(PHDR.offset),
      vaddr: field(PHDR.vaddr),
      filesz: field(PHDR.filesz),
      memsz: field(PHDR.memsz),
    });
  }
  if (segments.some((s) => s.offset + s.filesz > view.byteLength)) {
    throw refusal("its segments are cut off");
  }
  return segments;
}

function readEntry(view: DataView, segments: readonly Segment[]): number {
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
function findSlot(segments: readonly Segment[]): number {
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

/**
 * Finds room for code: the middle of the longest padding that ends where a
 * page begins. That one is there because what follows had to begin on a page;
 * other runs of the same byte may be somebody's data.
 */
function findRoom(
  elf: Uint8Array,
  segments: readonly Segment[],
  padding: number,
  size: number,
): { entry: number; offset: number } {
  let longest = { start: 0, length: 0, toAddress: 0 };
  for (const { flags, offset, vaddr, filesz } of segments) {
    if (flags !== PF_RX) continue;
    const toAddress = vaddr - offset;
    const first = Math.ceil((vaddr + 1) / PAGE) * PAGE - toAddress;
    for (let end = first; end <= offset + filesz; end += PAGE) {
      let start = end;
      while (start > offset && elf[start - 1] === padding) start--;
      const length = end - start;
      if (length > longest.length) longest = { start, length, toAddress };
    }
  }
  const { start, length, toAddress } = longest;
  // 16 for the alignment, which functions have too.
  if (length < size + 2 * MARGIN + 16) {
    throw refusal("there is not enough padding in its code");
  }
  const middle = start + toAddress + (length - size) / 2;
  const entry = Math.floor(middle / 16) * 16;
  return { entry, offset: entry - toAddress };
}

function bytesOf(code: string): number[] {
  return code.split(" ").flatMap((number) =>
    (number.match(/../g) ?? []).reverse().map((byte) => parseInt(byte, 16))
  );
}

function refusal(reason: string): Failure {
  return new Failure(
    `the executable cannot be given another entry point: ${reason}.`,
  );
}
