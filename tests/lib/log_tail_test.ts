import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import type { LogFile, LogNames } from "../../lib/log_files.ts";
import { openTail } from "../../lib/log_tail.ts";
import { openFdCount } from "../descriptors.ts";
import { forAny } from "../random.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** What can be read of a file from its position on. */
function rest(file: LogFile): string {
  let text = "";
  for (let block; (block = file.read()) !== undefined;) {
    text += fromBytes(block);
  }
  return text;
}

/** Writes FILE, FILE.1 and so on, where they are texts. */
function write(box: Sandbox, ...texts: (string | undefined)[]): Uint8Array {
  const file = box.path("web.out");
  for (const [age, text] of texts.entries()) {
    const path = age === 0 ? file : `${file}.${age}`;
    if (text !== undefined) Deno.writeTextFileSync(path, text);
  }
  return toBytes(file);
}

/** The last lines, a string for each file from the oldest on. */
function tail(
  file: Uint8Array,
  lines: number,
  { count = 0, owner }: Partial<LogNames> = {},
): string[] {
  const { files, before } = openTail({ file, count, owner }, lines);
  const texts = files.map(rest);
  for (const open of [...files, before]) open?.close();
  return texts;
}

for (
  const [what, texts, lines, expected] of [
    ["the last lines", ["a\nb\nc\n"], 2, ["b\nc\n"]],
    ["all lines when there are no more", ["a\nb\n"], 9, ["a\nb\n"]],
    ["all of a file that has just as many", ["a\nb\n"], 2, ["a\nb\n"]],
    ["no line", ["a\nb\n"], 0, [""]],
    ["no line, nor a part of one", ["a\nb"], 0, [""]],
    ["a line without an end as one", ["a\nb\nc"], 2, ["b\nc"]],
    ["empty lines", ["a\n\n\n"], 2, ["\n\n"]],
    ["nothing of an empty file", [""], 10, [""]],
    ["nothing of empty files", ["", ""], 10, [""]],
    ["nothing where there is no file", [], 10, []],
    ["lines of the file before", ["d\n", "a\nb\nc\n"], 3, ["b\nc\n", "d\n"]],
    ["a whole file alone", ["c\nd\n", "a\nb\n"], 2, ["", "c\nd\n"]],
    ["lines of three files", ["c\n", "b\n", "a1\na2\n"], 3, [
      "a2\n",
      "b\n",
      "c\n",
    ]],
    ["older lines when the newest file is empty", ["", "a\nb\n"], 1, [
      "b\n",
      "",
    ]],
    ["a line that goes on in the next file as one", ["b\nc\n", "x\na"], 2, [
      "a",
      "b\nc\n",
    ]],
    ["all files", ["c\n", "b\n", "a\n"], Infinity, ["a\n", "b\n", "c\n"]],
    ["older files where the newest is missing", [undefined, "b\n", "a\n"], 9, [
      "a\n",
      "b\n",
    ]],
    ["a file behind one that is missing", ["c\n", undefined, "a\n"], 9, [
      "a\n",
      "c\n",
    ]],
    ["no file behind two", ["d\n", undefined, undefined, "a\n"], 9, ["d\n"]],
  ] satisfies [string, (string | undefined)[], number, string[]][]
) {
  Deno.test(`openTail() finds ${what}`, async () => {
    await using box = await Sandbox.create();
    assertEquals(tail(write(box, ...texts), lines), expected);
  });
}

Deno.test("openTail() finds files behind any that are missing where their count is said", async () => {
  await using box = await Sandbox.create();
  const file = write(box, "e\n", undefined, undefined, "b\n", "a\n");
  assertEquals(tail(file, 9, { count: 3 }), ["b\n", "e\n"]);
});

Deno.test("openTail() finds what a plain search finds, in large files too", async () => {
  await using box = await Sandbox.create();
  forAny((random) => {
    // Lines that end before, at and behind the ends of blocks.
    const texts = Array.from(
      { length: 1 + random.below(3) },
      () =>
        Array.from({ length: random.below(5) }, () =>
          "x".repeat(
            random.pick([
              0,
              1,
              65534 + random.below(4),
              random.below(70000),
            ]),
          )).join("\n") + random.pick(["", "\n"]),
    );
    const file = write(box, ...texts);
    const whole = texts.toReversed().join("");
    const ends = [...whole.matchAll(/.*\n|.+$/g)].map(([line]) => line);
    const lines = random.below(6);
    const found = tail(file, lines, { count: texts.length - 1 || 1 });
    assertEquals(
      found.join(""),
      lines === 0 ? "" : ends.slice(-lines).join(""),
    );
    texts.forEach((_, age) => {
      Deno.removeSync(
        age === 0 ? fromBytes(file) : `${fromBytes(file)}.${age}`,
      );
    });
  });
});

Deno.test("openTail() keeps the next older file open, and no other", async () => {
  await using box = await Sandbox.create();
  const file = write(box, "d\n", "c\n", "b\n", "a\n");
  const count = openFdCount();
  const { files, before } = openTail({ file, count: 3, owner: undefined }, 1);
  assertEquals(files.map(rest), ["", "d\n"]);
  assertEquals(before && rest(before), "b\n");
  assertEquals(openFdCount(), count + 3);
  for (const open of [...files, before]) open?.close();
});

Deno.test("openTail() refuses what is no regular file, and keeps none open", async () => {
  await using box = await Sandbox.create();
  const file = write(box, "a\n");
  await new Deno.Command("mkfifo", { args: [`${fromBytes(file)}.1`] }).output();
  const count = openFdCount();
  assertThrows(
    () => tail(file, 1),
    Error,
    `${fromBytes(file)}.1: not a regular file`,
  );
  assertEquals(openFdCount(), count);
});

Deno.test("openTail() reads only files of the user who says that they are the output", async () => {
  await using box = await Sandbox.create();
  const file = write(box, "a\n");
  const uid = Deno.uid()!;
  assertEquals(tail(file, 1, { owner: uid }), ["a\n"]);
  assertThrows(
    () => tail(file, 1, { owner: uid + 1 }),
    Error,
    `${fromBytes(file)}: it belongs to user ${uid}, and it is user ${
      uid + 1
    } ` +
      "who says that it is the output; not read",
  );
});
