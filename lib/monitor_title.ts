/**
 * What a monitor shows of itself in `ps`.
 *
 * @module
 */
import type { MonitorState } from "./monitor_state.ts";
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

function statusOf(
  { phase, ready, statusMsg, hungMsg }: MonitorState,
): string {
  if (phase === "hung" && hungMsg !== undefined) return hungMsg;
  if (phase === "clearing") return "it has ended, and left processes that end";
  return phase === "notReady" && ready !== undefined
    ? `not ready yet, waiting for ${describeReadiness(ready)}`
    : statusMsg;
}
