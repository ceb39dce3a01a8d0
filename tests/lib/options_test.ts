import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertThrows } from "@std/assert/throws";
import {
  describeOptions,
  lastValue,
  type Option,
  optionForms,
  parseOptions,
  parseOptionsAnywhere,
  UsageError,
} from "../../lib/options.ts";

const OPTIONS = [
  { name: "flag", letter: "f", value: "none", help: "h" },
  {
    name: "maybe",
    letter: "m",
    value: "optional",
    placeholder: "M",
    help: "h",
  },
  {
    name: "needed",
    letter: "n",
    value: "required",
    placeholder: "N",
    help: "h",
  },
  { name: "long-only", value: "none", help: "h" },
] as const satisfies readonly Option[];

/** Words, and what is given: a name, or a name and a value. */
const GIVEN: readonly [string[], (string | [string, string])[]][] = [
  [[], []],
  [["--flag"], ["flag"]],
  [["-f"], ["flag"]],
  [["--maybe"], ["maybe"]],
  [["--maybe="], [["maybe", ""]]],
  [["--maybe=x"], [["maybe", "x"]]],
  [["--maybe=a=b"], [["maybe", "a=b"]]],
  [["--maybe=--flag"], [["maybe", "--flag"]]],
  [["--maybe=line\nfeed"], [["maybe", "line\nfeed"]]],
  [["-m"], ["maybe"]],
  [["-m="], [["maybe", ""]]],
  [["-mx"], [["maybe", "x"]]],
  [["-m=x"], [["maybe", "x"]]],
  [["-ma=b"], [["maybe", "a=b"]]],
  [["-m=="], [["maybe", "="]]],
  [["--needed=x"], [["needed", "x"]]],
  [["--needed="], [["needed", ""]]],
  [["-nx"], [["needed", "x"]]],
  [["-n", "x"], [["needed", "x"]]],
  [["-n", "--flag"], [["needed", "--flag"]]],
  [["-n", "--"], [["needed", "--"]]],
  [["-n", ""], [["needed", ""]]],
  [["-n=", "-f"], [["needed", ""], "flag"]],
  [["--long-only"], ["long-only"]],
  [["--flag", "-f", "--maybe=1", "-m2"], [
    "flag",
    "flag",
    ["maybe", "1"],
    ["maybe", "2"],
  ]],
];

for (const [words, expected] of GIVEN) {
  Deno.test(`parseOptions() takes ${JSON.stringify(words)}`, () => {
    const given = expected.map((entry) =>
      typeof entry === "string"
        ? { name: entry, value: undefined }
        : { name: entry[0], value: entry[1] }
    );
    assertEquals(
      parseOptions(OPTIONS, words) as unknown,
      { given, length: words.length },
    );
  });
}

/** Words, and how many of them are options. */
const ENDS: readonly [string[], number][] = [
  [["sleep", "--flag"], 0],
  [["--flag", "sleep", "--flag"], 1],
  [["--maybe", "x"], 1],
  [["-m", "x"], 1],
  [["-n", "x", "y"], 2],
  [["--", "--flag"], 1],
  [["--flag", "--", "--"], 2],
  [["-", "--flag"], 0],
  [["", "--flag"], 0],
  [["--flag", ""], 1],
];

for (const [words, length] of ENDS) {
  Deno.test(`parseOptions() stops after ${length} of ${JSON.stringify(words)}`, () => {
    assertEquals(parseOptions(OPTIONS, words).length, length);
  });
}

/** Words, and what is wrong with them. */
const WRONG: readonly [string, string][] = [
  ["--nope", "unknown option --nope"],
  ["--nope=x", "unknown option --nope"],
  ["---flag", "unknown option ---flag"],
  ["--fla", "unknown option --fla"],
  ["--Flag", "unknown option --Flag"],
  ["--f", "unknown option --f"],
  ["--=x", "unknown option --"],
  ["-x", "unknown option -x"],
  ["-flag", "option -f takes no value, and has lag"],
  ["--flag=x", "option --flag takes no value, and has x"],
  ["--needed", "option --needed needs a value: --needed=N"],
  ["-n", "option -n needs a value: -n N"],
  ["-u", "unknown option -u"],
  ["--undefined", "unknown option --undefined"],
];

for (const [word, message] of WRONG) {
  Deno.test(`parseOptions() refuses ${word}`, () => {
    const error = assertThrows(() => parseOptions(OPTIONS, [word]), UsageError);
    assertEquals(error.message, message);
  });
}

Deno.test("parseOptions() names the whole letter of an unknown option", () => {
  const error = assertThrows(() => parseOptions(OPTIONS, ["-😀x"]), UsageError);
  assertEquals(error.message, "unknown option -😀");
});

