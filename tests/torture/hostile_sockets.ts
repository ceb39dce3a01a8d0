/**
 * What stands where readiness is looked for, where the manager of services is to
 * listen, and where the run directory is to be.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Sandbox, TEND } from "../sandbox.ts";
import {
  type Obstacle,
  OBSTACLES,
  obstruct,
  OWNERS,
  share,
  TIMEOUT,
} from "./obstacles.ts";
import type { Budget, Row } from "./row.ts";
import { drawn } from "./drawn.ts";
import { Tally } from "./tally.ts";

const TIME = "--ready-timeout=300ms";

/** What has the name, by what it is for. */
const USES = {
  "--ready=unix=": (path: string) => ({
    options: [`--ready=unix=${path}`, TIME],
  }),
  "--ready=file=": (path: string) => ({
    options: [`--ready=file=${path}`, TIME],
  }),
  "NOTIFY_SOCKET=": (path: string) => ({ env: { NOTIFY_SOCKET: path } }),
  "TEND_RUNDIR=": (path: string) => ({ env: { TEND_RUNDIR: path } }),
} as const;

/** Tries them. */
export async function hostileSockets(
  budget: Budget,
): Promise<Row[]> {
  const perUse = OWNERS.length * OBSTACLES.length;
  const rows = new Map(
    Object.keys(USES).map((use) => [
      use,
      new Tally(`something else in the place of ${use}…`, perUse),
    ]),
  );
  const cases = OWNERS.flatMap((owner) =>
    OBSTACLES.flatMap((obstacle) =>
      [...rows.keys()].map((use) => ({ owner, obstacle, use }))
    )
  );
  const isEnough = () => [...rows.values()].every(({ tried }) => tried > 0);
  for (const how of drawn(cases, budget, isEnough)) {
    const { owner, obstacle, use } = how;
    await rows.get(use)!.attempt(
      `${use} ${obstacle.what} of user ${owner}`,
      () => tryPlace(how),
    );
  }
  return [...rows.values()];
}

async function tryPlace(
  { use, ...how }: {
    readonly obstacle: Obstacle;
    readonly owner: number;
    readonly use: string;
  },
): Promise<void> {
  await using box = await Sandbox.create();
  await using put = await obstruct(share(box), { ...how, place: "web.sock" });
  const { path } = put;
  const wasLink = Deno.lstatSync(path).isSymlink;
  const { options = [], env = {} } = USES[use as keyof typeof USES](path) as {
    options?: string[];
    env?: Record<string, string>;
  };
  const { code, stderr } = await box.run([
    ...[...TIMEOUT, TEND, "--detach", "--monitor", "--pidfile=web.pid"],
    ...[...options, "--", "sleep", "600"],
  ], { env });
  assert(code === 0 || code === 1, `exit status ${code}: ${stderr}`);
  if (code === 1) {
    assertMatch(stderr, /^(?:\S+\|WARN\|.*\n)*tend: .+\n$/);
    assertMatch(stderr, /web\.(?:sock|pid)/);
    assertEquals(box.processes(), []);
  } else {
    assert(!use.startsWith("--ready"), "it is not ready, whatever is there");
    const stopped = await box.run(
      [...TIMEOUT, TEND, "stop", "web"],
      { env },
    );
    assertEquals([stopped.code, stopped.stderr], [0, ""]);
  }
  // A directory is one, and a link to one of ours is one that we want.
  if (use === "TEND_RUNDIR=" && code === 0 && wasLink) return;
  if (how.obstacle.what !== "a directory") put.assertUntouched();
  await put.assertRestUntouched();
}
