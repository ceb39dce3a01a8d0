/**
 * One line on a terminal that says what is waited for, and counts.
 *
 * The command writes to the same terminal meanwhile. So the cursor is put back
 * to where the command has left it, maybe in the middle of a line, and what the
 * command writes next begins by erasing ours, see `stderr_relay.ts`.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { getenv } from "../ffi/environment.ts";
import { describeReadiness } from "./readiness.ts";
import type { DaemonPlan } from "./daemon_plan.ts";
import { writeConsole } from "./vlog_sinks.ts";

/** Saves the cursor, and cuts what is longer than the line. */
const BEGIN = "\x1b7\x1b[?7l\x1b[K";
const END = "\x1b[?7h\x1b8";
const ERASE = "\x1b[K";

/** What is shown while a caller waits. */
export interface WaitingLine {
  /** To be called every second, with how many have passed. */
  show(seconds: number): void;
  /** To be called when the wait is over. */
  clear(): void;
}

/**
 * Makes the line.
 *
 * @param plan What is waited for.
 * @returns The line; `undefined` where none is wanted.
 */
export function waitingLine(
  { name, ready }: DaemonPlan,
): WaitingLine | undefined {
  if (ready === undefined || !isTerminal()) return undefined;
  const what = describeReadiness(ready);
  const most = ready.timeout / 1000;
  let isShown = false;
  return {
    show(seconds) {
      isShown = true;
      const line = `${name}: not ready yet, waiting for ${what}… ` +
        `${seconds}s of ${most}s`;
      writeConsole(`${BEGIN}${line}${END}`);
    },
    clear() {
      if (isShown) writeConsole(ERASE);
    },
  };
}

/** Whether stderr is a terminal that can erase. */
export function isTerminal(): boolean {
  if (!Deno.stderr.isTerminal()) return false;
  const term = getenv("TERM");
  return term !== undefined && fromBytes(term) !== "dumb";
}
