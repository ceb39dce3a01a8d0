/**
 * What a monitor shows of itself in `ps`.
 *
 * @module
 */
import type { MonitorState } from "./monitor_state.ts";
import { proctitleSet } from "./process_title.ts";
import { describeReadiness } from "./readiness.ts";

/**
 * The title of a monitor's process.
 *
 * @param state What the monitor knows.
 * @returns The title; `undefined` where a process only waits for its command.
 */
export function titleOf(state: MonitorState): string | undefined {
  return state.policy === "no"
    ? undefined
    : `monitoring pid ${state.daemonPid} (${statusOf(state)})`;
}

/**
 * Shows the title of a monitor's process, where it has one.
 *
 * @param state What the monitor knows.
 */
export function showTitle(state: MonitorState): void {
  const title = titleOf(state);
  if (title !== undefined) proctitleSet(title);
}

/** What is amiss with the daemon now; the last crash where nothing else is. */
function statusOf(state: MonitorState): string {
  const { phase, ready, statusMsg, hungMsg, gaveUp, crashes } = state;
  if (gaveUp !== undefined) return `${statusMsg}, ${gaveUp}, giving up`;
  switch (phase) {
    case "starting":
      return crashes === 0 ? "starting" : statusMsg;
    case "notReady":
      return ready === undefined
        ? statusMsg
        : `not ready yet, waiting for ${describeReadiness(ready)}`;
    case "timedOut":
      return ready === undefined
        ? statusMsg
        : `not ready within ${ready.timeout / 1000} s, told to end`;
    case "hung":
      return hungMsg ?? statusMsg;
    case "restarting":
      return "told to end, another is to follow";
    case "stopping":
      return "told to end";
    case "clearing":
      return "it has ended, and left processes that end";
    case "running":
    case "backingOff":
      return statusMsg;
  }
}
