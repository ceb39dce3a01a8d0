/**
 * A daemon's output files that are something else by the time that somebody
 * wants to see them, or has them opened anew.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import { Sandbox, TEND } from "../sandbox.ts";
import {
  OBSTACLES,
  obstruct,
  OWNERS,
  type Placing,
  share,
  TIMEOUT,
} from "./obstacles.ts";
import type { Budget, Row } from "./row.ts";
import { drawn } from "./drawn.ts";
import { Tally } from "./tally.ts";

const PLACES = ["web.out", "web.out.1"];
const VERBS = ["logs -n all", "reopen --timeout=1s", "status"];

/** Tries verbs on output files that are none. */
export async function hostileOutputs(
  budget: Budget,
): Promise<Row[]> {
  const cases = OWNERS.flatMap((owner) =>
    OBSTACLES.flatMap((obstacle) =>
      PLACES.map((place) => ({ owner, obstacle, place }))
    )
  );
  const row = new Tally(
    "logs and reopen where the output is something else",
    cases.length,
  );
  // However short the time is: what another user's link leads to.
  const isFirst = ({ owner, obstacle }: typeof cases[number]) =>
    owner === OWNERS.at(-1) && obstacle === OBSTACLES[0];
  const attempt = async (how: typeof cases[number]) => {
    const { owner, obstacle, place } = how;
    await row.attempt(
      `${obstacle.what} of user ${owner} as ${place}`,
      () => tryOutput(how),
    );
  };
  for (const how of cases.filter(isFirst)) await attempt(how);
  const rest = cases.filter((how) => !isFirst(how));
  for (const how of drawn(rest, budget)) await attempt(how);
  return [row];
}

async function tryOutput(
  how: Placing,
): Promise<void> {
  await using box = await Sandbox.create();
  const shared = share(box);
  const { code, stderr } = await box.tend(
    ...["--detach", "--monitor", "--pidfile=web.pid", "--log-rotate=1M,2"],
    ...[`--output=${shared.dir}/web.out`, "--", "sleep", "600"],
  );
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidfile("web.pid")!;
  await using put = await obstruct(shared, how);
  const wasLink = Deno.lstatSync(put.path).isSymlink;
  for (const verb of VERBS) {
    // As much as 1 GB of it goes nowhere.
    const { code, stderr } = await box.run(
      [...TIMEOUT, "sh", "-c", QUIET, box.path("shown"), TEND]
        .concat(verb.split(" "), "web"),
    );
    const isShown = box.exists(box.path("shown"));
    assert(code === 0 || code === 1, `${verb}: exit status ${code}: ${stderr}`);
    assertMatch(stderr, /^(?:tend: web: .+\n)*$/, verb);
    if (code === 1) assert(stderr.includes("/web.out"), stderr);
    // What another user's link leads to is not shown.
    if (wasLink && put.isForeign) assertFalse(isShown);
    put.assertUntouched();
    await put.assertRestUntouched();
    assertEquals(box.pidfile("web.pid"), daemon);
  }
  const stopped = await box.run([...TIMEOUT, TEND, "stop", "web"]);
  assertEquals(stopped.code, 0, stopped.stderr);
  await put.assertRestUntouched();
}

/** Notes whether what matters is shown, and has the exit status. */
const QUIET = `("$@"; echo $? >"$0.code") | grep -q precious && : >"$0"
exit $(cat "$0.code")`;
