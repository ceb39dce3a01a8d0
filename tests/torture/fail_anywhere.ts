/**
 * Errors returned by each system call of tend's, and reads and writes of less
 * than was asked for.
 *
 * Only calls of our own code: what Deno's runtime calls before it runs the
 * program, and the memory that V8 asks for later, fail in Deno, not in tend.
 *
 * @module
 */
import { Errno, strerror } from "../../ffi/libc.ts";
import { errorsOf, mayBeShort, nameOf } from "./calls.ts";
import type { Life, Made, Plan } from "./life.ts";
import { sweepRestarts } from "./restart_calls.ts";
import type { Budget, Row } from "./row.ts";
import {
  COMMANDED,
  READY,
  type Sleep,
  type Subject,
  type Trial,
  tryLife,
  WRITING,
} from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";
import { tryVerb, VERB_DEEDS } from "./verb_trial.ts";

/** For lives; the rest is for verbs. */
const SHARE_OF_LIVES = 0.4;
/** For lives of one that says when it is ready. */
const SHARE_OF_READY = 0.15;
/** For each of two restarts, call by call. */
const SHARE_OF_RESTARTS = 0.1;
/** For loggers of one that writes. */
const SHARE_OF_LOGGERS = 0.2;
const SHARE_OF_VERBS = 1 - SHARE_OF_LIVES - SHARE_OF_READY -
  SHARE_OF_LOGGERS - 2 * SHARE_OF_RESTARTS;
/** So many calls fail while a disk is full. */
const FULL = 3;

/** Lets each call of parent, monitor, daemon and verbs fail in each way it can. */
export async function failAnywhere(budget: Budget): Promise<Row[]> {
  const restarts = { ...budget, seconds: budget.seconds * SHARE_OF_RESTARTS };
  return [
    // A command that says when it is ready is not launched, but forked.
    await sweepRestarts(
      "each call of a restart that fails, one by one",
      READY,
      "fail",
      ["monitor", "daemon"],
      restarts,
    ),
    await sweepRestarts(
      "each call of a restart in one go that fails, one by one",
      COMMANDED,
      "fail",
      ["monitor", "daemon"],
      restarts,
    ),
    ...await failInLives(COMMANDED, "", {
      ...budget,
      seconds: budget.seconds * SHARE_OF_LIVES,
    }),
    // One that wakes up while its daemon is not ready yet would be taken for one
    // that has nothing more to do.
    ...await failInLives(READY, " of a monitor that waits for readiness", {
      ...budget,
      seconds: budget.seconds * SHARE_OF_READY,
    }, ["awake"]),
    ...await failInLoggers({
      ...budget,
      seconds: budget.seconds * SHARE_OF_LOGGERS,
    }),
    ...await failingIn(
      VERB_DEEDS,
      (deed, plan) => tryVerb(deed, "asleep", plan),
      (deed) => `calls of tend ${deed} that fail`,
      {
        ...budget,
        seconds: budget.seconds * SHARE_OF_VERBS,
      },
    ),
  ];
}

/**
 * Lets each call of parent, monitor and daemon fail in each way it can.
 *
 * @param subject The daemon.
 * @param whose Whose processes these are, for the table, if not a command's.
 * @param budget The budget.
 * @param sleeps Whether their monitors sleep.
 */
export function failInLives(
  subject: Subject,
  whose: string,
  budget: Budget,
  sleeps: readonly Sleep[] = ["asleep", "awake"],
): Promise<Row[]> {
  return failingIn(
    sleeps,
    (sleep, plan) => tryLife(subject, sleep, plan),
    (_, { what, times }) =>
      times !== undefined
        ? `a disk that is full for a while${whose}`
        : whose !== ""
        ? `calls${whose} that fail`
        : typeof what === "number"
        ? `calls that fail: ${strerror(what)}`
        : "reads and writes of less",
    budget,
    // Without a command, or before that is ready, the monitor's file alone shows
    // how far a life has come.
    ({ role, file }) =>
      subject === COMMANDED || role !== "monitor" ||
      file?.endsWith(".monitor") !== true,
  );
}

/** Lets each call of a logger that rotates fail in each way it can. */
export function failInLoggers(budget: Budget): Promise<Row[]> {
  return failingIn(
    ["asleep"] as const,
    (sleep, plan) => tryLife(WRITING, sleep, plan),
    (_, { what, times }) =>
      what === "half"
        ? "reads and writes of less by a logger"
        : times === undefined
        ? "calls of a logger that fail"
        : "a logger's disk that is full for a while",
    budget,
    ({ role }) => role === "logger",
  );
}

/** Sees which calls there are, and has them fail, for as long as there is time. */
async function failingIn<K>(
  kinds: readonly K[],
  run: (kind: K, plan: Plan | undefined) => Promise<Trial>,
  whatOf: (kind: K, plan: Plan) => string,
  budget: Budget,
  mayFail: (call: Made) => boolean = () => true,
): Promise<Row[]> {
  const cases: Case[] = [];
  const start = performance.now();
  for (const kind of kinds) {
    const { life, failures } = await run(kind, undefined);
    if (life === undefined || failures.length > 0) {
      throw new Error(failures.join("\n"));
    }
    cases.push(
      ...plansOf(life, mayFail).map((plan) => ({
        what: whatOf(kind, plan),
        run: () => run(kind, plan),
      })),
    );
  }
  const seconds = budget.seconds - (performance.now() - start) / 1000;
  return tryCases(cases, { ...budget, seconds });
}

/** The ways in which each call of a life can fail. */
export function plansOf(
  { calls }: Life,
  mayFail: (call: Made) => boolean = () => true,
): Plan[] {
  const counts = new Map<string, number>();
  return calls.flatMap((call) => {
    const { role, number, file, second } = call;
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    if (role === "waking" || isHandlers(call) || !mayFail(call)) return [];
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
