/**
 * Files in the places of tend's own that somebody else has put there: in a
 * directory where anybody can, which another user owns.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Random } from "../random.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { hostileArguments } from "./hostile_arguments.ts";
import { hostileDatagrams } from "./hostile_datagrams.ts";
import { hostileMounts } from "./hostile_mounts.ts";
import { hostileNames } from "./hostile_names.ts";
import { hostileVerbs } from "./hostile_verbs.ts";
import {
  look,
  lstat,
  type Obstacle,
  OBSTACLES,
  obstruct,
  OWNERS,
  TIMEOUT,
} from "./obstacles.ts";
import { type Budget, leftOutRow, type Row } from "./row.ts";
import { Tally } from "./tally.ts";

/** Where it stands: PIDFILE and what is beside it, and the log. */
const PLACES = ["web.pid", "web.pid.tmp", "web.pid.monitor", "web.log"];

const MODES: readonly (readonly string[])[] = [
  [],
  ["--detach", "--monitor", "--sleep-after=0"],
  ["--detach", "--exec"],
];

/** Tries what stands in the way of tend's files. */
export async function hostileFiles(budget: Budget): Promise<Row[]> {
  // The rest is for the others.
  const deadline = Date.now() + budget.seconds * 400;
  const rows = new Map(PLACES.map((place) => [
    place,
    new Tally(`something else in the place of ${place}`),
  ]));
  const cases = OWNERS.flatMap((owner) =>
    OBSTACLES.flatMap((obstacle) =>
      PLACES.flatMap((place) =>
        MODES.map((mode) => ({ owner, obstacle, place, mode }))
      )
    )
  );
  const rest = new Random(budget.seed).shuffled(cases);
  // Where the time is short, some of them; two at once.
  await Promise.all([0, 1].map(async () => {
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      const isTried = [...rows.values()].every(({ tried }) => tried > 0);
      if (Date.now() > deadline && isTried) return;
      const { owner, obstacle, place, mode } = next;
      const { what } = obstacle;
      await rows.get(place)!.attempt(
        `${what} of user ${owner} as ${place}, tend ${mode.join(" ")}`,
        () => tryObstacle(obstacle, place, mode, owner),
      );
    }
  }));
  return [
    ...rows.values(),
    ...(OWNERS.length > 1
      ? []
      : [leftOutRow("such things of another user's", "needs root")]),
    ...await hostileVerbs({ ...budget, seconds: budget.seconds / 10 }),
    ...await hostileDatagrams({ ...budget, seconds: budget.seconds / 10 }),
    ...await hostileMounts(),
    ...await hostileNames({ ...budget, seconds: budget.seconds / 5 }),
    ...await hostileArguments(budget),
  ];
}

async function tryObstacle(
  obstacle: Obstacle,
  place: string,
  mode: readonly string[],
  owner: number,
): Promise<void> {
  const { what } = obstacle;
  await using box = await Sandbox.create();
  const { dir, path, victim } = await obstruct(box, { obstacle, place, owner });
  const before = { victim: look(victim), place: look(path) };
  const wasLink = lstat(path)?.isSymlink === true;
  const wasNothing = wasLink && what === "a link to nothing" &&
    place === "web.pid";
  const isForeign = (lstat(path)?.uid ?? 0) !== Deno.uid();

  const argv = [`--pidfile=${dir}/web.pid`, `--log-file=${dir}/web.log`];
  const finished = await box.run([
    ...TIMEOUT,
    TEND,
    ...mode,
    ...argv,
    "--",
    ...(mode.length === 0 ? ["true"] : ["sleep", "600"]),
  ]);
  const { code, stderr } = finished;
  assert(code === 0 || code === 1, `exit status ${code}: ${stderr}`);
  if (code === 1) {
    // A sentence for a person, after warnings of what was found.
    assertMatch(stderr, /^(?:\d{4}-\d\d-\d\dT\S+\|WARN\|.*\n)*tend: .+\n$/);
    assertMatch(stderr, /web\.(?:pid|log)/);
    assertEquals(look(path), before.place, "it was changed");
    assertEquals(box.processes(), []);
  } else {
    assertEquals(stderr, "");
    const now = lstat(path);
    // It was left alone, or one of ours is in its place. A link that leads
    // nowhere is no file, and a pidfile takes its name.
    const isOurs = now === undefined || now.isFile && now.uid === Deno.uid();
    if (isForeign && !wasNothing || !isOurs) {
      assertEquals(look(path), before.place, "it was changed");
    }
  }
  await endAll(box);
  // A link of our own is one that we want followed.
  if (!isForeign && wasLink && place === "web.log") return;
  assertEquals(look(victim), before.victim, "what is elsewhere was changed");
}

/** Ends the daemon as an administrator does. */
async function endAll(box: Sandbox): Promise<void> {
  for (const pid of box.processes()) {
    try {
      Deno.kill(pid, "SIGTERM");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  await box.until("all has ended", () => box.processes().length === 0);
}
