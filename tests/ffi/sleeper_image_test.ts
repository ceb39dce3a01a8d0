import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { INTERPRETER } from "../../ffi/interpreter.ts";
import { machineCode } from "../../ffi/machine_code.ts";
import { type Sleep, sleeperImage } from "../../ffi/sleeper.ts";
import {
  ARCHITECTURES,
  binutil,
  lacks,
  must,
  withTempDir,
} from "../binutils.ts";
import { latin1 } from "../sleepers.ts";

const SLEEP: Sleep = {
  name: "sleeper",
  watched: [3, 4],
  path: "/bin/true",
  keptFd: 5,
  argv: ["true", "argument"],
  env: ["A=b"],
};

for (const architecture of ARCHITECTURES) {
  const readelf = binutil(architecture, "readelf");

  Deno.test({
    name:
      `sleeperImage() for ${architecture} has no segment that is writable and executable`,
    ignore: await lacks([readelf]),
    fn: () =>
      withTempDir(async (path) => {
        const image = sleeperImage(SLEEP, architecture);
        await Deno.writeFile(`${path}/image`, image);
        const listing = await must(readelf, ["-lW", `${path}/image`]);
        const segments = listing.matchAll(
          /^ +(\w+) +(?:0x\w+ +){5}([RWE ]{3})/gm,
        );
        assertEquals([...segments].map(([, type, flags]) => [type, flags]), [
          ["LOAD", "R E"],
          ["LOAD", "RW "],
          ["GNU_STACK", "RW "],
        ]);
      }),
  });

  Deno.test({
    name: `sleeperImage() for ${architecture} is an executable for it`,
    ignore: await lacks([readelf]),
    fn: () =>
      withTempDir(async (path) => {
        const image = sleeperImage(SLEEP, architecture);
        await Deno.writeFile(`${path}/image`, image);
        // Nothing to complain about, as a truncated header.
        const all = await must(readelf, ["-aW", `${path}/image`]);
        assert(!/warning|error/i.test(all), all);
        const lines = all.split("\n").map((line) => line.trim());
        const machine = {
          x86_64: "Advanced Micro Devices X86-64",
          aarch64: "AArch64",
        }[architecture];
        for (
          const [name, value] of [
            ["Class", "ELF64"],
            ["Data", "2's complement, little endian"],
            ["Type", "EXEC (Executable file)"],
            ["Machine", machine],
          ]
        ) {
          assert(
            lines.some((line) =>
              line.startsWith(`${name}:`) && line.endsWith(value!)
            ),
            all,
          );
        }
      }),
  });

  Deno.test(`sleeperImage() for ${architecture} has in its executable segment the code, and no string`, () => {
    const image = sleeperImage(SLEEP, architecture);
    const size = Number(new DataView(image.buffer).getBigUint64(64 + 32, true));
    const text = latin1(image.subarray(0, size));
    for (const string of ["/bin/true", "argument", "A=b", "sleeper"]) {
      assert(latin1(image).includes(string), string);
      assert(!text.includes(string), string);
    }
    // But for the two words at its beginning.
    const code = machineCode(INTERPRETER[architecture]).subarray(16);
    assert(text.endsWith(latin1(code)));
  });

  Deno.test(`sleeperImage() for ${architecture} has all of its memory in its file`, () => {
    for (const sleep of [SLEEP, { ...SLEEP, watched: [], argv: [], env: [] }]) {
      const image = sleeperImage(sleep, architecture);
      const view = new DataView(image.buffer);
      const word = (at: number) => Number(view.getBigUint64(at, true));
      for (const header of [64, 64 + 56]) {
        const [offset, size, inMemory] = [8, 32, 40].map((i) =>
          word(header + i)
        ) as [number, number, number];
        assertEquals(inMemory, size);
        assert(offset + size <= image.length);
      }
    }
  });
}

Deno.test("sleeperImage() is for this machine by default", () => {
  assertEquals(sleeperImage(SLEEP), sleeperImage(SLEEP, Deno.build.arch));
});

for (
  const [what, spoiled] of Object.entries(
    {
      name: { name: "a\0b" },
      path: { path: "a\0b" },
      argument: { argv: ["true", "a\0b"] },
      "environment variable": { env: [Uint8Array.of(0x41, 0, 0x42)] },
    } satisfies Record<string, Partial<Sleep>>,
  )
) {
  Deno.test(`sleeperImage() throws a TypeError when the ${what} holds a NUL`, () => {
    assertThrows(() => sleeperImage({ ...SLEEP, ...spoiled }), TypeError);
  });
}
