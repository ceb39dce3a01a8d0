import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { ENTRY_NOTE, ENTRY_NOTE_MAGIC } from "../../ffi/entry_note.ts";
import { replaceEntry } from "../../scripts/entry.ts";
import { ENTRY_CODE } from "../../scripts/entry_code.ts";
import { Failure } from "../../scripts/failure.ts";
import {
  ARCHITECTURES,
  binutil,
  lacks,
  link,
  must,
  withTempDir,
} from "../binutils.ts";
import {
  entryOf,
  FIELD,
  HEADER,
  hex,
  IMAGE,
  image,
  setEntry,
} from "./image.ts";

for (const architecture of ARCHITECTURES) {
  const tools = ["as", "ld", "objcopy"].map((n) => binutil(architecture, n));

  Deno.test({
    name: `replaceEntry() writes for ${architecture} what its assembly says`,
    ignore: await lacks(tools),
    fn: () =>
      withTempDir(async (path) => {
        const { lines } = ENTRY_CODE[architecture];
        const source = lines.map(([, assembly]) => `${assembly}\n`).join("");
        const elf = image(architecture);
        replaceEntry(elf);
        const entry = entryOf(elf);
        await link(architecture, source, `${path}/elf`, [
          `-Ttext=0x${entry.toString(16)}`,
          `--entry=${entry}`,
          `--defsym=slot=${SLOT}`,
          `--defsym=original=${IMAGE.entry}`,
        ]);
        const copy = ["-Obinary", "-j.text", `${path}/elf`, `${path}/code`];
        await must(binutil(architecture, "objcopy"), copy);
        const code = await Deno.readFile(`${path}/code`);
        assertEquals(hex(elf.subarray(entry, entry + code.length)), hex(code));
      }),
  });
}

/** The byte that the note is about: the last one of the last page. */
const SLOT = IMAGE.size - 1;

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
  assertEquals(slot, SLOT);
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
    view.setBigUint64(HEADER.data + FIELD.filesz, 0x1001n, true),
  "its entry point is not in its code": (view) =>
    view.setBigUint64(24, BigInt(IMAGE.data), true),
  "its last segment is not writable": (view) =>
    view.setUint32(HEADER.data + FIELD.flags, 4, true),
  "it has no zeroed variables": (view) =>
    view.setBigUint64(HEADER.data + FIELD.memsz, 0x400n, true),
  "its variables fill their last page": (view) =>
    view.setBigUint64(HEADER.data + FIELD.memsz, 0xff8n, true),
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
