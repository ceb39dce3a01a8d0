import { assertEquals } from "@std/assert/equals";
import { CallScript, goingOn, type Place } from "../../ffi/call_script.ts";
import { scriptImage, stackRange } from "../../ffi/script_image.ts";
import {
  type Architecture,
  ARCHITECTURES,
  emulator,
  lacks,
} from "../binutils.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const BYTE = 0xf1;
/** What is at a place before anything is copied there, and behind that. */
const BEFORE = 0xee;
const GUARD = 8;

interface Copy {
  /** How much may be copied. */
  readonly length: number;
  /** Where the byte is that ends it; not there where that is the length. */
  readonly found: number;
  /** How much further on than a word's beginning it is copied from. */
  readonly from: number;
}

const COPIES: Copy[] = [0, 1, 7, 15, 16, 17, 31, 32, 33, 64, 77].flatMap(
  (length) =>
    Array.from({ length: length + 1 }, (_, found): Copy => ({
      length,
      found,
      from: found % 8,
    })),
);

/** Bytes, among them a second one that would end the copying. */
function source({ length, found, from }: Copy): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from({ length: from + length + GUARD }, (_, i) => i);
  // Behind the end, and before the beginning.
  bytes.fill(BYTE, from + found);
  bytes.fill(BYTE, 0, from);
  return bytes;
}

/** Runs copies on a machine: for each what it returned, and what was there then. */
async function run(
  machine: Architecture,
  copies: readonly Copy[],
  inPlace: boolean,
): Promise<{ result: bigint; bytes: Uint8Array }[]> {
  const script = new CallScript(machine);
  const [stack] = stackRange(script);
  const outputs: { place: Place; size: number }[] = [];
  for (const copy of copies) {
    const { length, from } = copy;
    const source_ = source(copy);
    const at = script.bytes(source_);
    const result = script.cell();
    const to = inPlace ? { place: at.place + from } : script.bytes(
      new Uint8Array(length + GUARD).fill(BEFORE),
    );
    // Its operand is a byte, whatever else is in the word.
    const operands = [to, { place: at.place + from }, length, BYTE + 0x300];
    script.step("", "copy", operands, { result });
    outputs.push({ place: { place: result.cell }, size: 8 });
    outputs.push({ place: to, size: length + GUARD });
  }
  for (const { place, size } of outputs) {
    script.step("", "write", [1, place, size]);
  }
  script.step("end", "exit_group", [0], goingOn("end"));

  await using box = await Sandbox.create();
  const image = scriptImage(script, stack, machine);
  await Deno.writeFile(box.path("image"), image, { mode: 0o755 });
  const [program, ...args] = [...emulator(machine), box.path("image")];
  const { stdout, code } = await new Deno.Command(program!, { args }).output();
  assertEquals(code, 0);
  let at = 0;
  const take = (size: number) => stdout.slice(at, at += size);
  return copies.map(({ length }) => ({
    result: new DataView(take(8).buffer).getBigInt64(0, true),
    bytes: take(length + GUARD),
  }));
}

for (const machine of ARCHITECTURES) {
  const ignore = await lacks(emulator(machine));

  Deno.test({
    name:
      `scriptImage() for ${machine} copies through a byte, and not further than it may`,
    ignore,
    fn: async () => {
      const done = await run(machine, COPIES, false);
      COPIES.forEach((copy, i) => {
        const { length, found, from } = copy;
        const { result, bytes } = done[i]!;
        const copied = Math.min(found + 1, length);
        const what = JSON.stringify(copy);
        assertEquals(result, BigInt(found < length ? copied : -length), what);
        assertEquals(
          bytes.subarray(0, copied),
          source(copy).subarray(from, from + copied),
          what,
        );
        assertEquals(
          bytes.subarray(length),
          new Uint8Array(GUARD).fill(BEFORE),
          what,
        );
      });
    },
  });

  Deno.test({
    name:
      `scriptImage() for ${machine} finds a byte by copying to the same place`,
    ignore,
    fn: async () => {
      const done = await run(machine, COPIES, true);
      COPIES.forEach((copy, i) => {
        const { length, found, from } = copy;
        const { result, bytes } = done[i]!;
        assertEquals(result, BigInt(found < length ? found + 1 : -length));
        assertEquals(bytes, source(copy).subarray(from));
      });
    },
  });
}
