/**
 * `tend kill`: sends a signal to daemons.
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
    help: "send SIG (default: TERM)",
  },
] as const;

/** `tend kill`. */
export const killVerb: Verb<
  typeof OPTIONS[number]["name"] | typeof TARGET_OPTIONS[number]["name"]
> = {
  name: "kill",
  summary: "send a signal to daemons",
  description:
    `Sends a signal to the daemon, and to nobody else: not to its monitor, and not
to another process that has its number by now. It does not wait for an effect.
A monitor restarts a daemon that dies of an error signal, as of SEGV.

${ACTION_JSON}`,
  groups: [{ title: "Options", options: [...OPTIONS, ...TARGET_OPTIONS] }],
  operands: TARGETS,
  statuses: [
    ["0", "it was sent to all of them"],
    ["1", "one does not run, or is another user's"],
    ["2", "wrong usage"],
    ["4", "what one does cannot be told"],
  ],
  examples: [
    ["tend kill -s USR1 web", "sends SIGUSR1 to the daemon of RUNDIR/web.pid"],
  ],
  run: (call) => {
    const signal = readSignal(call.given, Signal.SIGTERM);
    return act(call, {
      participle: "signalled",
      job: (pidfile) => signalDaemon(pidfile, signal),
    });
  },
};
