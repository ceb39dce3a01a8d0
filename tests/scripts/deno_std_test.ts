import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";

const ROOT = `${import.meta.dirname}/../..`;

/** The functions that `scripts/deno_std.d.ts` declares, by module. */
function declared(): Map<string, string[]> {
  const text = Deno.readTextFileSync(`${ROOT}/scripts/deno_std.d.ts`);
  const modules = text.split("declare module ").slice(1);
  return new Map(modules.map((module) => [
    module.slice(1, module.indexOf('"', 1)),
    Array.from(module.matchAll(/export function (\w+)/g), ([, f = ""]) => f),
  ]));
}

Deno.test("deno_std.d.ts declares every @std module that deno.json maps", () => {
  const { scopes } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  const mapped = Object.keys(scopes["./"])
    .filter((name) => name.startsWith("@std/"));
  assertEquals(Array.from(declared().keys()).sort(), mapped.sort());
});

Deno.test("deno_std.d.ts declares functions that are really there", async () => {
  for (const [module, functions] of declared()) {
    assert(functions.length > 0, module);
    const exports = await import(module);
    for (const name of functions) {
      assertEquals(typeof exports[name], "function", `${name} of ${module}`);
    }
  }
});
