import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  ask,
  CANNOT_COMPILE,
  compileSingleThreaded,
  ROOT,
} from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** Says what the image is, or why there is none. */
const SAY = `
  import { selfImage } from "${ROOT}/lib/self_image.ts";
  import { fromBytes } from "${ROOT}/ffi/c_string.ts";
  import { unlink } from "${ROOT}/ffi/file.ts";
  const say = () => {
    try {
      const { path, argv } = selfImage();
      return { path, argv: argv.map(fromBytes) };
    } catch (error) {
      return error.message;
    }
  };`;

Deno.test("selfImage() is Deno with all of its arguments", async () => {
  await using box = await Sandbox.create();
  const answer = JSON.parse(
    await ask(
      box,
      `${SAY}
      const cmdline = Deno.readTextFileSync("/proc/self/cmdline");
      console.log(JSON.stringify({ ...say(), cmdline }));`,
      { args: ["a", "", "b c"] },
    ),
  );
  assertEquals(answer.path, Deno.realPathSync(Deno.execPath()));
  assertEquals(`${answer.argv.join("\0")}\0`, answer.cmdline);
  assertEquals(answer.argv.slice(-3), ["a", "", "b c"]);
});

Deno.test("selfImage() cannot be had of a script from standard input", async () => {
  await using box = await Sandbox.create();
  const source = `${SAY} console.log(say());`;
  Deno.writeTextFileSync(box.path("source.ts"), source);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const command = `exec "$1" run --quiet --config=${config} -A - <source.ts`;
  const { stdout } = await box.run(
    ["sh", "-c", command, "sh", Deno.execPath()],
  );
  assertStringIncludes(
    stdout,
    "a script from standard input cannot become a daemon",
  );
});

Deno.test({
  name: "selfImage() of a compiled program",
  ignore: CANNOT_COMPILE,
  fn: async (t) => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(
      box.path("web.ts"),
      `${SAY}
      const path = Deno.execPath();
      if (Deno.args.includes("remove")) unlink(path);
      if (Deno.args.includes("replace")) Deno.copyFileSync("/bin/true", path);
      console.log(JSON.stringify(say()));`,
    );
    const program = await compileSingleThreaded(box, box.path("web.ts"));
    const run = async (...args: string[]) => {
      Deno.copyFileSync(program, box.path("web"));
      const { stdout, stderr } = await box.run([box.path("web"), ...args]);
      assertEquals(stderr, "");
      return JSON.parse(stdout);
    };
    const path = Deno.realPathSync(box.dir) + "/web";
    await t.step("is its executable", async () => {
      assertEquals(await run(), { path, argv: [path] });
    });
    await t.step("cannot be had once that was removed", async () => {
      assertEquals(
        await run("remove"),
        `${path}: cannot be started again (No such file or directory)`,
      );
    });
    await t.step("is the new one when it was replaced", async () => {
      const argv = [path, "remove", "replace"];
      assertEquals(await run("remove", "replace"), { path, argv });
    });
  },
});
