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
import { logsVerb } from "./logs.ts";
import { manVerb } from "./man.ts";
import { killVerb } from "./kill.ts";
import { listVerb } from "./list.ts";
import { reloadVerb } from "./reload.ts";
import { reopenVerb } from "./reopen.ts";
import { restartVerb } from "./restart.ts";
import { runVerb } from "./run.ts";
import { statusVerb } from "./status.ts";
import { stopVerb } from "./stop.ts";
import { waitVerb } from "./wait.ts";
import type { Verb } from "./verb.ts";

/** All verbs, in the order in which the help has them. */
export const VERBS: readonly Verb[] = [
  runVerb,
  statusVerb,
  stopVerb,
  restartVerb,
  reloadVerb,
  killVerb,
  waitVerb,
  logsVerb,
  reopenVerb,
  listVerb,
  helpVerb,
  manVerb,
  completionsVerb,
];
