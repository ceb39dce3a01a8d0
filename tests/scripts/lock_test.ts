import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { withLock } from "../../scripts/lock.ts";

Deno.test("withLock() lets one in at a time", async () => {
  const path = await Deno.makeTempFile();
  try {
    const log: string[] = [];
    const enter = (name: string) =>
      withLock(path, async () => {
        log.push(`${name} in`);
        // Any number of other turns of the event loop may come in between.
        await Deno.stat(path);
        log.push(`${name} out`);
      });
    await Promise.all([enter("a"), enter("b")]);
    const pairs = [log.slice(0, 2), log.slice(2)].map(String).sort();
    assertEquals(pairs, ["a in,a out", "b in,b out"]);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("withLock() lets go when the work fails", async () => {
  const path = await Deno.makeTempFile();
  try {
    const fail = () => Promise.reject(new Error("no"));
    await assertRejects(() => withLock(path, fail), Error, "no");
    assertEquals(await withLock(path, () => Promise.resolve("yes")), "yes");
  } finally {
    await Deno.remove(path);
  }
});
