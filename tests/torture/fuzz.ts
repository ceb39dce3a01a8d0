/**
 * What comes from outside, read: anything at all gives a value that makes
 * sense, or the error that says what is wrong.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { toBytes } from "../../ffi/c_string.ts";
import { readRestarting } from "../../lib/cli/restart_options.ts";
import { runVerb } from "../../lib/cli/run.ts";
import { optionsOf, parseCall } from "../../lib/cli/verb.ts";
import { VERBS } from "../../lib/cli/verbs.ts";
import {
  type Option,
  parseOptions,
  parseOptionsAnywhere,
  takeOptions,
  UsageError,
} from "../../lib/options.ts";
import {
  DESTINATIONS,
  levelOf,
  LEVELS,
  levelSpecs,
  MODULES,
  setLevels,
} from "../../lib/vlog_levels.ts";
import { type Budget, partOf, type Row } from "./row.ts";
import { fuzzFiles } from "./fuzz_files.ts";
import { fuzzRecords } from "./fuzz_records.ts";
import { fuzzValues, isTime } from "./fuzz_values.ts";
import {
  lostSeeds,
  nearly,
  type Property,
  tryProperties,
  valueOrError,
} from "./properties.ts";

/** Tries all that reads what comes from outside. */
export async function fuzz(budget: Budget): Promise<Row[]> {
  const restored = levelSpecs();
  try {
    const share = partOf(budget, 1 / 4);
    const rows = [
      ...await tryProperties(WORDS, share),
      ...await tryProperties(fuzzValues(), share),
      ...await tryProperties(fuzzRecords(), share),
      ...await fuzzFiles(share),
    ];
    return [...rows, lostSeeds(rows)];
  } finally {
    setLevels("info");
    restored.forEach(setLevels);
  }
}

/** An option that a program could have, with a letter of its own or none. */
const OPTIONS = fc.uniqueArray(
  fc.record({
    name: fc.stringMatching(/^[a-z][a-z-]{0,8}[a-z]$/),
    letter: fc.constantFrom("a", "b", "c", undefined),
    value: fc.constantFrom("none", "optional", "required"),
  }),
  { selector: ({ name }) => name, minLength: 1, maxLength: 5 },
).map((options) =>
  options.map(({ name, letter, value }, i): Option => ({
    name,
    value,
    placeholder: "V",
    help: "",
    ...(letter === undefined ? {} : { letter: `${letter}${i}`.slice(-1) }),
  }))
);

/** An option of a table as it may be given, and the words that say it. */
function saidOf(option: Option): fc.Arbitrary<[string | undefined, string[]]> {
  const long = `--${option.name}`;
  const short = option.letter && `-${option.letter}`;
  const bare = [[long], ...(short ? [[short]] : [])];
  const without = fc.constantFrom(...bare)
    .map((words) => [undefined, words] as [undefined, string[]]);
  const withValue = fc.string({ unit: "grapheme", maxLength: 6 })
    .chain((value) => {
      const ways = [
        [`${long}=${value}`],
        ...(short ? [[`${short}=${value}`]] : []),
        // Behind the letter there is none that is empty, or begins with "=".
        ...(short && value !== "" && !value.startsWith("=")
          ? [[`${short}${value}`]]
          : []),
        ...(short && option.value === "required" ? [[short, value]] : []),
      ];
      return fc.constantFrom(...ways)
        .map((words) => [value, words] as [string, string[]]);
    });
  if (option.value === "none") return without;
  return option.value === "required" ? withValue : fc.oneof(without, withValue);
}

/** A table, and a command line that uses it well. */
const COMMAND_LINE = OPTIONS.chain((options) =>
  fc.record({
    options: fc.constant(options),
    said: fc.array(
      fc.nat(options.length - 1).chain((i) =>
        saidOf(options[i]!).map(([value, words]) => ({
          given: { name: options[i]!.name, value },
          words,
        }))
      ),
      { maxLength: 6 },
    ),
    rest: fc.array(fc.string({ unit: "binary", maxLength: 6 }), {
      maxLength: 4,
    }),
  })
);

const RUN_OPTIONS = optionsOf(runVerb);
const OPTION_WORDS = [...RUN_OPTIONS, ...VERBS.flatMap(optionsOf)]
  .flatMap((
    { name, letter },
  ) => [`--${name}`, ...(letter ? [`-${letter}`] : [])]);
