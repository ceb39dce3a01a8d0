/**
 * The torture suite's table, line by line.
 *
 * @module
 */
import { type Row, troubleOf } from "./row.ts";

const HEADER = ["what was tried", "times", "of all", "held"] as const;
/** Lines come one after the other: what is wider stands out. */
const WIDTHS = [88, 6, 6, 6] as const;

/** The first two lines, as Markdown has them. */
export const TABLE_HEAD: string = [
  lineOf(HEADER),
  lineOf(WIDTHS.map((width) => "-".repeat(width))),
].join("\n");

/** The line of a row. */
export function tableLine({ what, tried, all, held, leftOut }: Row): string {
  const name = leftOut === undefined ? what : `${what} (left out: ${leftOut})`;
  return lineOf([name, `${tried}`, `${all ?? ""}`, `${held}`]);
}

/** What did not hold, each with what it takes to see it again. */
export function failuresOf(rows: readonly Row[]): string[] {
  return rows.flatMap((row) => [...row.failures, troubleOf(row) ?? []].flat());
}

function lineOf(cells: readonly string[]): string {
  const padded = cells.map((cell, i) =>
    i === 0 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!)
  );
  return `| ${padded.join(" | ")} |`;
}
