/**
 * `tend stop`: ends daemons and their monitors.
 *
 * @module
 */
import { stopDaemon } from "../stop_daemon.ts";
import { act, ACTION_JSON } from "./action_verb.ts";
import { readDuration } from "./duration_option.ts";
import { readSignal } from "./signal_option.ts";
import { TARGET_OPTIONS, TARGETS } from "./target.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = [
  {
    name: "timeout",
    value: "required",
    placeholder: "DURATION",
    help:
      "end by SIGKILL what has not ended after that\n(default: its --stop-timeout, or 10s)",
  },
  {
    name: "signal",
    letter: "s",
    value: "required",
    placeholder: "SIG",
    help: "tell the daemon by SIG\n(default: its --stop-signal, or TERM)",
  },
  {
    name: "kill-group",
    value: "none",
    help:
      "tell and end all of the daemon's process group;\nwhere a monitor does not do so by its --kill-mode",
  },
] as const;

/** `tend stop`. */
export const stopVerb: Verb<
  typeof OPTIONS[number]["name"] | typeof TARGET_OPTIONS[number]["name"]
> = {
  name: "stop",
  summary: "stop daemons and their monitors",
  description:
    `Returns when daemon and monitor have ended, and there is no restart between.
What has not ended in time is killed, and that is said. What ends with the
daemon is what its --kill-mode says. That a daemon does not
run is no error; stale files of it are removed. Daemons of several TARGETs are
stopped at the same time.

A process is only ever signalled when the lock of its pidfile, or of its
monitor's file, proves who it is.

${ACTION_JSON}`,
  groups: [{ title: "Options", options: [...OPTIONS, ...TARGET_OPTIONS] }],
  operands: TARGETS,
  statuses: [
    ["0", "none of them runs"],
    ["1", "one could not be stopped"],
    ["2", "wrong usage"],
    ["4", "what one does cannot be told"],
  ],
  examples: [
    ["tend stop web", "stops the daemon of RUNDIR/web.pid"],
    ["tend stop --timeout=1m db", "gives it a minute to end by itself"],
    ["tend stop --all", "stops all daemons of RUNDIR"],
  ],
  run: (call) => {
    const { given } = call;
    const options = {
      signal: readSignal(given, undefined),
      timeout: readDuration(given, "timeout", undefined),
      killGroup: given.some(({ name }) => name === "kill-group"),
    };
    return act(call, {
      participle: "stopped",
      job: (pidfile, say) => stopDaemon(pidfile, options, say),
    });
  },
};