const RESTART_NAMES = [
  "restart",
  "restart-delay",
  "restart-max-delay",
  "restart-reset",
  "restart-limit",
  "on-crash",
  "monitor",
] as const;
const RESTART_VALUES = [
  "no",
  "always",
  "on-failure",
  "0",
  "1s",
  "20ms",
  "5/1m",
  "0/1s",
  "1000/3650d",
  "/",
  "1/",
];
const WORDS: readonly Property[] = [
  {
    what: "parseOptions() has what was said, and leaves what follows",
    property: fc.property(COMMAND_LINE, ({ options, said, rest }) => {
      const words = said.flatMap(({ words }) => words);
      assertEquals(parseOptions(options, [...words, "--", ...rest]), {
        given: said.map(({ given }) => given),
        length: words.length + 1,
      });
    }),
  },
  {
    what: "parseOptionsAnywhere() has what was said, among other words too",
    property: fc.property(
      COMMAND_LINE,
      fc.array(fc.stringMatching(/^[^-]*$/), { maxLength: 6 }),
      ({ options, said, rest }, operands) => {
        const before = operands.slice(0, said.length);
        const mixed = said.flatMap(({ words }, i) => [
          ...before.slice(i, i + 1),
          ...words,
        ]);
        const { given, operands: others } = parseOptionsAnywhere(
          options,
          [...mixed, "--", ...rest],
        );
        assertEquals(given, said.map(({ given }) => given));
        assertEquals(others, [...before, ...rest]);
      },
    ),
  },
  {
    what: "takeOptions() leaves no option of its own, and no word out",
    property: fc.property(
      OPTIONS.chain((options) =>
        fc.tuple(
          fc.constant(options),
          fc.array(nearly(options.map(({ name }) => `--${name}`))),
        )
      ),
      ([options, words]) => {
        const taken = valueOrError(
          UsageError,
          () => takeOptions(options, words),
        );
        if (taken === undefined) return;
        assertEquals(taken.given.length + taken.rest.length, words.length);
        assertEquals(takeOptions(options, taken.rest).given, []);
      },
    ),
  },
  {
    what: "parseCall() says what is wrong, or has options that there are",
    property: fc.property(
      fc.constantFrom(...VERBS, runVerb),
      fc.array(fc.oneof(
        nearly([...OPTION_WORDS, "\ufeffweb", "\ufeff--all"]).map(toBytes),
        fc.uint8Array({ maxLength: 8 }),
      )),
      (verb, argv) => {
        const call = valueOrError(
          UsageError,
          () => parseCall(verb, argv, VERBS),
        );
        if (call === undefined) return;
        const names = optionsOf(verb).map(({ name }) => name);
        assert(call.given.every(({ name }) => names.includes(name)));
        // Byte for byte, and the last ones of those that there were.
        const bytes = argv.map(String);
        const left = call.operands.map(String);
        if (verb.operands.isCommand) {
          assertEquals(left, bytes.slice(bytes.length - left.length));
        } else {
          assert(left.every((word) => bytes.includes(word)), `${left}`);
        }
      },
    ),
  },
  {
    what: "readRestarting() says what is wrong, or has a throttle that works",
    property: fc.property(
      fc.array(fc.record({
        name: fc.constantFrom(...RESTART_NAMES),
        value: nearly(RESTART_VALUES),
      })),
      (given) => {
        const restarting = valueOrError(
          UsageError,
          () => readRestarting(given),
        );
        if (restarting === undefined) return;
        const { delay, maxDelay, reset = 0, limit } = restarting.throttle;
        assert(isTime(delay) && isTime(maxDelay) && isTime(reset));
        assert(maxDelay >= delay);
        assert(
          limit === undefined ||
            limit.ends >= 1 && limit.ends <= 1000 && isTime(limit.within),
        );
      },
    ),
  },
  {
    what: "setLevels() sets what a spec says, and nothing else",
    property: fc.property(
      fc.option(fc.constantFrom(...MODULES), { nil: undefined }),
      fc.option(fc.constantFrom(...DESTINATIONS), { nil: undefined }),
      fc.option(fc.constantFrom(...LEVELS), { nil: undefined }),
      fc.constantFrom(":", ",", " ", ":any,", "\t"),
      fc.nat(5),
      (module, destination, level, separator, turn) => {
        setLevels("warn");
        const words = [module, destination, level]
          .filter((word) => word !== undefined);
        const turned = [...words.slice(turn % 3), ...words.slice(0, turn % 3)];
        setLevels(turned.join(separator));
        for (const m of MODULES) {
          for (const d of DESTINATIONS) {
            const isMeant = (module ?? m) === m && (destination ?? d) === d;
            const wanted = isMeant ? level ?? "dbg" : "warn";
            assertEquals(levelOf(m, d), wanted, `${m}:${d}`);
          }
        }
      },
    ),
  },
  {
    what:
      "setLevels() refuses a spec and sets nothing, or takes one that is good",
    property: fc.property(
      nearly([...MODULES, ...DESTINATIONS, ...LEVELS, "any", ":", ",", "=="]),
      (spec) => {
        setLevels("emer");
        const before = levelSpecs();
        const isGood = valueOrError(TypeError, () => {
          setLevels(spec);
          return true;
        });
        if (!isGood) assertEquals(levelSpecs(), before);
        const after = levelSpecs();
        // A monitor that wakes up sets them from these.
        setLevels("off");
        after.forEach(setLevels);
        assertEquals(levelSpecs(), after);
      },
    ),
  },
];
