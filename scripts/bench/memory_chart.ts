/** The memory of supervisors as a picture, both axes logarithmic. */
import type { Weighed } from "./many.ts";

const SIZE = { width: 740, height: 400 } as const;
/** Where the lines are. */
const PLOT = { left: 72, right: 548, top: 54, bottom: 350 } as const;
/** How far apart labels are at least. */
const LINE_HEIGHT = 18;

/** Colours that are told apart on a light and on a dark ground. */
const COLOURS = ["#1a7f37", "#0969da", "#8250df", "#bc4c00", "#cf222e"];
const DARK_COLOURS = ["#3fb950", "#58a6ff", "#bc8cff", "#f0883e", "#ff7b72"];

const STYLE = `
.ground { fill: #ffffff; stroke: #d0d7de; }
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.axis { fill: #59636e; font-size: 12px; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.first { stroke-width: 4; }
.link { stroke-width: 1; opacity: 0.6; }
.label.first { font-weight: 700; }
${rules(COLOURS)}
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117; stroke: #3d444d; }
text { fill: #f0f6fc; }
.axis { fill: #9198a1; }
.grid { stroke: #30363d; }
${rules(DARK_COLOURS)}
}`;

function rules(colours: readonly string[]): string {
  return colours.map((colour, i) =>
    `.line.c${i}, .link.c${i} { stroke: ${colour}; } ` +
    `.dot.c${i}, .label.c${i} { fill: ${colour}; }`
  ).join("\n");
}

/**
 * Draws what supervisors weigh with more and more daemons. The first is the
 * one that it is about.
 *
 * @returns An SVG document.
 */
export function memoryChart(weighed: readonly Weighed[]): string {
  const drawn = weighed.filter(({ weights }) => weights.length > 0);
  const weights = drawn.flatMap(({ weights }) => weights);
  const counts = [...new Set(weights.map(({ count }) => count))]
    .toSorted((a, b) => a - b);
  const sizes = weights.map(({ pssKib }) => pssKib);
  const ticks = ticksOf(sizes);
  const x = logScale(counts, PLOT.left + 16, PLOT.right - 8);
  const y = logScale([...ticks, ...sizes], PLOT.bottom, PLOT.top);

  const grid = ticks.map((kib) =>
    line("grid", PLOT.left, y(kib), PLOT.right, y(kib)) +
    text("axis", PLOT.left - 8, y(kib) + 4, memory(kib), "end")
  );
  const columns = counts.map((count) =>
    text("axis", x(count), PLOT.bottom + 20, `${count}`, "middle")
  );
  const ends = drawn.map(({ weights }) => y(weights.at(-1)!.pssKib));
  const labels = apart(ends, LINE_HEIGHT);
  const series = drawn.map(({ name, weights }, i) => {
    const style = i === 0 ? `c${i} first` : `c${i}`;
    const points = weights.map(({ count, pssKib }) => [x(count), y(pssKib)]);
    const dots = points.map(([cx, cy]) =>
      `<circle class="dot c${i}" cx="${round(cx!)}" cy="${round(cy!)}" r="${
        i === 0 ? 4.5 : 3.5
      }"/>`
    );
    const last = weights.at(-1)!;
    return `<polyline class="line ${style}" points="${
      points.map((point) => point.map(round).join(",")).join(" ")
    }"/>${dots.join("")}` +
      line(
        `link c${i}`,
        x(last.count) + 6,
        ends[i]!,
        PLOT.right + 12,
        labels[i]!,
      ) +
      text(
        `label ${style}`,
        PLOT.right + 16,
        labels[i]! + 4,
        `${name}, ${memory(last.pssKib)}`,
      );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 ${SIZE.width} ${SIZE.height}" width="${SIZE.width}" height="${SIZE.height}">
<title>Memory of supervisors by number of daemons</title>
<style>${STYLE}
</style>
<rect class="ground" x="0.5" y="0.5" width="${SIZE.width - 1}" height="${
    SIZE.height - 1
  }" rx="6"/>
${text("title", 20, 30, "Memory that it takes to look after daemons")}
${[...grid, ...columns, ...series].join("\n")}
${
    text(
      "axis",
      (PLOT.left + PLOT.right) / 2,
      PLOT.bottom + 40,
      "number of daemons; memory is PSS of all processes but the daemons",
      "middle",
    )
  }
</svg>
`;
}

/** What the memory's axis may show, in KiB: 1, 10 and 100 of each unit. */
const TICKS = [1, 1024, 1024 ** 2]
  .flatMap((unit) => [unit, 10 * unit, 100 * unit]);

/** The ticks from below the least of some values to below the greatest. */
export function ticksOf(values: readonly number[]): number[] {
  const [least, greatest] = [Math.min(...values), Math.max(...values)];
  const low = TICKS.findLast((tick) => tick <= least) ?? least;
  return TICKS.filter((tick) => low <= tick && tick <= greatest);
}

/**
 * Moves what stands too close apart, as little as need be.
 *
 * @param positions Where they would be, in any order.
 * @param distance How far apart they are at least.
 * @returns Where they are, in the same order.
 */
export function apart(
  positions: readonly number[],
  distance: number,
): number[] {
  const order = positions.map((_, i) => i)
    .toSorted((a, b) => positions[a]! - positions[b]!);
  // Groups that touch, each around the middle of where its members would be.
  const groups: number[][] = [];
  const start = (group: number[]) =>
    group.reduce((sum, i, at) => sum + positions[i]! - at * distance, 0) /
    group.length;
  for (const i of order) {
    let group = [i];
    for (;;) {
      const last = groups.at(-1);
      if (last === undefined) break;
      if (start(last) + last.length * distance <= start(group)) break;
      group = [...last, ...group];
      groups.pop();
    }
    groups.push(group);
  }
  const moved: number[] = [];
  for (const group of groups) {
    group.forEach((i, at) => moved[i] = start(group) + at * distance);
  }
  return moved;
}

function logScale(
  values: readonly number[],
  from: number,
  to: number,
): (value: number) => number {
  const low = Math.log(Math.min(...values));
  const high = Math.log(Math.max(...values));
  return (value) =>
    from + (to - from) * (Math.log(value) - low) / (high - low || 1);
}

/** Kibibytes in the unit that people would say them in. */
export function memory(kib: number): string {
  const [value, unit] = kib < 1024
    ? [kib, "KiB"]
    : kib < 1024 ** 2
    ? [kib / 1024, "MiB"]
    : [kib / 1024 ** 2, "GiB"];
  return `${value < 10 ? Number(value.toFixed(1)) : value.toFixed(0)} ${unit}`;
}

function line(
  style: string,
  x1: number,
  y1: number,
  x2: number,
  y2: number,
): string {
  return `<line class="${style}" x1="${round(x1)}" y1="${round(y1)}" x2="${
    round(x2)
  }" y2="${round(y2)}"/>`;
}

function text(
  style: string,
  x: number,
  y: number,
  content: string,
  anchor = "start",
): string {
  return `<text class="${style}" x="${round(x)}" y="${
    round(y)
  }" text-anchor="${anchor}">${content}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
