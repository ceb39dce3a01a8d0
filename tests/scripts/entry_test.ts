import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { ENTRY_NOTE, ENTRY_NOTE_MAGIC } from "../../ffi/entry_note.ts";
import { replaceEntry } from "../../scripts/entry.ts";
import { MACHINES } from "../../scripts/entry_code.ts";
import { Failure } from "../../scripts/failure.ts";
import {
  ARCHITECTURES,
  binutil,
  lacks,
  link,
  must,
  withTempDir,
} from "./binutils.ts";

for (const architecture of ARCHITECTURES) {
  const tools = ["as", "ld", "objcopy"].map((n) => binutil(architecture, n));

  Deno.test({
    name: `replaceEntry() writes for ${architecture} what its assembly says`,
    ignore: await lacks(tools),
    fn: () =>
      withTempDir(async (path) => {
        const { lines } = MACHINES[architecture];
        const source = lines.map(([, assembly]) => `${assembly}\n`).join("");
        const elf = image(MACHINES[architecture]);
        replaceEntry(elf);
        const entry = entryOf(elf);
        await link(architecture, source, `${path}/elf`, [
          `-Ttext=0x${entry.toString(16)}`,
          `--entry=${entry}`,
          `--defsym=slot=${IMAGE.slot}`,
          `--defsym=original=${IMAGE.entry}`,
        ]);
        const copy = ["-Obinary", "-j.text", `${path}/elf`, `${path}/code`];
        await must(binutil(architecture, "objcopy"), copy);
        const code = await Deno.readFile(`${path}/code`);
        assertEquals(hex(elf.subarray(entry, entry + code.length)), hex(code));
      }),
  });
}

/** The addresses, and offsets, in the image that the tests below begin with. */
const IMAGE = {
  entry: 0x400,
  padding: 0xc00,
  paddingEnd: 0x1000,
  data: 0x2000,
  slot: 0x2fff,
} as const;
const CODE_HEADER = 64;
const DATA_HEADER = CODE_HEADER + 56;
const FLAGS = 4;
const FILESZ = 32;
const MEMSZ = 40;

/** Two pages with code and some padding, and a third with variables. */
function image(machine = MACHINES.x86_64): Uint8Array<ArrayBuffer> {
  const elf = new Uint8Array(IMAGE.slot + 1);
  elf.fill(0x90, CODE_HEADER + 2 * 56, IMAGE.data);
  elf.fill(machine.padding, IMAGE.padding, IMAGE.paddingEnd);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = new DataView(elf.buffer);
  view.setUint16(16, 3, true); // e_type: ET_DYN
  view.setUint16(18, machine.number, true);
  setEntry(elf, IMAGE.entry);
  view.setBigUint64(32, BigInt(CODE_HEADER), true);
  view.setUint16(56, 2, true); // e_phnum
  segment(view, CODE_HEADER, 5, 0, IMAGE.data, IMAGE.data);
  segment(view, DATA_HEADER, 6, IMAGE.data, 16, 32);
  return elf;
}

function segment(
  view: DataView,
  at: number,
  flags: number,
  start: number,
  filesz: number,
  memsz: number,
): void {
  view.setUint32(at, 1, true); // p_type: PT_LOAD
  view.setUint32(at + FLAGS, flags, true);
  [start, start, start, filesz, memsz].forEach((value, i) =>
    view.setBigUint64(at + 8 + 8 * i, BigInt(value), true)
  );
}

function entryOf(elf: Uint8Array<ArrayBuffer>): number {
  return Number(new DataView(elf.buffer).getBigUint64(24, true));
}

function setEntry(elf: Uint8Array<ArrayBuffer>, entry: number): void {
  new DataView(elf.buffer).setBigUint64(24, BigInt(entry), true);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join(" ");
}

Deno.test("replaceEntry() changes the entry point and the middle of the padding alone", () => {
  const elf = image();
  replaceEntry(elf);
  // Not a byte within 200 of the code on either side.
  elf.fill(0xcc, IMAGE.padding + 200, IMAGE.paddingEnd - 200);
  setEntry(elf, IMAGE.entry);
  assertEquals(hex(elf), hex(image()));
});

Deno.test("replaceEntry() leaves a note that says where the slot is", () => {
  const elf = image();
  replaceEntry(elf);
  const entry = entryOf(elf);
  const view = new DataView(elf.buffer, entry);
  assertEquals(view.getBigUint64(ENTRY_NOTE.magic, true), ENTRY_NOTE_MAGIC);
  const slot = entry + Number(view.getBigInt64(ENTRY_NOTE.slot, true));
  assertEquals(slot, IMAGE.slot);
});

Deno.test("replaceEntry() takes no padding that does not end where a page begins", () => {
  const elf = image();
  elf.fill(0xcc, IMAGE.paddingEnd + 16, IMAGE.data - 16);
  replaceEntry(elf);
  assert(entryOf(elf) < IMAGE.paddingEnd);
});

/** What is said, and which image makes it so. */
const REFUSED: Record<string, (view: DataView<ArrayBuffer>) => void> = {
  "it is no 64-bit ELF file": (view) => view.setUint8(0, 0),
  "it is not position-independent": (view) => view.setUint16(16, 2, true),
  "it is for machine 243": (view) => view.setUint16(18, 243, true),
  "its headers are cut off": (view) => view.setBigUint64(32, 0x2fffn, true),
  "its segments are cut off": (view) =>
    view.setBigUint64(DATA_HEADER + FILESZ, 0x1001n, true),
  "its entry point is not in its code": (view) =>
    view.setBigUint64(24, BigInt(IMAGE.data), true),
  "its last segment is not writable": (view) =>
    view.setUint32(DATA_HEADER + FLAGS, 4, true),
  "it has no zeroed variables": (view) =>
    view.setBigUint64(DATA_HEADER + MEMSZ, 16n, true),
  "its variables fill their last page": (view) =>
    view.setBigUint64(DATA_HEADER + MEMSZ, 0xff8n, true),
  "there is not enough padding in its code": ({ buffer }) =>
    new Uint8Array(buffer).fill(0x90, IMAGE.padding, IMAGE.paddingEnd - 208),
};

for (const [reason, spoil] of Object.entries(REFUSED)) {
  Deno.test(`replaceEntry() changes nothing and throws when ${reason}`, () => {
    const elf = image();
    spoil(new DataView(elf.buffer));
    const before = hex(elf);
    assertThrows(() => replaceEntry(elf), Failure, `: ${reason}.`);
    assertEquals(hex(elf), before);
  });
}
