/**
 * The torture suite's table.
 *
 * @module
 */
import type { Row } from "./row.ts";

const HEADER = { what: "what was tried", tried: "times", held: "held" };

/** The rows as Markdown, and below them what did not hold. */
export function tableOf(rows: readonly Row[]): string {
  const lines = [HEADER, ...rows];
  const width = (key: keyof typeof HEADER) =>
    Math.max(...lines.map((line) => String(line[key]).length));
  const [what, tried, held] = [width("what"), width("tried"), width("held")];
  const text = lines.map((line) =>
    `| ${line.what.padEnd(what)} | ${String(line.tried).padStart(tried)} | ${
      String(line.held).padStart(held)
    } |`
  );
  const dash = (length: number) => "-".repeat(length);
  text.splice(1, 0, `| ${dash(what)} | ${dash(tried)} | ${dash(held)} |`);
  const failures = rows.flatMap(({ failures }) => failures);
  return [...text, ...failures.map((failure) => `\n${failure}`)].join("\n");
}
