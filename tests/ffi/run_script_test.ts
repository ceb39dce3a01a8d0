import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import {
  addressOf,
  CallScript,
  type Successors,
} from "../../ffi/call_script.ts";
import { cString, fromBytes } from "../../ffi/c_string.ts";
import { close, pipe2 } from "../../ffi/descriptor.ts";
import { readFile } from "../../ffi/file.ts";
import { Errno } from "../../ffi/libc.ts";
import { getpid } from "../../ffi/process.ts";
import { readyScript, runScript } from "../../ffi/run_script.ts";
import { fdsOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const AT_FDCWD = -100;
const O_WRONLY_CREAT = 0o101;

/** Runs a script that writes to a descriptor, and returns what it writes. */
function written(write: (script: CallScript, fd: number) => void): string {
  const { readFd, writeFd } = pipe2();
  const script = new CallScript();
  write(script, writeFd);
  runScript(script);
  close(writeFd);
  const text = fromBytes(readFile(`/proc/self/fd/${readFd}`));
  close(readFd);
  return text;
}

/** Adds a step that writes its label. */
function say(
  script: CallScript,
  fd: number,
  label: string,
  next?: string,
): void {
  const text = script.bytes(cString(label));
  const after = next === undefined ? {} : { positive: next };
  script.step(label, "write", [fd, text, label.length], after);
}

Deno.test("runScript() makes one call after the other, up to one that returns", () => {
  const text = written((script, fd) => {
    say(script, fd, "a");
    say(script, fd, "b");
    say(script, fd, "c");
    script.step("return", "return");
    say(script, fd, "d");
    script.step("end", "return");
  });
  assertEquals(text, "abc");
});

/** A call for each result: below, equal to, above 0. */
const RESULTS = { failed: "close", zero: "chdir", positive: "getpid" } as const;

/** Adds such a call. */
function tryCall(
  script: CallScript,
  call: "chdir" | "close" | "getpid",
  successors: Successors = {},
): void {
  const here = script.bytes(cString("."));
  const operands = { close: [-1], chdir: [here], getpid: [] };
  script.step("call", call, operands[call], successors);
}

for (const [which, call] of Object.entries(RESULTS)) {
  Deno.test(`runScript() goes where ${which} leads after ${call}()`, () => {
    const text = written((script, fd) => {
      const names = Object.keys(RESULTS);
      const labels = names.map((name) => [name, name]);
      tryCall(script, call, Object.fromEntries(labels));
      for (const name of names) say(script, fd, name, "return");
      script.step("return", "return");
    });
    assertEquals(text, which);
  });

  Deno.test(`runScript() goes on with the next step after ${call}() when nothing is said`, () => {
    const text = written((script, fd) => {
      tryCall(script, call);
      say(script, fd, "next", "return");
      say(script, fd, "else");
      script.step("return", "return");
    });
    assertEquals(text, "next");
  });
}

Deno.test("runScript() goes back to a step as often as that leads there", () => {
  const { readFd, writeFd } = pipe2();
  const script = new CallScript();
  const result = script.cell();
  script.step("close", "close", [readFd], {
    result,
    zero: "close",
    failed: "return",
  });
  script.step("wrong", "close", [writeFd]);
  script.step("return", "return");
  assertEquals(runScript(script)(result), BigInt(-Errno.EBADF));
  close(writeFd);
});

Deno.test("runScript() has results in the words that they went to", () => {
  const script = new CallScript();
  const [pid, done] = [script.cell(), script.cell(-1)];
  script.step("pid", "getpid", [], { result: pid });
  script.step("done", "chdir", [script.bytes(cString("."))], { result: done });
  script.step("return", "return");
  const valueOf = runScript(script);
  assertEquals([valueOf(pid), valueOf(done)], [BigInt(getpid()), 0n]);
});

Deno.test("runScript() has the errno, below 0, of a call that failed", () => {
  const script = new CallScript();
  const result = script.cell();
  const nowhere = script.bytes(cString("/proc/self/none"));
  script.step("chdir", "chdir", [nowhere], { result });
  script.step("return", "return");
  assertEquals(runScript(script)(result), BigInt(-Errno.ENOENT));
});

Deno.test("runScript() leaves words alone to which no result went", () => {
  const script = new CallScript();
  const words = [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)];
  const cells = words.map((word) => script.cell(word));
  script.step("pid", "getpid");
  script.step("return", "return");
  assertEquals(cells.map(runScript(script)), words);
});

Deno.test("runScript() has what one call returned as an operand of the next", async () => {
  await using box = await Sandbox.create();
  const path = box.path("file");
  const script = new CallScript();
  const fd = script.cell();
  const name = script.bytes(cString(path));
  const text = script.bytes(new TextEncoder().encode("text"));
  const operands = [AT_FDCWD, name, O_WRONLY_CREAT, 0o600];
  script.step("open", "openat", operands, { result: fd });
  script.step("write", "write", [fd, text, 4]);
  script.step("close", "close", [fd]);
  script.step("return", "return");
  const number = Number(runScript(script)(fd));
  assertEquals(box.read(path), "text");
  assert(fdsOf(Deno.pid).get(number) !== path);
});

