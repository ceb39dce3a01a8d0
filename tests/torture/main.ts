/**
 * The torture suite: prints what was tried, how often, and what held, and ends
 * with status 1 when something did not.
 *
 * `deno run -A tests/torture/main.ts [--minutes=N] [--seed=N] [SUBJECT]...`, or
 * with `--through`: then subjects whose cases can be counted (`kill`, `fail`,
 * `signal`, `library`, `rivals`, `hostile`) go on until all of them were tried, for hours.
 */
import { parseArgs } from "@std/cli/parse-args";
import { isAlive, pidsWithEnvironment } from "../proc.ts";
import type { Budget, Row } from "./row.ts";
import { type Subject, SUBJECTS } from "./subjects.ts";
import { failuresOf, TABLE_HEAD, tableLine } from "./table.ts";

const MINUTES = 9;
/** A run has ended then whatever happens; a longer one so much later. */
const MOST_MINUTES = 10;

const {
  minutes: givenMinutes,
  seed: givenSeed,
  through,
  _: names,
} = parseArgs(Deno.args, {
  string: ["minutes", "seed"],
  boolean: ["through"],
  unknown: (arg, key) => {
    if (key === undefined) return true;
    console.error(
      `torture: ${arg} is no option; there are --minutes, --seed, --through.`,
    );
    Deno.exit(2);
  },
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
const minutes = Number(givenMinutes ?? MINUTES);
if (!Number.isSafeInteger(seed) || !(minutes > 0)) {
  console.error("torture: --minutes and --seed are numbers.");
  Deno.exit(2);
}
console.log(`torture: seed ${seed}\n\n${TABLE_HEAD}`);

// All sandboxes are in there, so that their processes are known to be ours.
const place = await Deno.makeTempDir({ prefix: "tend-torture-" });
await Deno.chmod(place, 0o755);
Deno.env.set("TMPDIR", place);
const failures: string[] = [];
const end = performance.now() + minutes * 60_000;
const latest = through
  ? undefined
  : setTimeout(late, Math.max(1, minutes / MINUTES) * MOST_MINUTES * 60_000);
const left = [...wanted];
while (left.length > 0) {
  const subjects = left.map((name) => SUBJECTS[name]!);
  const weights = subjects.reduce((sum, { weight }) => sum + weight, 0);
  // One that needs more than its share takes it from those that follow.
  const seconds = Math.max(0, end - performance.now()) / 1000 *
    subjects[0]!.weight / weights;
  const extent = through ? "through" : "full";
  note(await rowsOf(left[0]!, subjects[0]!, { seconds, seed, extent }));
  left.shift();
}
clearTimeout(latest);
await finish();

/** Tries a subject; what it throws is a row that did not hold. */
async function rowsOf(
  name: string,
  { run }: Subject,
  budget: Budget,
): Promise<Row[]> {
  try {
    return await run(budget);
  } catch (error) {
    const text = error instanceof Error ? error.stack : String(error);
    const what = `${name}, to its end`;
    return [{ what, tried: 1, held: 0, failures: [`${what}: ${text}`] }];
  }
}

function note(rows: readonly Row[]): void {
  for (const row of rows) console.log(tableLine(row));
  failures.push(...failuresOf(rows));
}

/** What has no end is over. */
async function late(): Promise<void> {
  note(left.map((name, i) => ({
    what: i === 0 ? `${name}, to its end in time` : name,
    tried: i === 0 ? 1 : 0,
    held: 0,
    failures: [],
  })));
  await finish();
}

/** Says what did not hold, and leaves nothing of what has no end. */
async function finish(): Promise<never> {
  for (const failure of failures) console.log(`\n${failure}`);
  const ours = () => pidsWithEnvironment(`TEND_TEST_SANDBOX=${place}/`);
  // Again and again: one may have forked since we looked.
  for (let pids = ours(); pids.some(isAlive); pids = ours()) {
    for (const pid of pids.filter(isAlive)) killIfThere(pid);
  }
  await Deno.remove(place, { recursive: true });
  Deno.exit(failures.length > 0 ? 1 : 0);
}

function killIfThere(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
