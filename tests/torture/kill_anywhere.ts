/**
 * SIGKILL to each process of tend's right before each system call that it makes.
 *
 * @module
 */
import type { Life } from "./life.ts";
import type { Budget, Row } from "./row.ts";
import { type Sleep, tryLife } from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";

/** A monitor that is awake takes longer to have nothing more to do. */
const SHARES: Readonly<Record<Sleep, number>> = { asleep: 0.7, awake: 0.3 };

/** Kills parent, monitor and daemon, with a monitor that sleeps and one not. */
export async function killAnywhere(budget: Budget): Promise<Row[]> {
  const rows: Row[] = [];
  for (const sleep of ["asleep", "awake"] as const) {
    const seconds = budget.seconds * SHARES[sleep];
    const start = performance.now();
    const { life, failures } = await tryLife(sleep, undefined);
    const what = `a life with a monitor ${sleep}, call by call`;
    const held = failures.length === 0 ? 1 : 0;
    rows.push({ what, tried: 1, held, failures });
    if (life === undefined) continue;
    const spent = (performance.now() - start) / 1000;
    rows.push(
      ...await tryCases(casesOf(sleep, life), {
        ...budget,
        seconds: seconds - spent,
      }),
    );
  }
  return rows;
}

function casesOf(sleep: Sleep, { calls }: Life): Case[] {
  const counts = new Map<string, number>();
  return calls.map(({ role }) => {
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    return {
      what: `SIGKILL to ${role}, monitor ${sleep}`,
      sleep,
      plan: { role, index, what: "kill" },
    };
  });
}
