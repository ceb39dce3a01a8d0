/**
 * Files in the places of tend's own that somebody else has put there: in a
 * directory where anybody can, which another user owns.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Sandbox, TEND } from "../sandbox.ts";
import { drawn } from "./drawn.ts";
import { hostileArguments } from "./hostile_arguments.ts";
import { hostileDatagrams } from "./hostile_datagrams.ts";
import { hostileMounts } from "./hostile_mounts.ts";
import { hostileNames } from "./hostile_names.ts";
import { hostileOutputs } from "./hostile_outputs.ts";
import { hostileRestarts } from "./hostile_restarts.ts";
import { hostileSockets } from "./hostile_sockets.ts";
import { hostileVariables } from "./hostile_variables.ts";
import { hostileVerbs } from "./hostile_verbs.ts";
import {
  isPassedOver,
  lstat,
  obstruct,
  OWNERS,
  type Placing,
  placings,
  share,
  TIMEOUT,
} from "./obstacles.ts";
import { type Budget, leftOutRow, partOf, type Row } from "./row.ts";
import { Tally } from "./tally.ts";

/** Where it stands: PIDFILE and what is beside it, the log, and the output. */
const PLACES = ["web.pid", "web.pid.tmp", "web.pid.monitor", "web.log"]
  .concat("web.out", "web.out.1", "web.out.2");

/** Which of them may be links, where these are ours. */
const FOLLOWED = ["web.log", "web.out"];

/** Writes several times what a file holds where there is one for each KiB. */
const WRITE = "seq 1 1000 && exec sleep $1";

const MODES: readonly (readonly string[])[] = [
  [],
  ["--detach", "--monitor", "--sleep-after=0"],
  ["--detach", "--exec"],
];

/** Tries what stands in the way of tend's files. */
export async function hostileFiles(budget: Budget): Promise<Row[]> {
  // Without a tend that stays nothing is rotated.
  const cases = placings(PLACES, MODES)
    .filter(({ place, way }) => !isOlder(place) || !way.includes("--exec"))
    // Who writes there writes nothing, again and again, and never ends.
    .filter(({ place, owner, obstacle: { what } }) =>
      place !== "web.out" || owner !== OWNERS[0] ||
      what !== "a link to /proc/self/mem"
    );
  const rows = new Map(PLACES.map((place) => [
    place,
    new Tally(
      `something else in the place of ${place}`,
      cases.filter((one) => one.place === place).length,
    ),
  ]));
  const isEnough = () => [...rows.values()].every(({ tried }) => tried > 0);
  // The rest of the time is for the others.
  const draw = drawn(cases, partOf(budget, 0.3), isEnough);
  // Two at once.
  await Promise.all([0, 1].map(async () => {
    for (const next of draw) {
      const { owner, obstacle, place, way: mode } = next;
      const { what } = obstacle;
      await rows.get(place)!.attempt(
        `${what} of user ${owner} as ${place}, tend ${mode.join(" ")}`,
        () => tryObstacle(next),
      );
    }
  }));
  return [
    ...rows.values(),
    ...(OWNERS.length > 1
      ? []
      : [leftOutRow("such things of another user's", "needs root")]),
    ...await hostileVerbs(partOf(budget, 1 / 10)),
    ...await hostileVariables(partOf(budget, 1 / 20)),
    ...await hostileRestarts(partOf(budget, 1 / 10)),
    ...await hostileOutputs(partOf(budget, 1 / 20)),
    ...await hostileSockets(partOf(budget, 1 / 20)),
    ...await hostileDatagrams(partOf(budget, 1 / 10)),
    ...await hostileMounts(),
    ...await hostileNames(partOf(budget, 1 / 10)),
    ...await hostileArguments(budget),
  ];
}

async function tryObstacle(
  { way: mode, ...how }: Placing & { readonly way: readonly string[] },
): Promise<void> {
  const { place } = how;
  await using box = await Sandbox.create();
  await using put = await obstruct(share(box), how);
  const { dir, path, isForeign } = put;
  const wasLink = lstat(path)?.isSymlink === true;

  // So much is logged that something is.
  const argv = [`--pidfile=${dir}/web.pid`, `--log-file=${dir}/web.log`]
    .concat("-v=file:dbg");
  if (place.startsWith("web.out")) argv.push(`--output=${dir}/web.out`);
  if (isOlder(place)) argv.push("--log-rotate=1K,2");
  const finished = await box.run([
    ...TIMEOUT,
    TEND,
    ...mode,
    ...argv,
    ...["--", "sh", "-c", WRITE, "sh", mode.length === 0 ? "0" : "600"],
  ]);
  const { code, stderr } = finished;
  assert(code === 0 || code === 1, `exit status ${code}: ${stderr}`);
  if (code === 1) {
    // A sentence for a person, after warnings of what was found.
    assertMatch(stderr, /^(?:\d{4}-\d\d-\d\dT\S+\|WARN\|.*\n)*tend: .+\n$/);
    assertMatch(stderr, /web\.(?:pid|log|out)/);
    put.assertUntouched();
    assertEquals(box.processes(), []);
  } else {
    // A log that refuses to be written is told, and stops nobody.
    const told = place === "web.log"
      ? "tend: .*web\\.log: write failed .*\n"
      : "";
    assertMatch(stderr, RegExp(`^(?:${told})*$`));
    // It was left alone, or one of ours is in its place: in this order, for
    // rotation takes it away at any moment.
    if (isForeign && !isPassedOver(how)) put.assertUntouched();
    if (!put.isUntouched) {
      const now = lstat(path);
      assert(now === undefined || now.isFile && now.uid === Deno.uid());
    }
  }
  await endAll(box);
  // A link of our own is one that we want followed.
  if (!isForeign && wasLink && FOLLOWED.includes(place)) return;
  await put.assertRestUntouched();
}

/** Whether a name is one that rotation gives. */
function isOlder(place: string): boolean {
  return place.startsWith("web.out.");
}

/** Ends the daemon as an administrator does, and what it forks meanwhile. */
async function endAll(box: Sandbox): Promise<void> {
  const told = new Set<number>();
  await box.until("all has ended", () => {
    const pids = box.processes();
    for (const pid of pids.filter((pid) => !told.has(pid))) {
      told.add(pid);
      try {
        Deno.kill(pid, "SIGTERM");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return pids.length === 0;
  });
}
