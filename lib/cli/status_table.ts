/**
 * The table of `tend status`.
 *
 * @module
 */
import type { DaemonState } from "../daemon_state.ts";
import type { MonitorRecord } from "../monitor_file.ts";
import { oneLine } from "../vlog.ts";
import { type Column, layOut } from "./table.ts";
import type { DaemonStatus } from "./status.ts";

/** What a state is called, and the number of its colour on a terminal. */
const STATES: Record<DaemonState, readonly [word: string, colour: number]> = {
  running: ["running", 32],
  starting: ["starting", 33],
  notReady: ["not ready", 33],
  hung: ["hung", 31],
  timedOut: ["not ready in time", 31],
  restarting: ["restarting", 33],
  stopping: ["stopping", 33],
  clearing: ["clearing", 33],
  backingOff: ["backing off", 33],
  ended: ["ended", 33],
  stale: ["stale", 31],
  stopped: ["stopped", 2],
  unknown: ["unknown", 31],
};

const COLUMNS: readonly Column[] = [
  { title: "NAME", least: 8 },
  { title: "STATE", least: 8 },
  { title: "PID", isNumber: true },
  { title: "UPTIME", isNumber: true, rank: 6 },
  { title: "RESTARTS", isNumber: true, rank: 5 },
  { title: "LAST END", rank: 2, least: 12 },
  { title: "MEMORY", isNumber: true, rank: 4 },
  { title: "CPU", isNumber: true, rank: 3 },
  { title: "COMMAND", rank: 1, least: 12 },
];
const STATE_COLUMN = 1;
const NOTHING = "-";

const UNITS = [[86_400, "d"], [3600, "h"], [60, "m"], [1, "s"]] as const;

/** How the table is shown. */
export interface TableStyle {
  /** How wide a line may be. */
  readonly width: number;
  /** Whether there is colour. */
  readonly isColoured: boolean;
}

/**
 * Lays out a line for each daemon.
 *
 * @param statuses The daemons.
 * @param style How it is shown.
 * @returns The lines.
 */
export function statusTable(
  statuses: readonly DaemonStatus[],
  { width, isColoured }: TableStyle,
): string {
  const rows = statuses.map((status) => cellsOf(status).map(oneLine));
  return layOut(COLUMNS, rows, width, (text, column, row) => {
    if (!isColoured || column !== STATE_COLUMN) return text;
    const [, colour] = STATES[statuses[row]!.view.state];
    return `\x1b[${colour}m${text}\x1b[m`;
  });
}

function cellsOf({ name, view, usage, command }: DaemonStatus): string[] {
  const { pid, record } = view;
  return [
    name,
    stateCell(view),
    pid === undefined ? NOTHING : String(pid),
    usage === undefined ? NOTHING : durationText(usage.uptime),
    record === undefined ? NOTHING : String(restartsOf(record)),
    lastEndCell(record),
    usage === undefined ? NOTHING : bytesText(usage.memory),
    usage === undefined ? NOTHING : percent(usage.cpu / usage.uptime),
    command.join(" ") || NOTHING,
  ];
}

function stateCell({ state, remark, record }: DaemonStatus["view"]): string {
  const [word] = STATES[state];
  const until = state === "backingOff" ? record?.backingOffUntil : undefined;
  const words = until === undefined ? word : `${word} until ${clock(until)}`;
  return remark === undefined ? words : `${words}, ${remark}`;
}

/** The one that is waited for has not been yet. */
function restartsOf({ crashes, restarts, phase }: MonitorRecord): number {
  return crashes + restarts - (phase === "backingOff" ? 1 : 0);
}

function lastEndCell(record: DaemonStatus["view"]["record"]): string {
  if (record?.lastEnd === undefined) return NOTHING;
  const { lastStart, lastEnd: { text: end, at } } = record;
  // How a start failed says more than how it was ended for that.
  const text = lastStart?.ready === false
    ? `start failed: ${lastStart.text ?? end}`
    : end;
  const ago = durationText(Math.max(0, Date.now() - at) / 1000);
  return `${text} ${ago} ago`;
}

/** The time of day, here. */
function clock(ms: number): string {
  const time = new Date(ms);
  return [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((part) => String(part).padStart(2, "0")).join(":");
}

/**
 * A length of time in its two largest units.
 *
 * @param seconds Seconds.
 * @returns The text: `3d4h`, `12s`.
 */
export function durationText(seconds: number): string {
  let rest = Math.floor(seconds);
  const parts: string[] = [];
  for (const [size, unit] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || parts.length > 0) parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 2).join("") || "0s";
}

/**
 * An amount of memory.
 *
 * @param bytes Bytes.
 * @returns The text in units of 1024: `12M`, `1.5G`.
 */
export function bytesText(bytes: number): string {
  let amount = bytes / 1024;
  for (const unit of ["K", "M", "G"]) {
    if (amount < 1000) {
      return `${amount < 10 ? amount.toFixed(1) : amount.toFixed(0)}${unit}`;
    }
    amount /= 1024;
  }
  return `${amount.toFixed(1)}T`;
}

function percent(share: number): string {
  const value = Number.isFinite(share) ? share * 100 : 0;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)}%`;
}
