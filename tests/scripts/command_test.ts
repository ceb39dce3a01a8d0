import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { run } from "../../scripts/command.ts";

Deno.test("run() collects both outputs and tells success", async () => {
  assertEquals(await run("sh", ["-c", "echo out; echo err >&2"]), {
    success: true,
    stdout: "out\n",
    output: "out\nerr",
  });
});

Deno.test("run() tells failure", async () => {
  assert(!(await run("false", [])).success);
});

Deno.test("run() says that there is no such command", async () => {
  const { success, output } = await run("/no/such/command", []);
  assert(!success);
  assertStringIncludes(output, "No such file or directory");
});

Deno.test("run() ends a command that takes too long", async () => {
  const { success, output } = await run("sleep", ["600"], { seconds: 0.1 });
  assert(!success);
  assertEquals(output, "it took more than 0.1 seconds");
});
