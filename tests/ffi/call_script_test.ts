import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  addressOf,
  CallScript,
  type Cell,
  goingOn,
  type Operand,
  type Successors,
} from "../../ffi/call_script.ts";
import { runScript } from "../../ffi/run_script.ts";
import { systemCall } from "../../ffi/system_calls.ts";
import { ARCHITECTURES } from "../binutils.ts";
import "../open_libc.ts";

/** Where scripts are to be. */
const BASE = 0x41_0000n;

/** Where a step has what, in bytes. */
const STEP = { operands: 8, result: 56, successors: 64 } as const;

/** A script that was linked, to be read by its addresses. */
class Linked {
  readonly first: bigint;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #base: bigint;
  readonly #view: DataView<ArrayBuffer>;

  constructor(script: CallScript, base = BASE) {
    const { bytes, first } = script.link(base);
    this.bytes = bytes;
    this.first = first;
    this.#base = base;
    this.#view = new DataView(bytes.buffer, 0, bytes.length);
  }

  /** The word at an address. */
  word(at: bigint): bigint {
    return this.#view.getBigInt64(Number(at - this.#base), true);
  }

  /** The values of a step's operands. */
  operands(step = this.first): bigint[] {
    return Array.from(
      { length: 6 },
      (_, i) => this.word(this.word(step + BigInt(STEP.operands + 8 * i))),
    );
  }

  /** The addresses of the steps that follow one: below, equal to, above 0. */
  successors(step = this.first): bigint[] {
    return [0, 8, 16].map((i) => this.word(step + BigInt(STEP.successors + i)));
  }

