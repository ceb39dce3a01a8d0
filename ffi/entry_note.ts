/**
 * What the program's first instructions noted, before Deno's runtime began.
 *
 * Rust's runtime ignores SIGPIPE ahead of all else and does not keep what the
 * caller had. So `scripts/entry.ts` gives the finished executable a new entry
 * point, which asks the kernel first.
 *
 * @module
 */
import { bind } from "./libc.ts";

const libc = bind({
  getauxval: { parameters: ["u64" /* unsigned long type */], result: "u64" },
});

const AT_ENTRY = 9n;

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

/** `tendpipe`, as a little-endian number. */
export const ENTRY_NOTE_MAGIC = 0x65706970646e6574n;

/** What the slot holds; 0, as all memory begins, when the kernel would not say. */
export const SLOT_VALUE = { default: 1, ignored: 2 } as const;

/**
 * What SIGPIPE did to this process when it began, as its caller had it.
 *
 * @returns `undefined` when that was not noted: this is not an executable that
 * `scripts/build.ts` made.
 */
export function sigpipeAtEntry(): "default" | "ignored" | undefined {
  const address = Deno.UnsafePointer.create(libc.getauxval(AT_ENTRY));
  if (address === null) return undefined;
  const entry = new Deno.UnsafePointerView(address);
  if (entry.getBigUint64(ENTRY_NOTE.magic) !== ENTRY_NOTE_MAGIC) {
    return undefined;
  }
  switch (entry.getUint8(Number(entry.getBigInt64(ENTRY_NOTE.slot)))) {
    case SLOT_VALUE.default:
      return "default";
    case SLOT_VALUE.ignored:
      return "ignored";
    default:
      return undefined;
  }
}
