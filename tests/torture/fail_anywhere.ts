/**
 * Errors returned by each system call of tend's, and reads and writes of less
 * than was asked for.
 *
 * Only calls of our own code: what Deno's runtime calls before it runs the
 * program, and the memory that V8 asks for later, fail in Deno, not in tend.
 *
 * @module
 */
import { strerror } from "../../ffi/libc.ts";
import { errorsOf, mayBeShort } from "./calls.ts";
import type { Life, Plan } from "./life.ts";
import type { Budget, Row } from "./row.ts";
import { type Sleep, tryLife } from "./trial.ts";
import { type Case, tryCases } from "./trials.ts";

/** Lets each call of parent, monitor and daemon fail in each way it can. */
export async function failAnywhere(budget: Budget): Promise<Row[]> {
  const cases: Case[] = [];
  const start = performance.now();
  for (const sleep of ["asleep", "awake"] as const) {
    const { life, failures } = await tryLife(sleep, undefined);
    if (life === undefined) throw new Error(failures.join("\n"));
    cases.push(...casesOf(sleep, life));
  }
  const seconds = budget.seconds - (performance.now() - start) / 1000;
  return tryCases(cases, { ...budget, seconds });
}

function casesOf(sleep: Sleep, { calls }: Life): Case[] {
  const counts = new Map<string, number>();
  return calls.flatMap(({ role, number, file, second }) => {
    const index = counts.get(role) ?? 0;
    counts.set(role, index + 1);
    if (role === "waking") return [];
    const ways: Plan["what"][] = [...errorsOf(number, file, second)];
    if (mayBeShort(number, file)) ways.push("half");
    return ways.map((what) => ({
      what: typeof what === "number"
        ? `calls that fail: ${strerror(what)}`
        : "reads and writes of less",
      sleep,
      plan: { role, index, what, call: { number, file } },
    }));
  });
}
