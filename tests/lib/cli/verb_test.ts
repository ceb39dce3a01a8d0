import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { fromBytes, toBytes } from "../../../ffi/c_string.ts";
import {
  checkOperands,
  findVerb,
  parseCall,
  type Verb,
} from "../../../lib/cli/verb.ts";
import { UsageError } from "../../../lib/options.ts";
import { read, TEST_VERBS } from "../../verbs.ts";
import "../../open_libc.ts";

Deno.env.set("TEND_RUNDIR", "/run/here");

function verb(name: string): Verb {
  return findVerb(TEST_VERBS, name)!;
}

function call(name: string, ...words: string[]) {
  return parseCall(verb(name), words.map(toBytes), TEST_VERBS);
}

const WEB = "web /run/here/web.pid";

/** Words behind `poke`, and what they mean. */
const READ: readonly [string[], ReturnType<typeof read>][] = [
  [["web"], { targets: [WEB], json: false, signal: 1 }],
  [["web", "/x/y"], { targets: [WEB, "/x/y /x/y"], json: false, signal: 1 }],
  [["--json", "web"], { targets: [WEB], json: true, signal: 1 }],
  [["web", "--json"], { targets: [WEB], json: true, signal: 1 }],
  [["-s", "KILL", "web"], { targets: [WEB], json: false, signal: 9 }],
  [["web", "-s", "KILL"], { targets: [WEB], json: false, signal: 9 }],
  [["-sKILL", "web"], { targets: [WEB], json: false, signal: 9 }],
  [["-s=9", "web"], { targets: [WEB], json: false, signal: 9 }],
  [["--signal=kill", "web"], { targets: [WEB], json: false, signal: 9 }],
  [["-s9", "-s", "15", "web"], { targets: [WEB], json: false, signal: 15 }],
  [["--", "-s"], { targets: ["-s /run/here/-s.pid"], json: false, signal: 1 }],
];

for (const [words, expected] of READ) {
  Deno.test(`parseCall() reads poke ${words.join(" ")}`, () => {
    assertEquals(read(call("poke", ...words)), expected);
  });
}

/** Words behind `poke`, and what is wrong with them. */
const WRONG: readonly [string[], string][] = [
  [["--timeout=1s", "web"], "unknown option --timeout"],
  [["web", "-x"], "unknown option -x"],
  [["web", "-s"], "option -s needs a value: -s SIG"],
  [["--signal", "HUP", "web"], "option --signal needs a value: --signal=SIG"],
  [["--all=yes"], "option --all takes no value, and has yes"],
  [["--all", "web"], "options --all and TARGET web exclude each other"],
  [["--json"], "TARGET is missing: name a daemon, or all with --all"],
  [["web", ""], "TARGET is empty"],
  [
    ["--signal=HPU", "web"],
    "option --signal=HPU: not a signal, as TERM, SIGTERM and 15 are",
  ],
];

for (const [words, message] of WRONG) {
  Deno.test(`parseCall() refuses poke ${words.join(" ")}`, () => {
    const error = assertThrows(() => read(call("poke", ...words)), UsageError);
    assertEquals(error.message, message);
  });
}

Deno.test("parseCall() refuses a word that is not UTF-8", () => {
  assertThrows(
    () => parseCall(verb("poke"), [Uint8Array.of(97, 255)], TEST_VERBS),
    UsageError,
    "word is not valid UTF-8: a\ufffd",
  );
});

Deno.test("parseCall() ends the options of run at the command", () => {
  const { given, operands } = call("run", "--monitor", "sh", "--detach", "--");
  assertEquals(given.map(({ name }) => name), ["monitor"]);
  assertEquals(operands.map(fromBytes), ["sh", "--detach", "--"]);
});

Deno.test("parseCall() keeps the bytes of a command", () => {
  const bytes = Uint8Array.of(97, 255);
  const { operands } = parseCall(
    verb("run"),
    [toBytes("--"), bytes],
    TEST_VERBS,
  );
  assertEquals(operands, [bytes]);
});

for (const option of ["--help", "-h", "--version", "-V"]) {
  Deno.test(`parseCall() takes ${option} of each verb`, () => {
    for (const { name } of TEST_VERBS) {
      assertEquals(call(name, option).given.length, 1);
    }
  });
}

const COUNTS: readonly [string, string[], string | undefined][] = [
  ["run", [], "COMMAND is missing"],
  ["run", ["a", "b", "c"], undefined],
  ["help", [], undefined],
  ["help", ["run"], undefined],
  ["help", ["run", "man"], "man is one word too many"],
  ["completions", [], "SHELL is missing"],
  ["completions", ["bash"], undefined],
  ["man", [], undefined],
  ["man", ["tend"], "tend is one word too many"],
];

for (const [name, words, message] of COUNTS) {
  Deno.test(`checkOperands() of ${name} ${words.join(" ")}: ${message ?? "fine"}`, () => {
    const check = () => checkOperands(verb(name), call(name, ...words));
    if (message === undefined) check();
    else assertEquals(assertThrows(check, UsageError).message, message);
  });
}
