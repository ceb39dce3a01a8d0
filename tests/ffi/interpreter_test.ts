import { assertEquals } from "@std/assert/equals";
import { INTERPRETER } from "../../ffi/interpreter.ts";
import {
  type Instruction,
  machineCode,
  offsetOf,
} from "../../ffi/machine_code.ts";
import { sleeperImage } from "../../ffi/sleeper.ts";
import {
  type Architecture,
  ARCHITECTURES,
  binutil,
  lacks,
  must,
  withTempDir,
} from "../binutils.ts";

/** How `objdump` names the machines. */
const DISASSEMBLER = { x86_64: "i386:x86-64", aarch64: "aarch64" } as const;

for (const architecture of ARCHITECTURES) {
  const annotation = INTERPRETER[architecture];
  const [assembler, disassembler] = ["as", "objdump"].map((name) =>
    binutil(architecture, name)
  ) as [string, string];

  Deno.test({
    name: `INTERPRETER for ${architecture} is line by line what as lists`,
    ignore: await lacks([assembler]),
    fn: () =>
      withTempDir(async (path) => {
        await Deno.writeTextFile(
          `${path}/s`,
          annotation.map(([, assembly]) => `${assembly}\n`).join(""),
        );
        // Without the lines around it, and no line's bytes on two.
        const options = ["-aln", "--listing-lhs-width=8", "-o", `${path}/o`];
        const listing = await must(assembler, [...options, `${path}/s`]);
        assertEquals(listed(listing), annotation.map(asListed));
      }),
  });

  Deno.test({
    name:
      `sleeperImage() for ${architecture} is for objdump what INTERPRETER says`,
    ignore: await lacks([disassembler]),
    fn: () =>
      withTempDir(async (path) => {
        const { image, entry, end } = waiting(architecture);
        await Deno.writeFile(`${path}/image`, image);
        // The image has no sections.
        const listing = await must(disassembler, [
          ...["-D", "-w", "-z", "-b", "binary", "-m"],
          DISASSEMBLER[architecture],
          `--start-address=${entry}`,
          `--stop-address=${end}`,
          `${path}/image`,
        ]);
        const first = annotation.findIndex(([, assembly]) =>
          assembly.startsWith("image:")
        );
        const labels = labelsOf(annotation, entry);
        assertEquals(
          disassembled(listing),
          annotation.slice(first).map(([code, assembly]) =>
            `${code}: ${normalised(assembly.replace(/^\w+: /, ""), labels)}`
          ),
        );
      }),
  });
}

/** Each line of a listing: its number, its bytes, its source. */
function listed(listing: string): string[] {
  return [...listing.matchAll(/^ *(\d+) [0-9a-f]{4} ([0-9A-F ]+)\t(.*)$/gm)]
    .map(([, line, bytes, source]) =>
      `${line}: ${bytes!.replaceAll(" ", "").toLowerCase()}: ${source}`
    );
}

/** The same of an instruction. */
function asListed(instruction: Instruction, index: number): string {
  const bytes = Array.from(
    machineCode([instruction]),
    (byte) => byte.toString(16).padStart(2, "0"),
  );
  return `${index + 1}: ${bytes.join("")}: ${instruction[1]}`;
}

/** An image, where in its file it begins, and where its code ends. */
function waiting(
  architecture: Architecture,
): { image: Uint8Array; entry: number; end: number } {
  const image = sleeperImage({
    name: "sleeper",
    watched: [0],
    path: "/bin/true",
    keptFd: 1,
    argv: ["true"],
    env: [],
  }, architecture);
  const view = new DataView(image.buffer);
  // The first segment begins where the file begins.
  const offset = view.getBigUint64(24, true) - view.getBigUint64(64 + 16, true);
  return {
    image,
    entry: Number(offset),
    end: Number(view.getBigUint64(64 + 32, true)),
  };
}

/** Each instruction that was disassembled: its bytes, and what it does. */
function disassembled(listing: string): string[] {
  return [...listing.matchAll(/^ *[0-9a-f]+:\t([0-9a-f ]+?) *\t(.*)$/gm)]
    .map(([, code, assembly]) => `${code}: ${normalised(assembly!)}`);
}

/** Where the labels of an annotation are, in a file with the entry point there. */
function labelsOf(
  annotation: readonly Instruction[],
  entry: number,
): ReadonlyMap<string, number> {
  const start = entry - offsetOf(annotation, "image");
  return new Map(
    annotation.flatMap(([, assembly]) => {
      const [, label] = /^(\w+):/.exec(assembly) ?? [];
      return label ? [[label, start + offsetOf(annotation, label)]] : [];
    }),
  );
}

/**
 * An instruction as both sides can write it: an address for a label, numbers in
 * decimal and not below 0, blanks alike, no comment, and one name for a jump
 * that has two.
 */
function normalised(
  assembly: string,
  labels: ReadonlyMap<string, number> = new Map(),
): string {
  // What is at a distance from %rip is in a comment.
  const [, target] = /# (0x[0-9a-f]+)$/.exec(assembly) ?? [];
  return assembly
    .replace(/\s+(#|\/\/) .*$/, "")
    .replace(/\s+/g, " ")
    .replace(/, /g, ",")
    .replace(/-0x[0-9a-f]+(?=\(%rip\))/, target ?? "$&")
    .replace(/\w+(?=(\(%rip\).*)?$)/, (name) => `${labels.get(name) ?? name}`)
    .replace(/'(.)'/, (_, character) => character.charCodeAt(0))
    .replace(
      /(?<!\w)(-?)(0x[0-9a-f]+|\d+)\b/g,
      (_, sign, number) =>
        String(BigInt.asUintN(64, BigInt(number) * (sign ? -1n : 1n))),
    )
    .replace(/^j(n?)z /, "j$1e ");
}
