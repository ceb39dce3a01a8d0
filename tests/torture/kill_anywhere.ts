/**
 * SIGKILL to each process of tend's right before each system call that it makes.
 *
 * @module
 */
import type { Plan } from "./life.ts";
import { sweepRestarts } from "./restart_calls.ts";
import type { Budget, Row } from "./row.ts";
import {
  COMMANDED,
  LOGGED,
  READY,
  type Sleep,
  type Subject,
  TITLE,
  type Trial,
  tryLife,
} from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";
import { tryVerb, VERB_DEEDS } from "./verb_trial.ts";

/** A monitor that is awake takes longer to have nothing more to do. */
const SHARES: Readonly<Record<Sleep, number>> = { asleep: 0.7, awake: 0.3 };
/** Kills parent, monitor, daemon and logger, and verbs. */
export async function killAnywhere(budget: Budget): Promise<Row[]> {
  const share = (part: number) => ({
    ...budget,
    seconds: budget.seconds * part,
  });
  return [
    ...await killInLives(COMMANDED, "", share(0.4)),
    ...await killInLives(LOGGED, " of a command with a logger", share(0.2)),
    ...await killVerbs(share(0.25)),
    // A command that says when it is ready is not launched, but forked.
    await sweepRestarts(
      "SIGKILL to a daemon that is restarted, call by call",
      READY,
      "kill",
      ["daemon"],
      share(0.05),
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
      share(0.05),
    ),
    await sweepRestarts(
      "SIGKILL to a daemon that is restarted in one go, call by call",
      COMMANDED,
      "kill",
      ["daemon"],
      share(0.05),
    ),
  ];
}

/**
 * Kills parent, monitor, daemon and logger, with a monitor that sleeps and one not.
 *
 * @param subject The daemon.
 * @param whose Whose processes these are, for the table, if not a command's.
 * @param budget The budget.
 */
export async function killInLives(
  subject: Subject,
  whose: string,
  budget: Budget,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const sleep of ["asleep", "awake"] as const) {
    rows.push(
      ...await killedIn(
        `a life${whose} with a monitor ${sleep}, call by call`,
        () => tryLife(subject, sleep, undefined),
        (plan) => ({
          what: `SIGKILL to ${plan.role}${whose}, monitor ${sleep}`,
          run: () => tryLife(subject, sleep, plan),
        }),
        { ...budget, seconds: budget.seconds * SHARES[sleep] },
      ),
    );
  }
  return rows;
}

async function killVerbs(budget: Budget): Promise<Row[]> {
  const rows: Row[] = [];
  const seconds = budget.seconds / VERB_DEEDS.length;
  for (const [i, deed] of VERB_DEEDS.entries()) {
    // Each has its turn with either kind of monitor.
    const sleep = (i + budget.seed) % 2 === 0 ? "asleep" : "awake";
    rows.push(
      ...await killedIn(
        `tend ${deed}, monitor ${sleep}, call by call`,
        () => tryVerb(deed, sleep, undefined),
        (plan) => ({
          what: `SIGKILL to tend ${deed}, monitor ${sleep}`,
          run: () => tryVerb(deed, sleep, plan),
        }),
        { ...budget, seconds },
      ),
    );
  }
  return rows;
}

/** Sees which calls there are, and kills at each, for as long as there is time. */
async function killedIn(
  what: string,
  run: () => Promise<Trial>,
  caseOf: (plan: Plan) => Case,
  budget: Budget,
): Promise<Row[]> {
  const start = performance.now();
  const { life, failures } = await run();
  const held = failures.length === 0 ? 1 : 0;
  const rows: Row[] = [{ what, tried: 1, held, failures }];
  if (life === undefined) return rows;
  const counts = new Map<string, number>();
  const cases = life.calls.map(({ role }) => {
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    return caseOf({ role, index, what: "kill" });
  });
  const seconds = budget.seconds - (performance.now() - start) / 1000;
  return [...rows, ...await tryCases(cases, { ...budget, seconds })];
}
