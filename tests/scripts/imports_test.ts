import { assertEquals } from "@std/assert/equals";
import { importsWithin, wrongImports } from "../../scripts/imports.ts";

/** Each line one import: `from -> to`. */
function verdict(...lines: string[]): string[] {
  return wrongImports(lines.map((line) => {
    const [from = "", to = ""] = line.split(" -> ");
    return { from, to };
  }));
}

Deno.test("wrongImports() is content when all arrows point from main to ffi", () => {
  assertEquals(
    verdict(
      "main.ts -> lib/cli/main.ts",
      "lib/cli/main.ts -> lib/cli/options.ts",
      "lib/cli/main.ts -> lib/mod.ts",
      "lib/cli/main.ts -> ffi/libc.ts",
      "lib/mod.ts -> lib/pidfile.ts",
      "lib/version.ts -> deno.json",
      "lib/pidfile.ts -> ffi/lock.ts",
      "ffi/lock.ts -> ffi/libc.ts",
    ),
    [],
  );
});

Deno.test("wrongImports() lets tests import all and scripts lib and ffi", () => {
  assertEquals(
    verdict(
      "tests/e2e/tend_test.ts -> scripts/build.ts",
      "tests/lib/cli/main_test.ts -> lib/cli/main.ts",
      "tests/main_test.ts -> main.ts",
      "scripts/bench.ts -> lib/pidfile.ts",
      "scripts/bench.ts -> ffi/process.ts",
    ),
    [],
  );
});

Deno.test("wrongImports() names both files and what would be right", () => {
  assertEquals(verdict("ffi/lock.ts -> lib/pidfile.ts"), [
    "ffi/lock.ts imports lib/pidfile.ts: ffi may import ffi only.",
  ]);
});

Deno.test("wrongImports() refuses every arrow that points back", () => {
  const wrong = [
    "ffi/lock.ts -> lib/cli/main.ts",
    "lib/mod.ts -> lib/cli/main.ts",
    "lib/mod.ts -> main.ts",
    "lib/mod.ts -> scripts/build.ts",
    "lib/cli/main.ts -> main.ts",
    "lib/cli/main.ts -> tests/sandbox.ts",
    "main.ts -> ffi/libc.ts",
    "scripts/demo.ts -> lib/cli/main.ts",
    "scripts/demo.ts -> tests/sandbox.ts",
  ];
  assertEquals(verdict(...wrong).length, wrong.length);
});

Deno.test("wrongImports() refuses files outside the tree", () => {
  assertEquals(verdict("lib/mod.ts -> file:///elsewhere.ts").length, 1);
});

Deno.test("importsWithin() sees static, dynamic and type imports, and only those within", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/lib`);
    await Deno.mkdir(`${root}/dist`);
    await Deno.writeTextFile(`${root}/deno.json`, "{}");
    await Deno.writeTextFile(`${root}/lib/a.ts`, "export type A = string;");
    await Deno.writeTextFile(`${root}/lib/b.ts`, "export const b = 1;");
    await Deno.writeTextFile(`${root}/lib/c.ts`, "export const c = 1;");
    await Deno.writeTextFile(`${root}/dist/d.ts`, 'import "../main.ts";');
    await Deno.writeTextFile(
      `${root}/main.ts`,
      `import type { A } from "./lib/a.ts";
       export { b } from "./lib/b.ts";
       import "node:fs";
       const { c } = await import("./lib/c.ts");
       export const a: A = c;`,
    );

    assertEquals(await importsWithin(root), [
      { from: "main.ts", to: "lib/a.ts" },
      { from: "main.ts", to: "lib/b.ts" },
      { from: "main.ts", to: "lib/c.ts" },
    ]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
