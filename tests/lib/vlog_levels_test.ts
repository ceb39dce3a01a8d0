import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  type Destination,
  DESTINATIONS,
  type Level,
  levelOf,
  LEVELS,
  type Module,
  MODULES,
  setLevels,
} from "../../lib/vlog_levels.ts";

Deno.test("levelOf() is info everywhere until it is set", () => {
  assertEquals(all(), table(() => "info"));
});

Deno.test("setLevels() sets dbg for all when the spec is empty", () => {
  for (const spec of ["", " ", ":", "any", "any:any:any"]) {
    setLevels("info");
    setLevels(spec);
    assertEquals(all(), table(() => "dbg"), JSON.stringify(spec));
  }
});

const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [
  2,
  1,
  0,
]];
const MODULE = [undefined, "any", ...MODULES];
const DESTINATION = [undefined, "any", ...DESTINATIONS];
const LEVEL = [undefined, "any", ...LEVELS];

Deno.test("setLevels() sets what is named, in every order, case and manner", () => {
  const separators = [":", ",", " ", "::", " : "];
  let n = 0;
  for (const module of MODULE) {
    for (const destination of DESTINATION) {
      for (const level of LEVEL) {
        const words = [module, destination, level];
        const order = ORDERS[n % ORDERS.length]!;
        const spec = order.map((i) => words[i])
          .filter((word) => word !== undefined)
          .map((word) => n % 2 === 0 ? word : word.toUpperCase())
          .join(separators[n % separators.length]);
        n++;
        setLevels("any:any:info");
        setLevels(spec);
        const covers = (named: string | undefined, one: string) =>
          named === undefined || named === "any" || named === one;
        const set = level === undefined || level === "any" ? "dbg" : level;
        assertEquals(
          all(),
          table((m, d) =>
            covers(module, m) && covers(destination, d) ? set : "info"
          ),
          spec,
        );
      }
    }
  }
});

Deno.test("setLevels() adds to what was set before", () => {
  setLevels("off");
  setLevels("daemon_unix:err");
  setLevels("daemon_unix:file:dbg");
  assertEquals(levelOf("daemon_unix", "file"), "dbg");
  assertEquals(levelOf("daemon_unix", "console"), "err");
  assertEquals(levelOf("tend", "file"), "off");
});

const WRONG = [
  ["nope", 'no destination, level, or module "nope"'],
  ["console:nope:dbg", 'no destination, level, or module "nope"'],
  ["error", 'no destination, level, or module "error"'],
  ["daemon-unix", 'no destination, level, or module "daemon-unix"'],
  ["err:warn", "warn: the level is err already"],
  ["console:file", "file: the destination is console already"],
  ["tend:tend", "tend: the module is tend already"],
  ["off:off", "off: the level is off already"],
] as const;

for (const [spec, message] of WRONG) {
  Deno.test(`setLevels() refuses ${spec} and changes nothing`, () => {
    setLevels("any:any:warn");
    const error = assertThrows(() => setLevels(spec), TypeError);
    assertEquals(error.message, message);
    assertEquals(all(), table(() => "warn"));
  });
}

function all(): Record<string, Level> {
  return table(levelOf);
}

function table(
  level: (module: Module, destination: Destination) => string,
): Record<string, Level> {
  const cells = MODULES.flatMap((module) =>
    DESTINATIONS.map((destination) => [
      `${module}:${destination}`,
      level(module, destination),
    ])
  );
  return Object.fromEntries(cells);
}
