import { assertEquals } from "@std/assert/equals";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertThrows } from "@std/assert/throws";
import { offsetOf } from "../../ffi/machine_code.ts";
import type { Architecture } from "../../scripts/elf_image.ts";
import { replaceEntry } from "../../scripts/entry.ts";
import { Failure } from "../../scripts/failure.ts";
import { replaceReadlink } from "../../scripts/readlink.ts";
import { READLINK_CODE } from "../../scripts/readlink_code.ts";
import {
  ARCHITECTURES,
  binutil,
  lacks,
  link,
  must,
  withTempDir,
} from "../binutils.ts";
import { entryOf, hex, IMAGE, image } from "./image.ts";

/** Addresses, and offsets, in the variables of the image. */
const AT = {
  dynamic: IMAGE.data,
  symbols: IMAGE.data + 0x100,
  strings: IMAGE.data + 0x180,
  relocations: IMAGE.data + 0x200,
  pltRelocations: IMAGE.data + 0x300,
  pointers: IMAGE.data + 0x380,
} as const;

/** The symbols that the image imports; the first one has no name. */
const SYMBOLS = ["", "readlinkat", "readlink", "__errno_location"];

/** Types of relocations. */
const TYPE = {
  x86_64: { pointer: 1, got: 6, plt: 7, relative: 8 },
  aarch64: { pointer: 257, got: 1025, plt: 1026, relative: 1027 },
} as const;

type Kind = keyof typeof TYPE.x86_64;

/** A relocation: where, of which type, of which symbol, and the addend. */
type Entry = readonly [at: number, kind: Kind, symbol: string, addend: number];

/** What the loader is to fill in at once, and what functions need. */
const RELOCATIONS: readonly Entry[] = [
  [AT.pointers, "relative", "", 0x400],
  [AT.pointers + 8, "got", "readlinkat", 0],
  [AT.pointers + 16, "pointer", "__errno_location", 0],
  [AT.pointers + 24, "got", "__errno_location", 0],
  [AT.pointers + 32, "got", "readlink", 0],
  [AT.pointers + 40, "pointer", "readlink", 0],
];
const PLT_RELOCATIONS: readonly Entry[] = [
  [AT.pointers + 48, "plt", "readlinkat", 0],
  [AT.pointers + 56, "plt", "readlink", 0],
  [AT.pointers + 64, "plt", "__errno_location", 0],
];

/** The dynamic section. */
const DYNAMIC = [
  [30, 8], // DT_FLAGS: DF_BIND_NOW
  [5, AT.strings],
  [6, AT.symbols],
  [7, AT.relocations],
  [8, RELOCATIONS.length * 24],
  [23, AT.pltRelocations],
  [2, PLT_RELOCATIONS.length * 24],
] as const;

/** An executable that is dynamically linked. */
function linkedImage(
  architecture: Architecture = "x86_64",
): Uint8Array<ArrayBuffer> {
  const elf = image(architecture);
  const view = new DataView(elf.buffer);
  const words = (at: number, ...values: number[]) =>
    values.forEach((value, i) =>
      view.setBigUint64(at + 8 * i, BigInt(value), true)
    );
  DYNAMIC.forEach((entry, i) => words(AT.dynamic + 16 * i, ...entry));
  const names = `${SYMBOLS.join("\0")}\0`;
  elf.set(new TextEncoder().encode(names), AT.strings);
  SYMBOLS.forEach((symbol, i) =>
    words(AT.symbols + 24 * i, names.indexOf(`${symbol}\0`))
  );
  const table = (start: number, entries: readonly Entry[]) =>
    entries.forEach(([at, kind, symbol, addend], i) => {
      const type = TYPE[architecture][kind];
      const info = SYMBOLS.indexOf(symbol) * 2 ** 32 + type;
      words(start + 24 * i, at, info, addend);
    });
  table(AT.relocations, RELOCATIONS);
  table(AT.pltRelocations, PLT_RELOCATIONS);
  return elf;
}

/** Reads a table of relocations. */
function entriesAt(
  elf: Uint8Array<ArrayBuffer>,
  architecture: Architecture,
  start: number,
  count: number,
): Entry[] {
  const view = new DataView(elf.buffer);
  const kinds = Object.entries(TYPE[architecture]) as [Kind, number][];
  return Array.from({ length: count }, (_, i) => {
    const at = start + 24 * i;
    const type = view.getUint32(at + 8, true);
    const [kind] = kinds.find(([, number]) => number === type)!;
    return [
      Number(view.getBigUint64(at, true)),
      kind,
      SYMBOLS[view.getUint32(at + 12, true)]!,
      Number(view.getBigInt64(at + 16, true)),
    ];
  });
}

/** Where the function is, as the table says. */
function functionOf(elf: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(elf.buffer);
  return Number(view.getBigInt64(AT.relocations + 4 * 24 + 16, true));
}

/** Where the code is: the function is not its beginning. */
function codeOf(
  elf: Uint8Array<ArrayBuffer>,
  architecture: Architecture = "x86_64",
): number {
  return functionOf(elf) - offsetOf(READLINK_CODE[architecture], "readlink");
}

