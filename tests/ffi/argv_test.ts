import { assertEquals } from "@std/assert/equals";
import { readArgv } from "../../ffi/argv.ts";
import { ask, ROOT, startUntilLine, STAY } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** Shows what is to be set, then stays. */
const SET = `
  import { setArgv } from "${ROOT}/ffi/argv.ts";
  setArgv(Deno.args[0]);
  console.log("set");
  ${STAY}`;

Deno.test("readArgv() is the arguments of the process, empty ones too", async () => {
  await using box = await Sandbox.create();
  const args = ["", "a b", "", "é\n", ""];
  const answer = await ask(
    box,
    `
    import { readArgv } from "${ROOT}/ffi/argv.ts";
    const last = readArgv().slice(-${args.length});
    console.log(JSON.stringify(last.map((arg) => new TextDecoder().decode(arg))));`,
    { args },
  );
  assertEquals(JSON.parse(answer), args);
});

Deno.test("readArgv() begins with the program's own name", () => {
  const [name] = readArgv();
  assertEquals(new TextDecoder().decode(name).includes("deno"), true);
});

Deno.test("setArgv() sets what others see as the arguments", async () => {
  await using box = await Sandbox.create();
  const { pid } = await startUntilLine(box, SET, { args: ["tend: a title"] });
  assertEquals(
    Deno.readTextFileSync(`/proc/${pid}/cmdline`).replace(/\0+$/, ""),
    "tend: a title",
  );
});

Deno.test("setArgv() shows the text and one NUL, no more", async () => {
  await using box = await Sandbox.create();
  const { pid } = await startUntilLine(box, SET, { args: ["tend: a title"] });
  // Each NUL is one more argument, to whoever takes the file apart.
  assertEquals(
    Deno.readTextFileSync(`/proc/${pid}/cmdline`),
    "tend: a title\0",
  );
});

Deno.test("setArgv() leaves the environment as it was when the text is long", async () => {
  await using box = await Sandbox.create();
  const text = "x".repeat(4000);
  const env = { TEND_TEST_VARIABLE: "value" };
  const { pid } = await startUntilLine(box, SET, { args: [text], env });
  const environ = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
  assertEquals(environ.includes("TEND_TEST_VARIABLE=value"), true);
  assertEquals(environ.includes(`TEND_TEST_SANDBOX=${box.dir}`), true);
});

for (const length of [4095, 4096, 100_000]) {
  Deno.test(`setArgv() shows 4095 bytes of a text of ${length}`, async () => {
    await using box = await Sandbox.create();
    const text = "x".repeat(length);
    const { pid } = await startUntilLine(box, SET, { args: [text] });
    assertEquals(
      Deno.readTextFileSync(`/proc/${pid}/cmdline`).replace(/\0+$/, ""),
      text.slice(0, 4095),
    );
  });
}

Deno.test("setArgv() leaves nothing of a longer text before it", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { setArgv } from "${ROOT}/ffi/argv.ts";
    setArgv("a long title");
    setArgv("short");
    console.log(Deno.readTextFileSync("/proc/self/cmdline").replace(/\\0+$/, ""));`,
  );
  assertEquals(answer, "short");
});

Deno.test("setArgv() holds when garbage is collected", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { setArgv } from "${ROOT}/ffi/argv.ts";
    setArgv("a title");
    for (let i = 0; i < 20; i++) {
      globalThis.rubbish = Array.from({ length: 1e4 }, () => new Uint8Array(100));
      gc();
    }
    console.log(Deno.readTextFileSync("/proc/self/cmdline").replace(/\\0+$/, ""));`,
    { deno: ["-A", "--v8-flags=--expose-gc"] },
  );
  assertEquals(answer, "a title");
});
