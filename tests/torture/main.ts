/**
 * The torture suite: prints what was tried, how often, and what held, and ends
 * with status 1 when something did not.
 *
 * `deno run -A tests/torture/main.ts [--minutes=N] [--seed=N] [SUBJECT]...`
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Row, troubleOf } from "./row.ts";
import { SUBJECTS } from "./subjects.ts";
import { tableOf } from "./table.ts";

const MINUTES = 9;

const { minutes, seed: givenSeed, _: names } = parseArgs(Deno.args, {
  string: ["minutes", "seed"],
});
const wanted = names.length === 0 ? Object.keys(SUBJECTS) : names.map(String);
const stranger = wanted.find((name) => !Object.hasOwn(SUBJECTS, name));
if (stranger !== undefined) {
  const known = Object.keys(SUBJECTS).join(", ");
  console.error(
    `torture: no subject is called ${stranger}; there are ${known}.`,
  );
  Deno.exit(2);
}
const seed = Number(givenSeed ?? Date.now() % 2 ** 31);
const seconds = Number(minutes ?? MINUTES) * 60;
if (!Number.isSafeInteger(seed) || !(seconds > 0)) {
  console.error("torture: --minutes and --seed are numbers.");
  Deno.exit(2);
}
console.log(`torture: seed ${seed}`);

const subjects = wanted.map((name) => SUBJECTS[name]!);
const weights = subjects.reduce((sum, { weight }) => sum + weight, 0);
const rows: Row[] = [];
for (const { run, weight } of subjects) {
  rows.push(...await run({ seconds: seconds * weight / weights, seed }));
}
console.log(tableOf(rows));
if (rows.some((row) => troubleOf(row) !== undefined)) Deno.exit(1);