Deno.test("runScript() hands over five operands in their order", () => {
  const { readFd, writeFd } = pipe2();
  const script = new CallScript();
  const [none, badSize] = [script.cell(), script.cell()];
  const pollfd = script.bytes(
    new Uint8Array(Int32Array.of(readFd, 1).buffer),
  );
  const zero = script.bytes(new Uint8Array(16));
  const mask = script.bytes(new Uint8Array(8));
  // Nothing to read; a `sigset_t` that is not 8 bytes, which comes last.
  script.step("none", "ppoll", [pollfd, 1, zero, mask, 8], { result: none });
  script.step("bad", "ppoll", [pollfd, 1, zero, mask, 9], { result: badSize });
  script.step("return", "return");
  const valueOf = runScript(script);
  assertEquals([none, badSize].map(valueOf), [0n, BigInt(-Errno.EINVAL)]);
  close(readFd);
  close(writeFd);
});

for (
  const [a, b] of [
    [0n, 0n],
    [-4n, -4n],
    [0n, 1n],
    [-4n, -5n],
    [1n, 1n + 2n ** 32n],
    [0n, -(2n ** 63n)],
  ] as const
) {
  const whether = a === b ? "does not differ" : "differs";
  Deno.test(`runScript() finds that ${a} ${whether} from ${b}`, () => {
    const text = written((script, fd) => {
      const operands = [a, b].map((word) => addressOf(script.cell(word)));
      script.step("compare", "differ", operands, {
        failed: "failed",
        zero: "does not differ",
        positive: "differs",
      });
      for (const label of ["failed", "does not differ", "differs"]) {
        say(script, fd, label, "return");
      }
      script.step("return", "return");
    });
    assertEquals(text, whether);
  });
}

for (
  const number of [
    ...[0n, 1n, 9n, 10n, 99n, 100n, 32768n, 4194304n],
    ...[2n ** 32n, 2n ** 63n - 1n, 2n ** 64n - 1n],
  ]
) {
  Deno.test(`runScript() writes ${number} in decimal, and a line feed`, () => {
    const text = written((script, fd) => {
      const length = script.cell();
      const room = script.bytes(new TextEncoder().encode("?".repeat(24)));
      script.step("decimal", "decimal", [number, room], {
        result: length,
        failed: "return",
        zero: "return",
      });
      script.step("number", "write", [fd, room, length]);
      // And what else has become of the room.
      script.step("room", "write", [fd, room, 24]);
      script.step("return", "return");
    });
    const line = `${number}\n`;
    assertEquals(text, line + line.padEnd(24, "?"));
  });
}

/** What a step has for its result, and by which label it goes on. */
function calculated(
  call: "multiplyAdd" | "divide",
  operands: readonly bigint[],
): [bigint, string] {
  const script = new CallScript();
  const [result, way] = [script.cell(), script.cell(-1)];
  const labels = Object.keys(RESULTS);
  const successors = Object.fromEntries(labels.map((name) => [name, name]));
  script.step("calculate", call, operands, { ...successors, result });
  labels.forEach((name, i) => script.assign(name, way, i, "return"));
  script.step("return", "return");
  const valueOf = runScript(script);
  return [valueOf(result), labels[Number(valueOf(way))]!];
}

for (
  const [a, b, c] of [
    [0n, 0n, 0n],
    [3n, 4n, 5n],
    [3n, -4n, 5n],
    [3n, -4n, 12n],
    [1n, -(2n ** 63n), 0n],
    [2n ** 62n, 1n, 2n ** 62n - 1n],
    // What does not fit is left out.
    [2n ** 32n, 2n ** 32n, 1n],
    [2n ** 63n - 1n, 1n, 1n],
  ] as const
) {
  const expected = BigInt.asIntN(64, a * b + c);
  Deno.test(`runScript() finds that ${a} * ${b} + ${c} is ${expected}`, () => {
    const way = expected < 0 ? "failed" : expected === 0n ? "zero" : "positive";
    assertEquals(calculated("multiplyAdd", [a, b, c]), [expected, way]);
  });
}

for (
  const [a, b] of [
    [0n, 1n],
    [6n, 7n],
    [7n, 7n],
    [13n, 7n],
    [2n ** 63n - 1n, 2n],
    [2n ** 64n - 1n, 4096n],
  ] as const
) {
  Deno.test(`runScript() finds that ${a} / ${b} is ${a / b}`, () => {
    const way = a < b ? "zero" : "positive";
    assertEquals(calculated("divide", [a, b]), [a / b, way]);
  });
}

Deno.test("readyScript() runs nothing yet", () => {
  const script = new CallScript();
  const pid = script.cell(-1);
  script.step("pid", "getpid", [], { result: pid });
  script.step("return", "return");
  assertEquals(readyScript(script).get(pid), -1n);
});

Deno.test("readyScript() makes what runs as often as it is wanted", () => {
  const text = written((script, fd) => {
    say(script, fd, "a");
    script.step("return", "return");
    const ready = readyScript(script);
    ready.run();
    ready.run();
  });
  assertEquals(text, "aaa");
});

Deno.test("readyScript() makes what has in its words what was set last", () => {
  const script = new CallScript();
  const [fd, result] = [script.cell(-1), script.cell()];
  script.step("close", "close", [fd], { result });
  script.step("return", "return");
  const { readFd, writeFd } = pipe2();
  const ready = readyScript(script);
  const results = [readFd, writeFd, writeFd].map((number) => {
    ready.set(fd, BigInt(number));
    ready.run();
    return ready.get(result);
  });
  assertEquals(results, [0n, 0n, BigInt(-Errno.EBADF)]);
});
