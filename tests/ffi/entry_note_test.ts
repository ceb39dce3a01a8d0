import { assertEquals } from "@std/assert/equals";
import { sigpipeAtEntry } from "../../ffi/entry_note.ts";

Deno.test({
  name: "sigpipeAtEntry() is undefined in an executable that has no note",
  // libc stays bound.
  sanitizeResources: false,
  fn: () => {
    // Deno itself. For one that has a note see tests/scripts/entry_test.ts.
    assertEquals(sigpipeAtEntry(), undefined);
  },
});
