import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  programName,
  setProgramName,
  setSubprogramName,
  subprogramName,
} from "../../lib/program_name.ts";
import { CANNOT_COMPILE, compileSingleThreaded, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const CONFIG = `--config=${
  new URL("../../deno.json", import.meta.url).pathname
}`;

/** Says the program's name. */
const SAY = `
  import { programName } from "${ROOT}/lib/program_name.ts";
  console.log(programName());`;

async function deno(box: Sandbox, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await box.run([Deno.execPath(), ...args], {
    env: { NO_COLOR: "1" },
  });
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  return stdout.trimEnd();
}

const FILES = {
  "web.ts": "web",
  "web.js": "web",
  "web.server.ts": "web.server",
  "a b.ts": "a b",
  "$web.ts": "$web",
};

for (const [file, name] of Object.entries(FILES)) {
  Deno.test(`programName() is ${name} of ${file} until another is set`, async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path(file), SAY);
    assertEquals(
      await deno(box, "run", "--quiet", CONFIG, "-A", box.path(file)),
      name,
    );
  });
}

Deno.test("programName() is deno of a program without a file", async () => {
  await using box = await Sandbox.create();
  assertEquals(await deno(box, "eval", "--quiet", CONFIG, SAY), "deno");
});

Deno.test({
  name: "programName() is the executable's name, also when that is replaced",
  ignore: CANNOT_COMPILE,
  fn: async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(
      box.path("web.ts"),
      `import { programName } from "${ROOT}/lib/program_name.ts";
      import { unlink } from "${ROOT}/ffi/file.ts";
      if (Deno.args.length > 0) unlink(Deno.args[0]);
      console.log(programName());`,
    );
    const program = await compileSingleThreaded(box, box.path("web.ts"));
    Deno.renameSync(program, box.path("server.bin"));
    for (const args of [[], [box.path("server.bin")]]) {
      const { stdout } = await box.run([box.path("server.bin"), ...args]);
      assertEquals(stdout, "server.bin\n");
    }
  },
});

for (const name of ["web", "a b", "é", "web.1"]) {
  Deno.test(`setProgramName() takes ${name}`, () => {
    setProgramName(name);
    assertEquals(programName(), name);
  });
}

for (const name of ["", "/", "a/b", "../web", "a\0b"]) {
  Deno.test(`setProgramName() refuses ${JSON.stringify(name)}`, () => {
    setProgramName("tend");
    assertThrows(() => setProgramName(name), TypeError, "not a program name");
    assertEquals(programName(), "tend");
  });
}

Deno.test("subprogramName() is what was set, and empty before", () => {
  assertEquals(subprogramName(), "");
  setSubprogramName("monitor");
  assertEquals(subprogramName(), "monitor");
  setSubprogramName("");
});
