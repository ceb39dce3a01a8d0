/**
 * `tend reopen`: has the files of daemons' output opened anew.
 *
 * @module
 */
import { reopenOutputs } from "../reopen_outputs.ts";
import { act, ACTION_JSON } from "./action_verb.ts";
import { readDuration } from "./duration_option.ts";
import { TARGET_OPTIONS, TARGETS } from "./target.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = [
  {
    name: "timeout",
    value: "required",
    placeholder: "DURATION",
    help: "wait no longer than that (default: 10s)",
  },
] as const;

const DEFAULT_TIMEOUT_MS = 10_000;

/** `tend reopen`. */
export const reopenVerb: Verb<
  typeof OPTIONS[number]["name"] | typeof TARGET_OPTIONS[number]["name"]
> = {
  name: "reopen",
  summary: "open the output files anew that were renamed",
  description:
    `For the postrotate of logrotate and its like, which rename the files of
--output, --stdout and --stderr. With --log-rotate or --log-timestamps a logger
writes to each: it opens FILE anew, or makes it. This returns when all have let
go of the old files, which can be compressed then; nothing is lost. A logger
that has outlived its monitor does so, too.

Without those options the daemon has the files itself, and cannot be told: use
copytruncate in logrotate.

${ACTION_JSON}`,
  groups: [{ title: "Options", options: [...OPTIONS, ...TARGET_OPTIONS] }],
  operands: TARGETS,
  statuses: [
    ["0", "all of them were opened anew"],
    ["1", "one was not, or does not run"],
    ["2", "wrong usage"],
    ["4", "what one does cannot be told"],
  ],
  examples: [
    ["tend reopen web", "opens the files of RUNDIR/web.pid's daemon anew"],
  ],
  run: (call) => {
    const timeout = readDuration(call.given, "timeout", DEFAULT_TIMEOUT_MS);
    return act(call, {
      participle: "reopened",
      job: (pidfile) => reopenOutputs(pidfile, timeout),
    });
  },
};
