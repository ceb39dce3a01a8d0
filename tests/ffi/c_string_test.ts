import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  cString,
  CStringArray,
  fromBytes,
  fromUtf8,
  splitStrings,
  toBytes,
} from "../../ffi/c_string.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

Deno.test("cString() puts a NUL behind text in UTF-8", () => {
  assertEquals(cString("aé"), Uint8Array.of(0x61, 0xc3, 0xa9, 0));
});

Deno.test("cString() leaves bytes that are no UTF-8 as they are", () => {
  assertEquals(cString(Uint8Array.of(0xff, 0x80)), Uint8Array.of(255, 128, 0));
});

Deno.test("cString() makes a lone NUL of nothing", () => {
  assertEquals(cString(""), Uint8Array.of(0));
});

for (const text of ["\0", "a\0junk", "a\0", Uint8Array.of(0x61, 0)]) {
  Deno.test(`cString() refuses a NUL in ${JSON.stringify(text)}`, () => {
    assertThrows(() => cString(text), TypeError, "NUL byte in ");
  });
}

Deno.test("toBytes() copies bytes, which their owner may change", () => {
  const bytes = Uint8Array.of(1);
  const copy = toBytes(bytes);
  bytes[0] = 2;
  assertEquals(copy, Uint8Array.of(1));
});

Deno.test("fromBytes() puts U+FFFD for what is not UTF-8", () => {
  assertEquals(fromBytes(Uint8Array.of(0x61, 0xff, 0x62)), "a\ufffdb");
});

Deno.test("fromBytes() and fromUtf8() keep a byte order mark, which a name may begin with", () => {
  const bytes = toBytes("\ufeffweb");
  assertEquals([fromBytes(bytes), fromUtf8(bytes, "a name")], [
    "\ufeffweb",
    "\ufeffweb",
  ]);
});

Deno.test("CStringArray refuses a NUL in any of its strings", () => {
  assertThrows(() => new CStringArray(["a", "b\0c"]), TypeError, "NUL byte");
});

Deno.test("CStringArray points at each string, and at NULL after the last", () => {
  const texts = ["", "a", "x".repeat(100)];
  const { pointers } = new CStringArray(texts);
  assertEquals(pointers.length, 4);
  assertEquals(pointers[3], 0n);
  assertEquals([...pointers.subarray(0, 3)].map(textAt), texts);
});

Deno.test("CStringArray keeps its strings in place when garbage is collected", async () => {
  await using box = await Sandbox.create();
  // Short ones: V8 keeps the bytes of those on its own heap at first, where a
  // collection moves them.
  const answer = await ask(
    box,
    `
    import { CStringArray } from "${ROOT}/ffi/c_string.ts";
    const texts = Array.from({ length: 1000 }, (_, i) => "s".repeat(i % 90) + i);
    const array = new CStringArray(texts);
    for (let i = 0; i < 10; i++) {
      globalThis.rubbish = Array.from({ length: 1e5 }, (_, i) => ({ i }));
      gc({ type: "minor" });
      gc();
    }
    const read = (at) =>
      Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(at));
    console.log(texts.filter((text, i) => read(array.pointers[i]) !== text).length);
    `,
    { deno: ["-A", "--v8-flags=--expose-gc"] },
  );
  assertEquals(answer, "0");
});

Deno.test("splitStrings() splits at each NUL, and leaves what has none", () => {
  const split = (text: string) => splitStrings(toBytes(text)).map(fromBytes);
  assertEquals(split("a\0\0bc\0"), ["a", "", "bc"]);
  assertEquals(split(""), []);
  assertEquals(split("a\0b"), ["a"]);
});

function textAt(address: bigint): string {
  return Deno.UnsafePointerView.getCString(
    Deno.UnsafePointer.create(address)!,
  );
}
