/**
 * The torture suite's table.
 *
 * @module
 */
import { type Row, troubleOf } from "./row.ts";

const HEADER = ["what was tried", "times", "of all", "held"] as const;

/** The rows as Markdown, and below them what did not hold. */
export function tableOf(rows: readonly Row[]): string {
  const lines = [HEADER, ...rows.map(cellsOf)];
  const widths = HEADER.map((_, i) =>
    Math.max(...lines.map((cells) => cells[i]!.length))
  );
  const text = lines.map((cells) =>
    `| ${
      cells.map((cell, i) =>
        i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
      ).join(" | ")
    } |`
  );
  const dashes = widths.map((width) => "-".repeat(width));
  text.splice(1, 0, `| ${dashes.join(" | ")} |`);
  const failures = rows.flatMap((row) =>
    [
      ...row.failures,
      troubleOf(row) ?? [],
    ].flat()
  );
  return [...text, ...failures.map((failure) => `\n${failure}`)].join("\n");
}

function cellsOf({ what, tried, all, held, leftOut }: Row): string[] {
  const name = leftOut === undefined ? what : `${what} (left out: ${leftOut})`;
  return [name, `${tried}`, `${all ?? ""}`, `${held}`];
}