  /** The words, in their order. */
  words(): bigint[] {
    return Array.from(
      { length: this.bytes.length / 8 },
      (_, i) => this.word(this.#base + BigInt(8 * i)),
    );
  }
}

/** A script of one step that is called "step", and one that returns. */
function scriptOf(
  operands: readonly Operand[],
  successors: Successors = {},
): CallScript {
  const script = new CallScript();
  script.step("step", "prlimit64", operands, successors);
  script.step("return", "return");
  return script;
}

Deno.test("CallScript.step() has the number of its system call", () => {
  const linked = new Linked(scriptOf([]));
  assertEquals(linked.word(linked.first), BigInt(systemCall("prlimit64")));
});

for (
  const [name, number] of [
    ["return", -1n],
    ["differ", -2n],
    ["decimal", -3n],
    ["invoke", -4n],
    ["multiplyAdd", -5n],
    ["divide", -6n],
    ["copy", -7n],
  ] as const
) {
  Deno.test(`CallScript.step() has ${number} for ${name}`, () => {
    const script = new CallScript();
    script.step("step", name);
    script.step("return", "return");
    const linked = new Linked(script);
    assertEquals(linked.word(linked.first), number);
  });
}

Deno.test("CallScript.step() has numbers, and 0 for operands that are not given", () => {
  const operands = [1, -100, 0xffff_ffff, 2n ** 63n];
  const expected = [1n, -100n, 0xffff_ffffn, -(2n ** 63n), 0n, 0n];
  assertEquals(new Linked(scriptOf(operands)).operands(), expected);
});

Deno.test("CallScript.step() has the address of a place as an operand", () => {
  const script = new CallScript();
  const place = script.bytes(Uint8Array.of(1));
  script.step("step", "chdir", [place]);
  script.step("return", "return");
  const [operand] = new Linked(script).operands();
  assertEquals(operand, BASE + BigInt(place.place));
});

Deno.test("CallScript.step() has for a word what is in it then", () => {
  const script = new CallScript();
  const cell = script.cell(7);
  script.step("step", "close", [cell]);
  script.step("return", "return");
  const linked = new Linked(script);
  assertEquals(
    linked.word(linked.first + BigInt(STEP.operands)),
    BASE + BigInt(cell.cell),
  );
  assertEquals(linked.operands()[0], 7n);
});

Deno.test("CallScript.step() has its result go where it is to go", () => {
  const script = new CallScript();
  const result = script.cell();
  script.step("step", "getpid", [], { result });
  script.step("return", "return");
  const linked = new Linked(script);
  assertEquals(
    linked.word(linked.first + BigInt(STEP.result)),
    BASE + BigInt(result.cell),
  );
});

Deno.test("CallScript.step() is followed by the next one", () => {
  const script = new CallScript();
  script.step("first", "getpid");
  // Between two steps there may be anything.
  script.bytes(new Uint8Array(5));
  script.step("second", "setsid");
  script.step("return", "return");
  const linked = new Linked(script);
  const followers = new Set(linked.successors());
  assertEquals(followers.size, 1);
  const [second] = [...followers];
  assertEquals(linked.word(second!), BigInt(systemCall("setsid")));
});

for (const [i, which] of (["failed", "zero", "positive"] as const).entries()) {
  Deno.test(`CallScript.step() is followed by the step that is named as ${which}`, () => {
    const script = new CallScript();
    script.step("first", "getpid", [], { [which]: "last" });
    script.step("second", "setsid");
    script.step("last", "return");
    const linked = new Linked(script);
    assertEquals(
      linked.successors().map((step) => linked.word(step)),
      [0, 1, 2].map((at) => at === i ? -1n : BigInt(systemCall("setsid"))),
    );
  });
}

Deno.test("CallScript.step() has as many steps as are wanted without a name", () => {
  const script = new CallScript();
  script.step("", "getpid");
  script.step("", "setsid");
  script.step("", "return");
  const linked = new Linked(script);
  const [second] = linked.successors();
  assertEquals(linked.word(second!), BigInt(systemCall("setsid")));
});

Deno.test("CallScript.step() throws when there is a step of that name", () => {
  const script = new CallScript();
  script.step("a", "getpid");
  assertThrows(() => script.step("a", "setsid"), Error, "two steps a");
});

Deno.test("CallScript.assign(), add() and subtract() put into words what they say", () => {
  const script = new CallScript();
  const cells = [1, 2, 3].map((value) => script.cell(value));
  const [a, b, c] = cells as [Cell, Cell, Cell];
  script.assign("", a, -7, "sum");
  script.step("never", "return");
  script.add("sum", b, a, { result: b, failed: "difference" });
  script.step("never either", "return");
  script.subtract("difference", c, b, { result: c });
  script.step("return", "return");
  assertEquals(cells.map(runScript(script)), [-7n, -5n, 8n]);
});

Deno.test("goingOn() leads to the same step whatever the result is", () => {
  const linked = new Linked(scriptOf([], goingOn("return")));
  assertEquals(
    linked.successors().map((step) => linked.word(step)),
    [-1n, -1n, -1n],
  );
});

Deno.test("CallScript.link() throws when a step follows that is not there", () => {
  assertThrows(
    () => scriptOf([], { zero: "nowhere" }).link(BASE),
    Error,
    "no step nowhere",
  );
});

Deno.test("CallScript.link() throws when the last step does not return", () => {
  const script = new CallScript();
  script.step("only", "getpid", [], { failed: "only", zero: "only" });
  assertThrows(() => script.link(BASE), Error, "no step after the last one");
});

Deno.test("CallScript.link() wants nothing after a last step with three successors", () => {
  const script = new CallScript();
  const again = { failed: "only", zero: "only", positive: "only" };
  script.step("only", "getpid", [], again);
  const linked = new Linked(script);
  assertEquals(linked.successors(), Array(3).fill(linked.first));
});

Deno.test("CallScript.pointers() makes an array of addresses that ends in NULL", () => {
  const script = new CallScript();
  const places = [1, 2].map((n) => script.bytes(Uint8Array.of(n, 0)));
  const array = script.pointers([...places, places[0]!]);
  const linked = new Linked(script);
  assertEquals(
    [0, 8, 16, 24].map((i) => linked.word(BASE + BigInt(array.place + i))),
    [...places, places[0]!].map(({ place }) => BASE + BigInt(place)).concat(0n),
  );
});

Deno.test("CallScript.pointers() makes a NULL alone of nothing", () => {
  const script = new CallScript();
  const array = script.pointers([]);
  assertEquals(new Linked(script).word(BASE + BigInt(array.place)), 0n);
});

Deno.test("CallScript.point() has a word hold the address of another", () => {
  const script = new CallScript();
  const [from, to] = [script.cell(), script.cell()];
  script.point(from, addressOf(to));
  assertEquals(
    new Linked(script).word(BASE + BigInt(from.cell)),
    BASE + BigInt(to.cell),
  );
});

Deno.test("CallScript.bytes() keeps what is longer than all before it, and what there was", () => {
  const script = new CallScript();
  const cell = script.cell(42);
  const long = Uint8Array.from({ length: 100_001 }, (_, i) => i % 251);
  const short = script.bytes(Uint8Array.of(1, 2, 3));
  const place = script.bytes(long);
  const after = script.cell(43);
  const linked = new Linked(script);
  assertEquals(linked.word(BASE + BigInt(cell.cell)), 42n);
  assertEquals(linked.word(BASE + BigInt(after.cell)), 43n);
  assertEquals([...linked.bytes.subarray(short.place, short.place + 3)], [
    1,
    2,
    3,
  ]);
  const kept = linked.bytes.subarray(place.place, place.place + long.length);
  assert(kept.every((byte, i) => byte === long[i]));
});

Deno.test("CallScript.step() keeps steps that take more than the first 4096 bytes", () => {
  const script = new CallScript();
  for (let i = 0; i < 1000; i++) script.step(`${i}`, "close", [i]);
  script.step("return", "return");
  const linked = new Linked(script);
  let step = linked.first;
  for (let i = 0n; i < 1000n; i++) {
    assertEquals(linked.operands(step)[0], i);
    step = linked.successors(step)[0]!;
  }
  assertEquals(linked.word(step), -1n);
});

Deno.test("CallScript.link() changes for another place the addresses alone", () => {
  const script = new CallScript();
  const place = script.bytes(Uint8Array.of(1, 2, 3));
  script.step("step", "execve", [place, script.pointers([place]), 4]);
  script.step("return", "return");
  const words = new Linked(script).words();
  const moved = new Linked(script, BASE + 0x1000n).words();
  const end = BASE + BigInt(words.length * 8);
  assertEquals(
    moved,
    words.map((word) => word >= BASE && word < end ? word + 0x1000n : word),
  );
});

Deno.test("CallScript.link() has its own bytes for addresses where no place is given", () => {
  const { bytes, first } = scriptOf([5]).link();
  const at = Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
  const view = new DataView(bytes.buffer);
  const word = (address: bigint) =>
    view.getBigInt64(Number(address - at), true);
  assertEquals(word(word(first + BigInt(STEP.operands))), 5n);
});

Deno.test("CallScript has the same layout for both machines, but for the numbers of calls", () => {
  const layouts = ARCHITECTURES.map((machine) => {
    const script = new CallScript(machine);
    const result = script.cell();
    const args = script.pointers([script.bytes(new Uint8Array(13))]);
    script.step("first", "ppoll", [args, 1, 0, 0, 8], { result, zero: "end" });
    script.step("second", "differ", [addressOf(result), args]);
    script.step("end", "return");
    const linked = new Linked(script);
    const number = linked.word(linked.first);
    assertEquals(number, BigInt(systemCall("ppoll", machine)));
    return linked.words().map((word) => word === number ? "ppoll" : word);
  });
  assertEquals(layouts[0], layouts[1]);
});
