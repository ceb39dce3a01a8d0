import { assertEquals } from "@std/assert/equals";
import { brokenTreeRules } from "../../scripts/tree_rules.ts";

/** Makes a tree of some files, and says what is wrong with it. */
function verdict(files: Record<string, string>): string[] {
  const root = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${root}/lib`);
    for (const [path, text] of Object.entries(files)) {
      Deno.writeTextFileSync(`${root}/${path}`, text);
    }
    return brokenTreeRules(root);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

/** A host's name, which must not stand in this file as it is. */
function host(...labels: string[]): string {
  return labels.join(".");
}

Deno.test("brokenTreeRules() is content with a tree as it should be", () => {
  assertEquals(
    verdict({
      "main.ts": "export const npm = args.registry;",
      "README.md": "npx -y deno@2.4.2, https://www.apache.org/licenses/",
      "lib/mod.ts": 'import { join } from "npm:deno-std@1.4.0/join.js";',
    }),
    [],
  );
});

Deno.test("brokenTreeRules() refuses a stranger at the top", () => {
  assertEquals(verdict({ "deno.lock": "{}" }), [
    "deno.lock has no place at the top of the tree.",
  ]);
});

Deno.test("brokenTreeRules() refuses a file that is no text", () => {
  assertEquals(verdict({ "lib/tend": "\x7fELF\0" }), ["lib/tend is no text."]);
});

Deno.test("brokenTreeRules() names file, line and host of a package registry", () => {
  for (
    const name of [
      host("registry", "npmjs", "org"),
      host("npm", "jsr", "io"),
      host("dl", "deno", "land"),
      host("artifactory", "example", "com"),
      host("npm-proxy", "mirror", "example", "internal"),
      host("jsr", "io"),
    ]
  ) {
    const [sentence = "", ...more] = verdict({
      "lib/mod.ts": `first\nfetch("https://${name}/x")`,
    });
    assertEquals(more, []);
    assertEquals(sentence.split(" names ")[0], "lib/mod.ts:2");
  }
});
