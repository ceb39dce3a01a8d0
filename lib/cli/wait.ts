/**
 * `tend wait`: waits for the end of daemons, or until they are ready.
 *
 * @module
 */
import { awaitEnd, awaitReady } from "../await_daemon.ts";
import { act, ACTION_JSON } from "./action_verb.ts";
import { readDuration } from "./duration_option.ts";
import { TARGET_OPTIONS, TARGETS } from "./target.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = [
  {
    name: "ready",
    value: "none",
    help: "wait until it is ready, not for its end",
  },
  {
    name: "timeout",
    value: "required",
    placeholder: "DURATION",
    help: "wait no longer than that (default: as long as it\ntakes)",
  },
] as const;

/** `tend wait`. */
export const waitVerb: Verb<
  typeof OPTIONS[number]["name"] | typeof TARGET_OPTIONS[number]["name"]
> = {
  name: "wait",
  summary: "wait for the end of daemons, or until they are ready",
  description:
    `Returns when daemon and monitor of each TARGET have ended, at once when they do
not run. A daemon that crashes has not ended while its monitor lives.

With --ready it returns when each daemon is ready, as after a crash. One that
does not run is an error then.

${ACTION_JSON}`,
  groups: [{ title: "Options", options: [...OPTIONS, ...TARGET_OPTIONS] }],
  operands: TARGETS,
  statuses: [
    ["0", "what was waited for has come"],
    ["1", "the time is over, or it cannot come"],
    ["2", "wrong usage"],
    ["4", "what one does cannot be told"],
  ],
  examples: [
    ["tend wait web", "waits until the daemon of RUNDIR/web.pid has ended"],
    ["tend wait --ready --timeout=30s web db", "waits until both are ready"],
  ],
  run: (call) => {
    const timeout = readDuration(call.given, "timeout", Infinity);
    const isForReady = call.given.some(({ name }) => name === "ready");
    return act(call, {
      participle: "waited for",
      job: (pidfile) =>
        isForReady ? awaitReady(pidfile, timeout) : awaitEnd(pidfile, timeout),
    });
  },
};
