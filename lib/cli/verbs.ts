/**
 * The table of verbs.
 *
 * What stands at the top of a verb's file is evaluated in each start of tend,
 * and those are measured: literals only, no work.
 *
 * @module
 */
import { completionsVerb } from "./completions.ts";
import { helpVerb } from "./help.ts";
import { manVerb } from "./man.ts";
import { runVerb } from "./run.ts";
import type { Verb } from "./verb.ts";

/** All verbs, in the order in which the help has them. */
export const VERBS: readonly Verb[] = [
  runVerb,
  helpVerb,
  manVerb,
  completionsVerb,
];
