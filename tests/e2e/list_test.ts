import { assertEquals } from "@std/assert/equals";
import { MONITORED, startAsleep } from "../monitored.ts";
import { Sandbox } from "../sandbox.ts";

Deno.test("tend list names all of the run directory, running or not", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  Deno.writeTextFileSync(box.runPath("a\nb.pid"), "1\n");
  assertEquals(await box.tend("list"), {
    code: 0,
    stdout: "a\\x0ab\nweb\n",
    stderr: "",
  });
});

Deno.test("tend list prints nothing when there is no run directory", async () => {
  await using box = await Sandbox.create();
  assertEquals(await box.tend("list"), { code: 0, stdout: "", stderr: "" });
});

Deno.test("tend list --json says what they are", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startAsleep(box);
  Deno.writeTextFileSync(box.runPath("old.pid"), "1\n");
  const { stdout } = await box.tend("list", "--json");
  assertEquals(JSON.parse(stdout), [
    {
      name: "old",
      pidfile: box.runPath("old.pid"),
      state: "stale",
      pid: null,
      monitor: null,
    },
    {
      name: "web",
      pidfile: box.runPath("web.pid"),
      state: "running",
      pid: daemon,
      monitor,
    },
  ]);
});
