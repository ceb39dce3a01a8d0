import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  type Instruction,
  machineCode,
  offsetOf,
} from "../../ffi/machine_code.ts";

const CODE: readonly Instruction[] = [
  ["0000000000000001", "slot: .quad 1"],
  ["48 89 e0", "start: mov %rsp, %rax"],
  ["eb fb", "jmp start"],
  ["d65f03c0", "st: ret"],
];

Deno.test("machineCode() has single bytes in their order", () => {
  assertEquals([...machineCode([["48 89 e0", ""]])], [0x48, 0x89, 0xe0]);
});

Deno.test("machineCode() has longer numbers with their lowest byte first", () => {
  assertEquals(
    [...machineCode([["d65f03c0", ""], ["0102030405060708", ""]])],
    [0xc0, 3, 0x5f, 0xd6, 8, 7, 6, 5, 4, 3, 2, 1],
  );
});

Deno.test("machineCode() has nothing where there are no instructions", () => {
  assertEquals(machineCode([]).length, 0);
});

for (
  const [label, offset] of [["slot", 0], ["start", 8], ["st", 13]] as const
) {
  Deno.test(`offsetOf() counts the bytes before ${label}`, () => {
    assertEquals(offsetOf(CODE, label), offset);
  });
}

for (const label of ["sta", "jmp start", "ret", ""]) {
  Deno.test(`offsetOf() throws when there is no label "${label}"`, () => {
    assertThrows(() => offsetOf(CODE, label), Error, `no label ${label}`);
  });
}
