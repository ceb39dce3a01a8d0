/**
 * Tables for a terminal.
 *
 * @module
 */

/** A column. */
export interface Column {
  /** What stands above it. */
  readonly title: string;
  /** Numbers are aligned to the right. */
  readonly isNumber?: boolean;
  /**
   * The lower, the sooner it gives room when there is too little: first down to
   * its `least` width, then all of it. Without it, it stays, and is cut
   * last.
   */
  readonly rank?: number;
  /** How narrow it may be cut. Without it, it is not. */
  readonly least?: number;
}

/** Between two columns. */
const GAP = "  ";

/**
 * Lays out a table.
 *
 * @param columns The columns.
 * @param rows A cell for each column in each row.
 * @param width How wide a line may be; `Infinity` where that does not matter.
 * @param paint Changes a cell that is laid out, as by colour, and not its width.
 * @returns The lines.
 */
export function layOut(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  paint: (text: string, column: number, row: number) => string = (text) => text,
): string {
  const natural = columns.map(({ title }, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]!.length))
  );
  const widths = fit(columns, natural, width);
  const shown = columns.map((_, i) => i).filter((i) => widths[i]! > 0);
  const last = shown.at(-1);
  const line = (cells: readonly string[], row?: number) =>
    shown.map((i) => {
      const text = cut(cells[i]!, widths[i]!);
      const painted = row === undefined ? text : paint(text, i, row);
      const blanks = " ".repeat(widths[i]! - text.length);
      if (columns[i]!.isNumber) return blanks + painted;
      return i === last ? painted : painted + blanks;
    }).join(GAP).trimEnd() + "\n";
  return line(columns.map(({ title }) => title)) +
    rows.map((cells, row) => line(cells, row)).join("");
}

/** How wide each column is; 0 for one that is left out. */
function fit(
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): number[] {
  const widths = [...natural];
  const excess = () => {
    const shown = widths.filter((width) => width > 0);
    const sum = shown.reduce((sum, width) => sum + width, 0);
    return sum + GAP.length * (shown.length - 1) - width;
  };
  const yielding = columns.map(({ rank, least }, index) => ({
    rank,
    least,
    index,
  })).filter(({ rank }) => rank !== undefined)
    .sort((a, b) => a.rank! - b.rank!);
  for (const { least, index } of yielding) {
    if (least === undefined || excess() <= 0) continue;
    const narrow = Math.max(least, widths[index]! - excess());
    widths[index] = Math.min(widths[index]!, narrow);
  }
  for (const { index } of yielding) {
    if (excess() > 0) widths[index] = 0;
  }
  columns.forEach(({ rank, least }, index) => {
    if (rank !== undefined || least === undefined || excess() <= 0) return;
    const narrow = Math.max(least, widths[index]! - excess());
    widths[index] = Math.min(widths[index]!, narrow);
  });
  // What is left has to be: the terminal breaks the lines.
  return widths;
}

function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  // Not in the middle of a character that takes two.
  return `${text.slice(0, width - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