Deno.test("parseOptions() says what is wrong with a value that is empty", () => {
  const error = assertThrows(
    () => parseOptions(OPTIONS, ["--flag="]),
    UsageError,
  );
  assertEquals(error.message.trimEnd(), error.message);
});

Deno.test("parseOptions() throws nothing but UsageErrors, whatever the words are", () => {
  const parts = [
    "-",
    "--",
    "=",
    "flag",
    "f",
    "m",
    "needed",
    "",
    " ",
    "é",
    "\n",
  ];
  let seed = 1;
  const random = (below: number) =>
    (seed = (seed * 48271) % 0x7fff_ffff) % below;
  for (let i = 0; i < 20_000; i++) {
    const words = Array.from(
      { length: random(4) },
      () => Array.from({ length: random(5) }, () => parts[random(11)]).join(""),
    );
    try {
      const { given, length } = parseOptions(OPTIONS, words);
      assert(given.length <= length && length <= words.length, words.join("|"));
    } catch (error) {
      assertInstanceOf(error, UsageError, words.join("|"));
    }
  }
});

/** Words, the names that are given, and the operands. */
const ANYWHERE: readonly [string[], string[], string[]][] = [
  [["a", "--flag", "b"], ["flag"], ["a", "b"]],
  [["--flag", "--", "--flag", "-"], ["flag"], ["--flag", "-"]],
  [["a", "--", "--"], [], ["a", "--"]],
  [["-", "", "-n", "a", "b"], ["needed"], ["-", "", "b"]],
  [["a", "-m", "b"], ["maybe"], ["a", "b"]],
  [[], [], []],
];

for (const [words, names, operands] of ANYWHERE) {
  Deno.test(`parseOptionsAnywhere() takes ${JSON.stringify(words)}`, () => {
    const parsed = parseOptionsAnywhere(OPTIONS, words);
    assertEquals(parsed.given.map(({ name }) => name as string), names);
    assertEquals(parsed.operands, operands);
  });
}

Deno.test("parseOptionsAnywhere() refuses an unknown option behind an operand", () => {
  assertThrows(
    () => parseOptionsAnywhere(OPTIONS, ["a", "--nope"]),
    UsageError,
    "unknown option --nope",
  );
});

for (const [word, expected] of [["--fla=x", "--fla"], ["-flog", "-flog"]]) {
  Deno.test(`parseOptions() says which names ${word} could have been`, () => {
    const options = OPTIONS.filter(({ name }) => name !== "flag");
    const error = assertThrows(
      () => parseOptions(options, [word!]),
      UsageError,
    );
    const words = ["--maybe", "--needed", "--long-only"];
    assertEquals(error.misspelt, { word: expected!, words });
  });
}

Deno.test("parseOptions() has nothing misspelt in a known option", () => {
  const error = assertThrows(
    () => parseOptions(OPTIONS, ["--flag=x"]),
    UsageError,
  );
  assertEquals(error.misspelt, undefined);
});

Deno.test("lastValue() is that of the last of several", () => {
  const { given } = parseOptions(OPTIONS, ["-n1", "-m3", "-n2", "-f"]);
  assertEquals(lastValue(given, "needed"), "2");
});

Deno.test("lastValue() is undefined for an option without one", () => {
  const { given } = parseOptions(OPTIONS, ["-n1", "-m2", "-m"]);
  assertEquals([lastValue(given, "maybe"), lastValue(given, "flag")], [
    undefined,
    undefined,
  ]);
});

Deno.test("optionForms() has the letter and the name with its value", () => {
  assertEquals(OPTIONS.map(optionForms), [
    ["-f", "--flag"],
    ["-m", "--maybe[=M]"],
    ["-n", "--needed=N"],
    ["--long-only"],
  ]);
});

Deno.test("describeOptions() has the help beside a short option", () => {
  const help = {
    name: "help",
    letter: "h",
    value: "none",
    help: "it",
  } as const;
  assertEquals(describeOptions([help]), "  -h, --help               it\n");
});

Deno.test("describeOptions() has the help below an option that is too long", () => {
  const option = { name: "x".repeat(30), value: "none", help: "it" } as const;
  assertEquals(
    describeOptions([option]),
    `  --${"x".repeat(30)}\n${" ".repeat(27)}it\n`,
  );
});

Deno.test("describeOptions() shows how values are given", () => {
  const lines = describeOptions(OPTIONS).split("\n");
  assertEquals(
    lines.map((line) => line.slice(0, 27).trim()),
    ["-f, --flag", "-m, --maybe[=M]", "-n, --needed=N", "--long-only", ""],
  );
});

Deno.test("describeOptions() indents each line of a help of several", () => {
  const option = { name: "a", value: "none", help: "one\ntwo" } as const;
  const [, second] = describeOptions([option]).split("\n");
  assertEquals(second, `${" ".repeat(27)}two`);
});
