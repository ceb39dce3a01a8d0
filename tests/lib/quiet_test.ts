import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Quiet } from "../../lib/quiet.ts";
import "../open_libc.ts";

/** One for which some time has passed. */
async function quiet(): Promise<Quiet> {
  const quiet = new Quiet();
  quiet.left(0);
  await new Promise((resolve) => setTimeout(resolve, 30));
  return quiet;
}

Deno.test("left() is what is left of a time that begins with the first wait", async () => {
  const one = await quiet();
  assertEquals([one.left(-1), one.left(0), one.left(20)], [-1, 0, 0]);
  const left = one.left(10_000);
  assert(Number.isInteger(left) && left <= 9_980, `${left}`);
});

Deno.test("note() has the time begin anew, but by a ping", async () => {
  const one = await quiet();
  one.note("other");
  const left = one.left(10_000);
  assert(left > 9_980, `${left}`);
  await new Promise((resolve) => setTimeout(resolve, 30));
  one.note("ping");
  assert(one.left(10_000) <= 9_980);
  assertEquals(one.needed(500), 500);
});

Deno.test("needed() is longer when a daemon has something to say", async () => {
  const one = await quiet();
  assertEquals(one.needed(500), 500);
  one.note("said");
  assertEquals([one.needed(500), one.needed(1e6)], [60_000, 1e6]);
  // That has woken us up, though nobody should be by a ping.
  const other = await quiet();
  other.note("ping");
  assertEquals(other.needed(500), 60_000);
});
