/**
 * `tend reload`: has daemons read their configuration again.
 *
 * @module
 */
import { Signal } from "../../ffi/signal.ts";
import { signalDaemon } from "../signal_daemon.ts";
import { act, ACTION_JSON } from "./action_verb.ts";
import { readSignal } from "./signal_option.ts";
import { TARGET_OPTIONS, TARGETS } from "./target.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = [
  {
    name: "signal",
    letter: "s",
    value: "required",
    placeholder: "SIG",
    help: "send SIG (default: HUP)",
  },
] as const;

/** `tend reload`. */
export const reloadVerb: Verb<
  typeof OPTIONS[number]["name"] | typeof TARGET_OPTIONS[number]["name"]
> = {
  name: "reload",
  summary: "have daemons reload, by SIGHUP",
  description:
    `Sends SIGHUP to the daemon, by which many read their configuration again. One
that does not know it ends.

${ACTION_JSON}`,
  groups: [{ title: "Options", options: [...OPTIONS, ...TARGET_OPTIONS] }],
  operands: TARGETS,
  statuses: [
    ["0", "all of them were told"],
    ["1", "one does not run, or is another user's"],
    ["2", "wrong usage"],
    ["4", "what one does cannot be told"],
  ],
  examples: [
    ["tend reload web", "sends SIGHUP to the daemon of RUNDIR/web.pid"],
    ["tend reload --signal=USR2 web", "sends SIGUSR2 instead"],
  ],
  run: (call) => {
    const signal = readSignal(call.given, Signal.SIGHUP);
    return act(call, {
      participle: "signalled",
      job: (pidfile) => signalDaemon(pidfile, signal),
    });
  },
};
