import { assertEquals } from "@std/assert/equals";
import { suggestion } from "../../../lib/cli/suggestion.ts";

const WORDS = [
  "--pidfile",
  "--detach",
  "--all",
  "status",
  "stop",
  "list",
  "TERM",
];

/** What is written, and what may have been meant. */
const WRITTEN: readonly [string, string | undefined][] = [
  ["--pidfle", "--pidfile"],
  ["--pidfiles", "--pidfile"],
  ["--pid-file", "--pidfile"],
  ["-detach", "--detach"],
  ["--detahc", "--detach"],
  ["--DETACH", "--detach"],
  ["--alll", "--all"],
  ["statsu", "status"],
  ["sotp", "stop"],
  ["lsit", "list"],
  ["trem", "TERM"],
  ["ls", undefined],
  ["slap", undefined],
  ["sleep", undefined],
  ["-x", undefined],
  ["--x", undefined],
  ["--", undefined],
  ["", undefined],
  ["--nope", undefined],
  ["😀".repeat(3), undefined],
  ["x".repeat(10_000), undefined],
];

for (const [word, expected] of WRITTEN) {
  Deno.test(`suggestion() for ${word.slice(0, 20)} is ${expected}`, () => {
    assertEquals(suggestion({ word, words: WORDS }), expected);
  });
}

Deno.test("suggestion() is undefined where there is nothing to choose from", () => {
  assertEquals(suggestion({ word: "status", words: [] }), undefined);
});
