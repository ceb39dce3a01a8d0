/**
 * Files of variables that are none, or that another user has put there.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { Sandbox, TEND } from "../sandbox.ts";
import {
  file,
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

const MODES: readonly (readonly string[])[] = [
  [],
  ["--detach", "--monitor"],
];

/** Files that are what they are to be, with what would make us another's. */
const GOOD: readonly Obstacle[] = [
  file("variables", "A=1\nLD_LIBRARY_PATH=/planted\n"),
  file(
    "variables that are not UTF-8",
    Uint8Array.of(0x41, 0x3d, 0xff, 0xc3, 0x0a),
  ),
];

/** Tries what is given as `--env-file`. */
export async function hostileVariables(
  budget: Budget,
): Promise<Row[]> {
  const cases = (obstacles: readonly Obstacle[]) =>
    OWNERS.flatMap((owner) =>
      obstacles.flatMap((obstacle) =>
        MODES.map((mode) => ({ owner, obstacle, mode }))
      )
    );
  const bad = new Tally(
    "something else in the place of --env-file",
    cases(OBSTACLES).length,
  );
  const good = new Tally(
    "a good --env-file, ours and another user's",
    cases(GOOD).length,
  );
  const attempt = (row: Tally, how: ReturnType<typeof cases>[number]) =>
    row.attempt(
      `${how.obstacle.what} of user ${how.owner}, tend ${how.mode.join(" ")}`,
      () => tryVariables(how),
    );
  for (const how of cases(GOOD)) await attempt(good, how);
  for (const how of drawn(cases(OBSTACLES), budget)) await attempt(bad, how);
  return [bad, good];
}

async function tryVariables(
  { mode, ...how }: {
    readonly obstacle: Obstacle;
    readonly owner: number;
    readonly mode: readonly string[];
  },
): Promise<void> {
  const { obstacle, owner } = how;
  await using box = await Sandbox.create();
  await using put = await obstruct(share(box), { ...how, place: "web.env" });
  const { path } = put;
  const wasLink = Deno.lstatSync(path).isSymlink;
  const { code, stderr } = await box.run([
    ...[...TIMEOUT, TEND, ...mode, "--name=web", `--env-file=${path}`],
    ...["--", "sh", "-c", 'cp /proc/$$/environ "$1.part"; mv "$1.part" "$1"'],
    ...["sh", box.path("environment")],
  ]);
  put.assertUntouched();
  // What another user has put there is not even read.
  if (put.isForeign) {
    assertEquals(code, 1, stderr);
    // A socket cannot even be opened.
    if (obstacle.what !== "a socket") {
      assertMatch(
        stderr,
        wasLink
          ? /web\.env: open failed \(.* link of user \d+; remove it\)\n$/
          : /web\.env: open failed \(it belongs to user \d+; remove it\)\n$/,
      );
    }
  }
  if (code === 0) {
    await box.until("it is said", () => box.exists(box.path("environment")));
    const environment = latin1(Deno.readFileSync(box.path("environment")));
    const text = GOOD.includes(obstacle) ? latin1(Deno.readFileSync(path)) : "";
    for (const line of text.split("\n").filter((line) => line !== "")) {
      assertStringIncludes(`\0${environment}`, `\0${line}\0`);
    }
    assertEquals(stderr, "");
  } else {
    assert(!GOOD.includes(obstacle) || owner !== Deno.uid(), stderr);
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /^tend: option --env-file=\/.*\/web\.env: .+\n$/);
    assertEquals(box.exists(box.path("environment")), false);
    assertEquals(box.runFiles(), []);
  }
  await box.until("all has ended", () => box.processes().length === 0);
  await put.assertRestUntouched();
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
