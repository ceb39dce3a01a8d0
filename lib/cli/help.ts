/**
 * `tend help [VERB]`: says how tend or one of its verbs is used.
 *
 * @module
 */
import { fromBytes } from "../../ffi/c_string.ts";
import { UsageError } from "../options.ts";
import { print } from "./print.ts";
import { usage, verbUsage } from "./usage.ts";
import { findVerb, type Verb } from "./verb.ts";

/** `tend help`. */
export const helpVerb: Verb<never> = {
  name: "help",
  summary: "say how tend or one of its verbs is used",
  description:
    `Displays what 'tend --help' displays or, with VERB, what 'tend VERB --help'
does.`,
  groups: [],
  operands: { synopsis: "[VERB]", placeholder: "VERB", least: 0, most: 1 },
  statuses: [],
  examples: [
    ["tend help", "lists verbs and options"],
    ["tend help run", "tells all about running a command"],
  ],
  run: ({ operands: [word], verbs }) => {
    if (word === undefined) {
      print(usage(verbs));
      return 0;
    }
    const name = fromBytes(word);
    const verb = findVerb(verbs, name);
    if (verb === undefined) {
      const words = verbs.map(({ name }) => name);
      throw new UsageError(`unknown verb ${name}`, { word: name, words });
    }
    print(verbUsage(verb));
    return 0;
  },
};
