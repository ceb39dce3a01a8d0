/**
 * A finished executable that is to be changed, and what of it can be. All that
 * is in it stays where it is, for Deno finds a program's data from its end.
 */
import { Failure } from "./failure.ts";

/** A machine that executables are for, as the names of its tools have it. */
export type Architecture = "x86_64" | "aarch64";

/** `e_machine`, and the byte with which linkers pad code. */
const MACHINES: Readonly<
  Record<Architecture, { readonly number: number; readonly padding: number }>
> = {
  x86_64: { number: 62, padding: 0xcc }, // int3
  aarch64: { number: 183, padding: 0 }, // udf #0
};

/** `Elf64_Ehdr`: offsets. */
export const EHDR = {
  type: 16,
  machine: 18,
  entry: 24,
  phoff: 32,
  phnum: 56,
  size: 64,
} as const;
/** ELF, 64 bits, little-endian. */
const ELF64_LE = 0x7f454c460201;
const ET_DYN = 3;

/** `Elf64_Phdr`: offsets. */
const PHDR = {
  type: 0,
  flags: 4,
  offset: 8,
  vaddr: 16,
  filesz: 32,
  memsz: 40,
  size: 56,
} as const;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
/** A segment that is writable. */
export const PF_W = 2;
/** Executable, and readable: there are constants among the instructions. */
export const PF_RX = 5;

/** The smallest there is; where pages are larger these are parts of them. */
export const PAGE = 4096;
/** How much padding must be left on either side. */
export const MARGIN = 16;

/** What of a file is mapped where. */
export interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly filesz: number;
  readonly memsz: number;
}

/** An executable. */
export interface ElfImage {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly architecture: Architecture;
  /** What is mapped. */
  readonly segments: readonly Segment[];
  /** Where the dynamic section is; it is in one of the segments as well. */
  readonly dynamic: Segment | undefined;
}

/**
 * Reads what is where in an executable.
 *
 * @param bytes The whole file.
 * @throws {Failure} It is not as this expects.
 */
export function readElfImage(bytes: Uint8Array): ElfImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const architecture = readArchitecture(view);
  const headers = readHeaders(view);
  const segments = headers.filter(({ type }) => type === PT_LOAD);
  if (segments.some((s) => s.offset + s.filesz > bytes.length)) {
    throw refusal("its segments are cut off");
  }
  const dynamic = headers.find(({ type }) => type === PT_DYNAMIC);
  return { bytes, view, architecture, segments, dynamic };
}

function readArchitecture(view: DataView): Architecture {
  const isElf = view.byteLength >= EHDR.size &&
    view.getUint32(0) * 0x10000 + view.getUint16(4) === ELF64_LE;
  if (!isElf) throw refusal("it is no 64-bit ELF file");
  if (view.getUint16(EHDR.type, true) !== ET_DYN) {
    throw refusal("it is not position-independent");
  }
  const number = view.getUint16(EHDR.machine, true);
  if (number === MACHINES.x86_64.number) return "x86_64";
  if (number === MACHINES.aarch64.number) return "aarch64";
  throw refusal(`it is for machine ${number}`);
}

function readHeaders(view: DataView): Segment[] {
  const start = Number(view.getBigUint64(EHDR.phoff, true));
  const end = start + view.getUint16(EHDR.phnum, true) * PHDR.size;
  if (end > view.byteLength) throw refusal("its headers are cut off");
  const headers: Segment[] = [];
  for (let at = start; at < end; at += PHDR.size) {
    const field = (offset: number) =>
      Number(view.getBigUint64(at + offset, true));
    headers.push({
      type: view.getUint32(at + PHDR.type, true),
      flags: view.getUint32(at + PHDR.flags, true),
      offset: field(PHDR.offset),
      vaddr: field(PHDR.vaddr),
      filesz: field(PHDR.filesz),
      memsz: field(PHDR.memsz),
    });
  }
  return headers;
}

/**
 * Finds room for code: the middle of the longest padding that ends where a
 * page begins. That one is there because what follows had to begin on a page;
 * other runs of the same byte may be somebody's data.
 *
 * @param image The executable.
 * @param size How many bytes the code has.
 * @returns Its address, a multiple of 16, and where that is in the file.
 * @throws {Failure} There is none.
 */
export function findRoom(
  { bytes, architecture, segments }: ElfImage,
  size: number,
): { address: number; offset: number } {
  const { padding } = MACHINES[architecture];
  let longest = { start: 0, length: 0, toAddress: 0 };
  for (const { flags, offset, vaddr, filesz } of segments) {
    if (flags !== PF_RX) continue;
    const toAddress = vaddr - offset;
    const first = Math.ceil((vaddr + 1) / PAGE) * PAGE - toAddress;
    for (let end = first; end <= offset + filesz; end += PAGE) {
      let start = end;
      while (start > offset && bytes[start - 1] === padding) start--;
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
  const address = Math.floor(middle / 16) * 16;
  return { address, offset: address - toAddress };
}

/** What is thrown when an executable cannot be changed. */
export function refusal(reason: string): Failure {
  return new Failure(`the executable cannot be changed: ${reason}.`);
}
