/**
 * Verbs about daemons whose files are something else, which somebody has put
 * there.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { shown } from "../monitored.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import {
  lchown,
  LOCKED,
  lstat,
  obstruct,
  OWNERS,
  type Placing,
  placings,
  share,
  TIMEOUT,
} from "./obstacles.ts";
import { type Budget, partOf, type Row } from "./row.ts";
import { drawn } from "./drawn.ts";
import { Tally } from "./tally.ts";

const PLACES = ["web.pid", "web.pid.monitor"];
const VERBS = ["status", "stop", "restart", "wait --timeout=100ms", "reload"]
  .concat("kill", "logs", "logs -f", "reopen");
const IS_ROOT = Deno.uid() === 0;
const SIGNALLING = ["stop", "reload", "kill"];

/** Tries verbs on what nobody's daemon has made. */
export async function hostileVerbs(
  budget: Budget,
): Promise<Row[]> {
  const half = partOf(budget, 1 / 2);
  const cases = placings(PLACES, VERBS);
  const row = new Tally(
    "verbs where a daemon's files are something else",
    cases.length,
  );
  for (const next of drawn(cases, half)) {
    const { owner, obstacle, place, way: verb } = next;
    await row.attempt(
      `${obstacle.what} of user ${owner} as ${place}, tend ${verb}`,
      () => tryVerb(next),
    );
  }
  return [row, await names(half)];
}

/** Verbs about what leads to a daemon that runs, by another user's doing. */
async function names(budget: Budget): Promise<Row> {
  await using box = await Sandbox.create();
  const { dir } = share(box);
  const { code, stderr } = await box.tend(
    ...["--detach", "--monitor", "--pidfile=web.pid"],
    ...[`--output=${box.path("web.out")}`, "--", "sleep", "600"],
  );
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidfile("web.pid")!;
  const cases = [["web.pid"], PLACES, ["web.pid.monitor"]].flatMap((places) =>
    VERBS.flatMap((verb) =>
      (IS_ROOT ? ["link", "second name"] : ["second name"]).map((kind) => ({
        places,
        verb,
        kind,
      }))
    )
  );
  const row = new Tally(
    "verbs on another user's name of a daemon that runs",
    cases.length,
  );
  const isEnough = () => row.tried >= LEAST;
  for (const { places, verb, kind } of drawn(cases, budget, isEnough)) {
    await row.attempt(`a ${kind} as ${places}, tend ${verb}`, async () => {
      for (const place of places) {
        const path = `${dir}/${place}`;
        if (kind === "second name") {
          Deno.linkSync(box.runPath(place), path);
        } else {
          Deno.symlinkSync(box.runPath(place), path);
          await lchown(path, OWNERS.at(-1)!);
        }
      }
      const { code, stdout, stderr } = await box.run(
        [...TIMEOUT, TEND, ...verb.split(" "), `${dir}/web.pid`],
      );
      places.forEach((place) => Deno.removeSync(`${dir}/${place}`));
      assertEquals(code, 4, stderr);
      assertMatch(stdout + stderr, REFUSAL);
      assertEquals(box.pidfile("web.pid"), daemon);
      assertEquals(shown(box)?.phase, "running");
    });
  }
  return row;
}

/** Enough of them for each way in which it could go wrong. */
const LEAST = 8;

const REFUSAL =
  /link of user \d+|has another name too|Too many levels|only its monitor could say/;

async function tryVerb(
  { way: verb, ...how }: Placing & { readonly way: string },
): Promise<void> {
  await using box = await Sandbox.create();
  await using put = await obstruct(share(box), how);
  const { dir, path, isForeign } = put;
  const [name = "", ...options] = verb.split(" ");
  const { code, stdout, stderr } = await box.run(
    [...TIMEOUT, TEND, name, ...options, `${dir}/web.pid`],
  );
  const said = `exit status ${code}: ${stdout}${stderr}`;
  assert([0, 1, 3, 4].includes(code), said);
  assertMatch(stderr, /^(?:tend: .+\n)*$/);
  // What cannot be done is said, and so is what cannot be told.
  assert(code === 0 || `${stdout}${stderr}` !== "", said);
  // A stale file of ours is removed, by who stops.
  const isRemoved = lstat(path) === undefined && !isForeign && name === "stop";
  if (!isRemoved) put.assertUntouched();
  // By the lock that process is the daemon.
  const isDaemon = how.obstacle.what === LOCKED && how.place === "web.pid" &&
    SIGNALLING.includes(name);
  if (!isDaemon) await put.assertRestUntouched();
  assertEquals(box.processes(), []);
}
