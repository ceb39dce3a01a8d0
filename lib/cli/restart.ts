/**
 * `tend restart`: has monitors start their daemons anew.
 *
 * @module
 */
import { restartDaemon } from "../restart_daemon.ts";
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
    help: "end the old daemon by SIGKILL if it has not ended\n" +
      "after that (default: its --stop-timeout, or 10s)",
  },
  {
    name: "signal",
    letter: "s",
    value: "required",
    placeholder: "SIG",
    help: "tell the old daemon by SIG\n(default: its --stop-signal, or TERM)",
  },
] as const;

/** `tend restart`. */
export const restartVerb: Verb<
  typeof OPTIONS[number]["name"] | typeof TARGET_OPTIONS[number]["name"]
> = {
  name: "restart",
  summary: "have daemons started anew by their monitors",
  description:
    `The monitor stays, ends its daemon and starts it anew as it was started first.
That is no crash, and is not throttled; one that backs off starts at once.
Returns when the new daemon is ready, and fails as its start does. What has no
tend that stays with it cannot be restarted: nobody knows its command. What the
old daemon has left, and does not end by SIGKILL either, is said on stderr; the
new one is started all the same.

${ACTION_JSON}`,
  groups: [{ title: "Options", options: [...OPTIONS, ...TARGET_OPTIONS] }],
  operands: TARGETS,
  statuses: [
    ["0", "all of them were restarted"],
    ["1", "one could not be restarted"],
    ["2", "wrong usage"],
    ["4", "what one does cannot be told"],
    [
      "other",
      "the status of a new daemon that failed; the highest\nof several",
    ],
  ],
  examples: [
    ["tend restart web", "restarts the daemon of RUNDIR/web.pid"],
    ["tend restart -s INT --all", "restarts all of RUNDIR, by SIGINT"],
  ],
  run: (call) => {
    const { given } = call;
    const options = {
      signal: readSignal(given, undefined),
      timeout: readDuration(given, "timeout", undefined),
    };
    return act(call, {
      participle: "restarted",
      job: (pidfile, say) => restartDaemon(pidfile, options, say),
    });
  },
};
