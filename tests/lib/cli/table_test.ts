import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { type Column, layOut } from "../../../lib/cli/table.ts";

const COLUMNS: readonly Column[] = [
  { title: "NAME", least: 5 },
  { title: "N", isNumber: true, rank: 3 },
  { title: "WHY", rank: 2, least: 5 },
  { title: "COMMAND", rank: 1, least: 4 },
];
const ROWS = [
  ["web", "1", "it is so", "serve all of it"],
  ["database", "1000", "-", "db"],
];

/** Widths, and the lines. */
const TABLES: readonly [number, string[]][] = [
  [Infinity, [
    "NAME         N  WHY       COMMAND",
    "web          1  it is so  serve all of it",
    "database  1000  -         db",
  ]],
  [36, [
    "NAME         N  WHY       COMMAND",
    "web          1  it is so  serve all…",
    "database  1000  -         db",
  ]],
  [28, [
    "NAME         N  WHY     COM…",
    "web          1  it is…  ser…",
    "database  1000  -       db",
  ]],
  [22, [
    "NAME         N  WHY",
    "web          1  it i…",
    "database  1000  -",
  ]],
  [15, ["NAME         N", "web          1", "database  1000"]],
  [10, ["NAME", "web", "database"]],
  [6, ["NAME", "web", "datab…"]],
  [3, ["NAME", "web", "data…"]],
];

for (const [width, lines] of TABLES) {
  Deno.test(`layOut() fits ${width} columns`, () => {
    const text = layOut(COLUMNS, ROWS, width);
    assertEquals(text.split("\n"), [...lines, ""]);
    if (width >= 5) assert(lines.every((line) => line.length <= width));
  });
}

Deno.test("layOut() aligns what is painted by what is seen", () => {
  const paint = (text: string, column: number, row: number) =>
    column === 0 && row === 0 ? `<b>${text}</b>` : text;
  assertEquals(
    layOut(COLUMNS, ROWS, 15, paint),
    "NAME         N\n<b>web</b>          1\ndatabase  1000\n",
  );
});
