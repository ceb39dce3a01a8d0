/**
 * What the verbs have in common that do something to daemons.
 *
 * @module
 */
import { getrlimit, RLIMIT_NOFILE, setrlimit } from "../../ffi/limit.ts";
import {
  type Achieved,
  type ActionResult,
  type Say,
  withFailures,
} from "../action.ts";
import { type Job, runTogether } from "../together.ts";
import { oneLine } from "../vlog.ts";
import { setLevels } from "../vlog_levels.ts";
import { writeConsole } from "../vlog_sinks.ts";
import { print } from "./print.ts";
import { readTargets, type Target } from "./target.ts";
import type { VerbCall } from "./verb.ts";

/** What their JSON holds, for the help. */
export const ACTION_JSON =
  `With --json an array is printed, of an object for each TARGET: name, pidfile,
done (what was done, or null), state, pid, monitor, error (or null), messages.`;

/** An action of a verb. */
export interface VerbAction {
  /** What is not done when it fails: `stopped`. */
  readonly participle: string;
  /**
   * Makes the job.
   *
   * @param pidfile The daemon's pidfile.
   * @param say Is told what happens.
   */
  job(pidfile: string, say: Say): Job<Achieved>;
}

/**
 * Does something to all daemons that a verb is about, side by side.
 *
 * @param call How the verb is called.
 * @param action What is done.
 * @returns The exit status: the highest of all of them.
 */
export function act(
  call: Pick<VerbCall, "given" | "operands">,
  { participle, job }: VerbAction,
): number {
  const isJson = call.given.some(({ name }) => name === "json");
  const targets = readTargets(call);
  // The verb says itself what its user is to know.
  setLevels("console:off");
  raiseDescriptorLimit();
  const notes: string[] = [];
  const messages = targets.map((): string[] => []);
  const jobs = targets.map(({ name, pidfile }, i) =>
    reporting(
      name,
      withFailures(pidfile, participle, job(pidfile, sayFor(name, i))),
    )
  );
  const results = runTogether(jobs);
  // Only now: if nobody reads it any more, that must not keep us from the rest.
  if (isJson) {
    const objects = results.map((result, i) =>
      toObject(targets[i]!, result, messages[i]!)
    );
    print(`${JSON.stringify(objects, null, 2)}\n`);
  } else if (notes.length > 0) {
    print(notes.join(""));
  }
  return Math.max(0, ...results.map(({ status }) => status));

  function sayFor(name: string, index: number): Say {
    return {
      note: (text) => {
        messages[index]!.push(text);
        notes.push(`${oneLine(name)}: ${text}\n`);
      },
      warn: (text) => {
        messages[index]!.push(text);
        complain(name, text);
      },
    };
  }
}

/** Says why one failed when it fails, and not when all are done. */
function* reporting(name: string, job: Job<ActionResult>): Job<ActionResult> {
  const result = yield* job;
  if (result.error !== undefined) complain(name, result.error);
  return result;
}

/**
 * Says on stderr what is wrong with a daemon.
 *
 * @param name What it is called.
 * @param text What is wrong.
 */
export function complain(name: string, text: string): void {
  writeConsole(`tend: ${oneLine(name)}: ${oneLine(text)}\n`);
}

function toObject(
  { name, pidfile }: Target,
  { done, state, pid, monitor, error }: ActionResult,
  messages: readonly string[],
): Record<string, unknown> {
  return {
    name,
    pidfile,
    done: done ?? null,
    state,
    pid: pid ?? null,
    monitor: monitor ?? null,
    error: error ?? null,
    messages,
  };
}

/**
 * Has as many descriptors be open as may be: there are some for each daemon, and
 * one for each process of a tree that is ended.
 */
export function raiseDescriptorLimit(): void {
  const { hard } = getrlimit(RLIMIT_NOFILE);
  setrlimit(RLIMIT_NOFILE, { soft: hard, hard });
}
