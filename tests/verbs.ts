/**
 * A table of verbs for tests alone: verbs about daemons, whatever verbs tend has.
 *
 * @module
 */
import { readSignal } from "../lib/cli/signal_option.ts";
import { readTargets, TARGET_OPTIONS, TARGETS } from "../lib/cli/target.ts";
import type { Verb, VerbCall } from "../lib/cli/verb.ts";
import { VERBS } from "../lib/cli/verbs.ts";
import type { Option } from "../lib/options.ts";

const SIGNAL_OPTION = {
  name: "signal",
  letter: "s",
  value: "required",
  placeholder: "SIG",
  help: "the signal [to send]: it's HUP\nby default",
} as const satisfies Option;

const TIMEOUT_OPTION = {
  name: "timeout",
  value: "required",
  placeholder: "DURATION",
  help: "wait for so long",
} as const satisfies Option;

const LOG_OPTION = {
  name: "log-file",
  value: "optional",
  placeholder: "FILE",
  help: "log to FILE",
} as const satisfies Option;

/** A verb about daemons. */
function verbOf(name: string, options: readonly Option[]): Verb {
  return {
    name,
    summary: `${name} what's named`,
    description: `Does it to each TARGET.\n\n.And says so.`,
    groups: [{ title: "Options", options: [...options, ...TARGET_OPTIONS] }],
    operands: TARGETS,
    statuses: [["0", "done"], ["3", "not running"]],
    examples: [[`tend ${name} web`, "does it to web"]],
    run: () => 0,
  };
}

/** `tend poke -s SIG TARGET...` */
export const pokeVerb: Verb = verbOf("poke", [SIGNAL_OPTION]);

/** tend's own verbs, and some that are about daemons. */
export const TEST_VERBS: readonly Verb[] = [
  ...VERBS,
  pokeVerb,
  verbOf("settle", [TIMEOUT_OPTION, SIGNAL_OPTION, LOG_OPTION]),
];

/** What a verb about daemons makes of its words. */
export function read(
  call: VerbCall,
): { targets: string[]; json: boolean; signal: number } {
  return {
    targets: readTargets(call as VerbCall<"all">)
      .map(({ name, pidfile }) => `${name} ${pidfile}`),
    json: call.given.some(({ name }) => name === "json"),
    signal: readSignal(call.given, 1),
  };
}
