import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { isAlive } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { makeApp } from "./ways.ts";

const README = Deno.readTextFileSync(
  new URL("../../README.md", import.meta.url),
);

/** The programs of the README, from its TypeScript blocks. */
async function program(word: string): Promise<string> {
  const blocks = [...README.matchAll(/```ts\n(.*?)```/gs)]
    .map(([, code]) => code!);
  const code = blocks.find((block) => block.includes(word))!;
  const file = `${await makeApp()}/${word}.ts`;
  await Deno.writeTextFile(file, code);
  return file;
}

function readmeTest(name: string, body: (box: Sandbox) => Promise<void>): void {
  Deno.test({
    name: `README.md: ${name}`,
    sanitizeResources: false,
    fn: async () => {
      await using box = await Sandbox.create();
      await body(box);
    },
  });
}

readmeTest("the web server serves when the prompt returns", async (box) => {
  const file = await program("parseDaemonOptions");
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr as Deno.NetAddr;
  free.close();
  const permissions = ["--allow-ffi", "--allow-env", "--allow-net"];
  const options = ["--detach", "--monitor", "--pidfile=web.pid"];
  const { code, stderr } = await box.run(
    [Deno.execPath(), "run", "--quiet", "--no-prompt", ...permissions, file]
      .concat(options, String(port)),
  );
  assertEquals(code, 0, stderr);
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assertStringIncludes(await response.text(), "Hello");
});

readmeTest("the worker ends after its job", async (box) => {
  const file = await program("addFileToUnlink");
  const { code, stderr } = await box.run(
    [Deno.execPath(), "run", "--quiet", "--no-prompt", "--allow-ffi"]
      .concat("--allow-env", file),
  );
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidfile("worker.pid")!;
  Deno.kill(daemon, "SIGTERM");
  await box.until("it has ended", () => !isAlive(daemon));
  await box.until("its monitor too", () => box.processes().length === 0);
  assertEquals(box.runFiles(), []);
});