for (const architecture of ARCHITECTURES) {
  const tools = ["as", "ld", "objcopy"].map((n) => binutil(architecture, n));

  Deno.test({
    name: `replaceReadlink() writes for ${architecture} what its assembly says`,
    ignore: await lacks(tools),
    fn: () =>
      withTempDir(async (path) => {
        const source = READLINK_CODE[architecture]
          .map(([, assembly]) => `${assembly}\n`).join("");
        const elf = linkedImage(architecture);
        replaceReadlink(elf);
        const start = codeOf(elf, architecture);
        await link(architecture, source, `${path}/elf`, [
          `-Ttext=0x${start.toString(16)}`,
          `--entry=${start}`,
          `--defsym=slot=${AT.pointers + 24}`,
        ]);
        const copy = ["-Obinary", "-j.text", `${path}/elf`, `${path}/code`];
        await must(binutil(architecture, "objcopy"), copy);
        const code = await Deno.readFile(`${path}/code`);
        assertEquals(hex(elf.subarray(start, start + code.length)), hex(code));
      }),
  });

  Deno.test(`replaceReadlink() has all of readlink for ${architecture} filled in with the function`, () => {
    const elf = linkedImage(architecture);
    replaceReadlink(elf);
    const expected = (entries: readonly Entry[]) =>
      entries.map((entry): Entry =>
        entry[2] === "readlink"
          ? [entry[0], "relative", "", functionOf(elf)]
          : entry
      );
    assertEquals(
      entriesAt(elf, architecture, AT.relocations, RELOCATIONS.length),
      expected(RELOCATIONS),
    );
    assertEquals(
      entriesAt(elf, architecture, AT.pltRelocations, PLT_RELOCATIONS.length),
      expected(PLT_RELOCATIONS),
    );
  });
}

Deno.test("replaceReadlink() changes the relocations and the middle of the padding alone", () => {
  const elf = linkedImage();
  replaceReadlink(elf);
  // Not a byte within 200 of the code on either side.
  elf.fill(0xcc, IMAGE.padding + 200, IMAGE.paddingEnd - 200);
  const tables = linkedImage().subarray(AT.relocations, AT.pointers);
  elf.set(tables, AT.relocations);
  assertEquals(hex(elf), hex(linkedImage()));
});

Deno.test("replaceReadlink() takes the address of __errno_location that calls go through where there is no other", () => {
  const elf = linkedImage();
  const view = new DataView(elf.buffer);
  view.setUint32(AT.relocations + 3 * 24 + 12, 0, true);
  replaceReadlink(elf);
  const code = codeOf(elf);
  assertEquals(
    code + Number(view.getBigInt64(code, true)),
    AT.pointers + 64,
  );
});

Deno.test("replaceReadlink() finds room beside the instructions of replaceEntry()", () => {
  const elf = linkedImage();
  replaceEntry(elf);
  const entry = entryOf(elf);
  const before = hex(elf.subarray(entry, entry + 200));
  replaceReadlink(elf);
  assertNotEquals(functionOf(elf), 0);
  assertEquals(hex(elf.subarray(entry, entry + 200)), before);
});

/** Where an entry of the dynamic section is. */
function dynamicAt(tag: number): number {
  return AT.dynamic + 16 * DYNAMIC.findIndex(([name]) => name === tag);
}

/** What is said, and which image makes it so. */
const REFUSED: Record<string, (view: DataView<ArrayBuffer>) => void> = {
  "it is no 64-bit ELF file": (view) => view.setUint8(0, 0),
  "it is not dynamically linked": (view) =>
    view.setUint32(64 + 2 * 56, 4, true), // PT_NOTE
  "it lacks a table": (view) => view.setUint8(dynamicAt(23), 24),
  "it is not bound when it starts": (view) =>
    view.setUint8(dynamicAt(30) + 8, 0),
  "its tables are cut off": (view) =>
    view.setBigUint64(dynamicAt(8) + 8, 0x201n, true),
  "it does not import readlink": ({ buffer }) => {
    new Uint8Array(buffer)[AT.strings + 1 + "readlinkat ".length] = 0x2e;
  },
  "it does not import errno": ({ buffer }) => {
    new Uint8Array(buffer)[AT.strings + "..readlinkat.readlink".length] = 0x2e;
  },
  "it imports readlink in a way of its own": (view) =>
    view.setUint32(AT.relocations + 4 * 24 + 8, 5, true), // R_X86_64_COPY
  "there is not enough padding in its code": ({ buffer }) =>
    new Uint8Array(buffer).fill(0x90, IMAGE.padding, IMAGE.paddingEnd - 160),
};

for (const [reason, spoil] of Object.entries(REFUSED)) {
  Deno.test(`replaceReadlink() changes nothing and throws when ${reason}`, () => {
    const elf = linkedImage();
    spoil(new DataView(elf.buffer));
    const before = hex(elf);
    assertThrows(() => replaceReadlink(elf), Failure, `: ${reason}.`);
    assertEquals(hex(elf), before);
  });
}
