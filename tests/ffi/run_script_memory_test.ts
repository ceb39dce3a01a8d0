import { assertEquals } from "@std/assert/equals";
import { bind } from "../../ffi/libc.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const PR_SET_MDWE = 65;
const PR_GET_MDWE = 66;

const libc = bind({
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
});

/** A program's beginning: `script` writes `ran` and returns. */
const SCRIPT = `
  import { CallScript } from "${ROOT}/ffi/call_script.ts";
  import { INTERPRETER } from "${ROOT}/ffi/interpreter.ts";
  import { bind, LibcError } from "${ROOT}/ffi/libc.ts";
  import { machineCode } from "${ROOT}/ffi/machine_code.ts";
  import { runScript } from "${ROOT}/ffi/run_script.ts";
  const script = new CallScript();
  const text = script.bytes(new TextEncoder().encode("ran\\n"));
  script.step("write", "write", [1, text, 4]);
  script.step("return", "return");
`;

Deno.test("runScript() has its instructions in memory once, where nothing can be written", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `${SCRIPT}
    runScript(script);
    runScript(script);
    const code = machineCode(INTERPRETER[Deno.build.arch]);
    const maps = Deno.readTextFileSync("/proc/self/maps");
    // Of no file; V8's are at least 1 MiB, and no place for it.
    const lines = maps.matchAll(/^(\\w+)-(\\w+) (r.xp) \\S+ 00:00 0 *$/gm);
    for (const [, start, end, permissions] of lines) {
      const [from, to] = [start, end].map((at) => BigInt("0x" + at));
      if (to - from >= 2n ** 20n) continue;
      for (let page = from; page < to; page += 4096n) {
        const begin = new Uint8Array(code.length);
        const address = Deno.UnsafePointer.create(page);
        Deno.UnsafePointerView.copyInto(address, begin);
        const same = begin.every((byte, i) => byte === code[i]);
        if (same) console.log(permissions);
      }
    }`,
  );
  assertEquals(answer.split("\n"), ["ran", "ran", "r-xp"]);
});

Deno.test({
  name: "runScript() throws EACCES where no memory may become executable",
  // Linux before 6.3 does not forbid it in this way.
  ignore: libc.prctl(PR_GET_MDWE, 0n, 0n, 0n, 0n) === -1,
  fn: async () => {
    await using box = await Sandbox.create();
    const answer = await ask(
      box,
      `${SCRIPT}
      const { prctl } = bind({
        prctl: {
          parameters: ["i32", "u64", "u64", "u64", "u64"],
          result: "i32",
        },
      });
      prctl(${PR_SET_MDWE}, 1n, 0n, 0n, 0n);
      try {
        runScript(script);
      } catch (error) {
        if (!(error instanceof LibcError)) throw error;
        console.log(error.call, error.code);
      }`,
    );
    assertEquals(answer, "mprotect EACCES");
  },
});
