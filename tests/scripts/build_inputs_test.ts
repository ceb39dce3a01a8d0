import { assertEquals } from "@std/assert/equals";
import { assertNotEquals } from "@std/assert/not-equals";
import { buildInputs } from "../../scripts/build_inputs.ts";

/** What a tree of some files comes to. */
async function inputsOf(files: Record<string, string>): Promise<string> {
  const root = await Deno.makeTempDir();
  try {
    for (const directory of ["lib", "ffi", "tests", "dist"]) {
      await Deno.mkdir(`${root}/${directory}`);
    }
    for (const [path, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    return await buildInputs(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const TREE = { "main.ts": "main", "lib/mod.ts": "lib", "ffi/libc.ts": "libc" };

Deno.test("buildInputs() is the same for the same files elsewhere", async () => {
  assertEquals(await inputsOf(TREE), await inputsOf(TREE));
});

Deno.test("buildInputs() changes with a content, a name, a new and a missing file", async () => {
  const before = await inputsOf(TREE);
  const { "main.ts": main, ...rest } = TREE;
  assertNotEquals(await inputsOf({ ...TREE, "main.ts": "other" }), before);
  assertNotEquals(await inputsOf({ ...rest, "lib/main.ts": main }), before);
  assertNotEquals(await inputsOf({ ...TREE, "lib/new.ts": "" }), before);
  assertNotEquals(await inputsOf(rest), before);
});

Deno.test("buildInputs() does not mind tests, documents and what is built", async () => {
  const others = { "tests/a.ts": "a", "README.md": "b", "dist/tend": "c" };
  assertEquals(await inputsOf({ ...TREE, ...others }), await inputsOf(TREE));
});
