/**
 * Lays out rows in columns: the first to the left, numbers to the right.
 *
 * @returns The lines, the head first.
 */
export function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0))
  );
  const lines = [head, widths.map((width) => "-".repeat(width)), ...rows];
  return lines.map((row) =>
    widths.map((width, column) =>
      column === 0
        ? (row[column] ?? "").padEnd(width)
        : (row[column] ?? "").padStart(width)
    ).join("  ").trimEnd()
  ).join("\n");
}

/** The middle one; of an even number the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? NaN;
  const high = sorted[Math.floor(middle)] ?? NaN;
  return (low + high) / 2;
}

/** A number in so many places that three figures of it are seen. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}
