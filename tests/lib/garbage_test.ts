import { assertEquals } from "@std/assert/equals";
import { collectGarbage } from "../../lib/garbage.ts";

Deno.test("collectGarbage() collects once in a thousand times", () => {
  const global = globalThis as { gc?: () => void };
  const before = global.gc;
  let collections = 0;
  global.gc = () => {
    collections++;
  };
  try {
    for (let i = 0; i < 3000; i++) collectGarbage();
    assertEquals(collections, 3);
  } finally {
    if (before === undefined) delete global.gc;
    else global.gc = before;
  }
});

Deno.test("collectGarbage() does nothing where that cannot be asked for", () => {
  assertEquals((globalThis as { gc?: unknown }).gc, undefined);
  for (let i = 0; i < 1000; i++) collectGarbage();
});
