/**
 * Errors returned by each system call of tend's, and reads and writes of less
 * than was asked for.
 *
 * Only calls of our own code: what Deno's runtime calls before it runs the
 * program, and the memory that V8 asks for later, fail in Deno, not in tend. But
 * a monitor wakes up by it while its daemon runs, and that has to outlive it.
 *
 * @module
 */
import { Errno, strerror } from "../../ffi/libc.ts";
import { errorsOf, mayBeShort, nameOf } from "./calls.ts";
import type { Life, Made, Plan, Role } from "./life.ts";
import {
  COMMANDED,
  FILED,
  LOGGED,
  OPTIONED,
  READY,
  type Sleep,
  type Subject,
  WRITING,
} from "./lived_daemons.ts";
import { sweepRestarts } from "./restart_calls.ts";
import { type Budget, partOf, type Row } from "./row.ts";
import { lifeOf, type Trial, tryLife } from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";
import { lifeOfVerb, tryVerb, VERB_DEEDS } from "./verb_trial.ts";

/** For each of three restarts, call by call, where there is no time for all. */
const SHARE_OF_RESTARTS = 0.05;
/** Whose calls a logger of a monitor's makes others. */
const MONITORS: readonly Role[] = ["parent", "monitor", "daemon"];
/** So many calls fail while a disk is full. */
const FULL = 3;

/** Lets each call of parent, monitor, daemon and verbs fail in each way it can. */
export async function failAnywhere(budget: Budget): Promise<Row[]> {
  const deadline = performance.now() + budget.seconds * 1000;
  const cases = await Promise.all([
    failuresInLives(COMMANDED, ""),
    // One that wakes up while its daemon is not ready yet would be taken for one
    // that has nothing more to do.
    failuresInLives(READY, " of a monitor that waits for readiness", ["awake"]),
    // What its logger does is tried by one that has more to do.
    failuresInLives(LOGGED, " of a monitor with a logger", ["awake"], MONITORS),
    // What takes longest has no time there.
    ...budget.extent === "brief" ? [] : [
      failuresInLives(OPTIONED, " of a monitor with many options", ["awake"]),
      failuresInLives(FILED, " of a monitor that waits for a file", ["awake"]),
    ],
    failuresOfLoggers(),
    failuresIn(
      VERB_DEEDS,
      (deed) => lifeOfVerb(deed, "asleep"),
      (deed, plan) => ({
        what: `calls of tend ${deed} that fail`,
        run: () => tryVerb(deed, "asleep", plan),
      }),
    ),
  ]);
  return [
    // A command that says when it is ready is not launched, but forked.
    await sweepRestarts(
      "each call of a restart that fails, one by one",
      READY,
      "fail",
      ["monitor", "daemon"],
      partOf(budget, SHARE_OF_RESTARTS),
    ),
    await sweepRestarts(
      "each call of a restart in one go that fails, one by one",
      COMMANDED,
      "fail",
      ["monitor", "daemon"],
      partOf(budget, SHARE_OF_RESTARTS),
    ),
    ...budget.extent === "brief" ? [] : [
      await sweepRestarts(
        "each call of a restart with a logger that fails, one by one",
        LOGGED,
        "fail",
        ["monitor", "daemon"],
        partOf(budget, SHARE_OF_RESTARTS),
      ),
    ],
    // A minute by itself: others draw from these calls.
    ...budget.extent === "through"
      ? [
        await sweepRestarts(
          "each call of a restart with many options that fails, one by one",
          OPTIONED,
          "fail",
          ["monitor", "daemon"],
          budget,
        ),
      ]
      : [],
    ...await tryCases(cases.flat(), {
      ...budget,
      seconds: (deadline - performance.now()) / 1000,
    }),
  ];
}

/**
 * The ways in which each call of parent, monitor and daemon can fail.
 *
 * @param subject The daemon.
 * @param whose Whose processes these are, for the table, if not a command's.
 * @param sleeps Whether their monitors sleep.
 * @param roles Whose calls fail, if not all.
 */
export function failuresInLives(
  subject: Subject,
  whose: string,
  sleeps: readonly Sleep[] = ["asleep", "awake"],
  roles?: readonly Role[],
): Promise<Case[]> {
  return failuresIn(
    sleeps,
    (sleep) => lifeOf(subject, sleep),
    (sleep, plan) => ({
      what: plan.times !== undefined
        ? `a disk that is full for a while${whose}`
        : plan.role.startsWith("monitor ")
        ? `calls of a ${plan.role}${whose} that fail`
        : whose !== ""
        ? `calls${whose} that fail`
        : typeof plan.what === "number"
        ? `calls that fail: ${strerror(plan.what)}`
        : "reads and writes of less",
      run: () => tryLife(subject, sleep, plan),
    }),
    // Without a command, or before that is ready, the monitor's file alone shows
    // how far a life has come.
    ({ role, file }) =>
      (roles?.includes(role) ?? true) &&
      (subject === COMMANDED || !role.startsWith("monitor") ||
        file?.endsWith(".monitor") !== true),
  );
}

/** The ways in which each call of a logger that rotates can fail. */
function failuresOfLoggers(): Promise<Case[]> {
  return failuresIn(
    ["asleep"] as const,
    (sleep) => lifeOf(WRITING, sleep),
    (sleep, plan) => ({
      what: plan.what === "half"
        ? "reads and writes of less by a logger"
        : plan.times === undefined
        ? "calls of a logger that fail"
        : "a logger's disk that is full for a while",
      run: () => tryLife(WRITING, sleep, plan),
    }),
    ({ role }) => role === "logger",
  );
}

/** Sees which calls there are, and in which ways they can fail. */
async function failuresIn<K>(
  kinds: readonly K[],
  trialOf: (kind: K) => Promise<Trial>,
  caseOf: (kind: K, plan: Plan) => Case,
  mayFail: (call: Made) => boolean = () => true,
): Promise<Case[]> {
  const cases = await Promise.all(kinds.map(async (kind) => {
    const { life, failures } = await trialOf(kind);
    if (life === undefined || failures.length > 0) {
      throw new Error(failures.join("\n"));
    }
    return plansOf(life, mayFail).map((plan) => caseOf(kind, plan));
  }));
  return cases.flat();
}

function plansOf({ calls }: Life, mayFail: (call: Made) => boolean): Plan[] {
  const counts = new Map<string, number>();
  return calls.flatMap((call) => {
    const { role, number, file, second } = call;
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    if (isHandlers(call) || !mayFail(call)) return [];
    const isLogger = role === "logger";
    const ways: Plan["what"][] = [...errorsOf(number, file, second, isLogger)];
    if (mayBeShort(number, file, isLogger)) ways.push("half");
    const made = { number, file };
    return ways.flatMap((what) => [
      { role, index, what, call: made },
      // A disk that is full stays so for a while.
      ...what === Errno.ENOSPC
        ? [{ role, index, what, call: made, times: FULL }]
        : [],
    ]);
  });
}

/**
 * Whether a call is that of Deno's handler of signals, which wakes a thread by
 * one byte: without it the signal is lost, and we hear nothing of that.
 */
function isHandlers({ number, text }: Made): boolean {
  return nameOf(number) === "sendto" && text.endsWith(" 1");
}
