/**
 * What the program's first instructions noted, before Deno's runtime began.
 *
 * Rust's runtime ignores SIGPIPE ahead of all else and does not keep what the
 * caller had; without a working directory it does not get as far as our code.
 * So `scripts/entry.ts` gives the finished executable a new entry point, which
 * looks first.
 *
 * @module
 */
import { bind } from "./libc.ts";

const libc = bind({
  getauxval: { parameters: ["u64" /* unsigned long type */], result: "u64" },
});

const AT_ENTRY = 9n;

/**
 * How many descriptors have to be free for a start: the runtime panics where it
 * cannot open as many, so the first instructions look.
 */
export const START_DESCRIPTORS = 10;

/**
 * Where the note stands: offsets in bytes from the entry point, all numbers
 * little-endian. It comes after the entry point, since what is before that of
 * another executable need not be mapped.
 */
export const ENTRY_NOTE = {
  /** A u64, {@linkcode ENTRY_NOTE_MAGIC}. */
  magic: 8,
  /** An i64: where the slot is, a byte, from the entry point too. */
  slot: 16,
} as const;

/** `tendnote`, as a little-endian number. */
export const ENTRY_NOTE_MAGIC = 0x65746f6e646e6574n;

/**
 * What the slot holds: one bit for SIGPIPE, or none when the kernel would not
 * say, and perhaps that for the working directory.
 */
export const SLOT_BIT = {
  sigpipeDefault: 1,
  sigpipeIgnored: 2,
  cwdRemoved: 4,
} as const;

/**
 * What SIGPIPE did to this process when it began, as its caller had it.
 *
 * @returns `undefined` when that was not noted: this is not an executable that
 * `scripts/build.ts` made.
 */
export function sigpipeAtEntry(): "default" | "ignored" | undefined {
  const slot = readSlot() ?? 0;
  if (slot & SLOT_BIT.sigpipeDefault) return "default";
  if (slot & SLOT_BIT.sigpipeIgnored) return "ignored";
  return undefined;
}

/**
 * Whether this process began in a directory that had been removed, or in a
 * file system that had been unmounted. It is in `/` then.
 *
 * @returns `false` also when that was not noted.
 */
export function cwdWasRemoved(): boolean {
  return ((readSlot() ?? 0) & SLOT_BIT.cwdRemoved) !== 0;
}

/**
 * Whether this is an executable that `scripts/build.ts` made. Such a one starts
 * without its name too; another compiled program finds its code by it alone.
 *
 * @returns Whether it is.
 */
export function hasEntryNote(): boolean {
  return readSlot() !== undefined;
}

function readSlot(): number | undefined {
  const address = Deno.UnsafePointer.create(libc.getauxval(AT_ENTRY));
  if (address === null) return undefined;
  const entry = new Deno.UnsafePointerView(address);
  if (entry.getBigUint64(ENTRY_NOTE.magic) !== ENTRY_NOTE_MAGIC) {
    return undefined;
  }
  return entry.getUint8(Number(entry.getBigInt64(ENTRY_NOTE.slot)));
}
