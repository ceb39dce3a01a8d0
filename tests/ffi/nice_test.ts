import { assertEquals } from "@std/assert/equals";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

Deno.test("setNice() sets the nice value that /proc shows, and may not lower it without the right to", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { setNice } from "${ROOT}/ffi/nice.ts";
    import { geteuid, setresuid } from "${ROOT}/ffi/user.ts";
    if (geteuid() === 0) setresuid(65534);
    setNice(19);
    const stat = Deno.readTextFileSync("/proc/thread-self/stat");
    console.log(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
    try { setNice(-1); } catch (error) { console.log(error.message); }`,
  );
  assertEquals(answer, "19\nsetpriority failed (Permission denied)");
});
