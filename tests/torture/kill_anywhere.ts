/**
 * SIGKILL to each process of tend's right before each system call that it makes.
 *
 * @module
 */
import type { Plan } from "./life.ts";
import {
  COMMANDED,
  LOGGED,
  OPTIONED,
  READY,
  type Sleep,
  type Subject,
  TITLE,
} from "./lived_daemons.ts";
import { sweepRestarts } from "./restart_calls.ts";
import { type Budget, partOf, type Row } from "./row.ts";
import { lifeOf, type Trial, tryLife } from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";
import { lifeOfVerb, tryVerb, VERB_DEEDS } from "./verb_trial.ts";

/** What kills there are, with the rows of what was seen without any. */
export interface Kills {
  readonly rows: readonly Row[];
  readonly cases: readonly Case[];
}

/** For each of three restarts, call by call, where there is no time for all. */
const SHARE_OF_SWEEP = 0.05;

/** Kills parent, monitor, daemon and logger, and verbs. */
export async function killAnywhere(budget: Budget): Promise<Row[]> {
  const deadline = performance.now() + budget.seconds * 1000;
  const all = await Promise.all([
    killsInLives(COMMANDED, ""),
    killsInLives(
      LOGGED,
      " of a command with a logger",
      budget.extent === "brief" ? ["awake"] : ["asleep", "awake"],
    ),
    // What takes longest has no time there.
    ...budget.extent === "brief"
      ? []
      : [killsInLives(OPTIONED, " of a command with many options", ["awake"])],
    killsOfVerbs(budget.seed),
  ]);
  return [
    ...all.flatMap(({ rows }) => rows),
    // A command that says when it is ready is not launched, but forked.
    await sweepRestarts(
      "SIGKILL to a daemon that is restarted, call by call",
      READY,
      "kill",
      ["daemon"],
      partOf(budget, SHARE_OF_SWEEP),
    ),
    await sweepRestarts(
      "SIGKILL to a logger whose daemon is restarted, call by call",
      {
        ...LOGGED,
        command: ["--output=out.log", "--log-timestamps", "--ready=fd=3", "--"]
          .concat("/bin/sh", "-c")
          .concat(`echo one; echo >&3; exec 3>&-; exec ${TITLE}`),
      },
      "kill",
      ["logger"],
      partOf(budget, SHARE_OF_SWEEP),
    ),
    await sweepRestarts(
      "SIGKILL to a daemon that is restarted in one go, call by call",
      COMMANDED,
      "kill",
      ["daemon"],
      partOf(budget, SHARE_OF_SWEEP),
    ),
    ...await tryCases(all.flatMap(({ cases }) => cases), {
      ...budget,
      seconds: (deadline - performance.now()) / 1000,
    }),
  ];
}

/**
 * Kills of parent, monitor, daemon and logger, with a monitor that sleeps and one
 * not.
 *
 * @param subject The daemon.
 * @param whose Whose processes these are, for the table, if not a command's.
 * @param sleeps Whether their monitors sleep.
 */
export function killsInLives(
  subject: Subject,
  whose: string,
  sleeps: readonly Sleep[] = ["asleep", "awake"],
): Promise<Kills> {
  return together(
    sleeps.map((sleep) =>
      killsIn(
        `a life${whose} with a monitor ${sleep}, call by call`,
        lifeOf(subject, sleep),
        (plan) => ({
          what: `SIGKILL to ${plan.role}${whose}, monitor ${sleep}`,
          run: () => tryLife(subject, sleep, plan),
        }),
      )
    ),
  );
}

function killsOfVerbs(seed: number): Promise<Kills> {
  return together(VERB_DEEDS.map((deed, i) => {
    // Each has its turn with either kind of monitor.
    const sleep = (i + seed) % 2 === 0 ? "asleep" : "awake";
    return killsIn(
      `tend ${deed}, monitor ${sleep}, call by call`,
      lifeOfVerb(deed, sleep),
      (plan) => ({
        what: `SIGKILL to tend ${deed}, monitor ${sleep}`,
        run: () => tryVerb(deed, sleep, plan),
      }),
    );
  }));
}

async function together(kills: readonly Promise<Kills>[]): Promise<Kills> {
  const all = await Promise.all(kills);
  return {
    rows: all.flatMap(({ rows }) => rows),
    cases: all.flatMap(({ cases }) => cases),
  };
}

/** Sees which calls there are: at each there is a kill. */
async function killsIn(
  what: string,
  trial: Promise<Trial>,
  caseOf: (plan: Plan) => Case,
): Promise<Kills> {
  const { life, failures } = await trial;
  const held = failures.length === 0 ? 1 : 0;
  const counts = new Map<string, number>();
  const cases = (life?.calls ?? []).map(({ role }) => {
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    return caseOf({ role, index, what: "kill" });
  });
  return { rows: [{ what, tried: 1, held, failures }], cases };
}
