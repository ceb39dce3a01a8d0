import { assertEquals } from "@std/assert/equals";
import { cwdWasRemoved, sigpipeAtEntry } from "../../ffi/entry_note.ts";

// Here it is Deno itself. For an executable that has a note see
// tests/scripts/entry_code_test.ts.
const NOTHING = {
  "sigpipeAtEntry() is undefined": () =>
    assertEquals(sigpipeAtEntry(), undefined),
  "cwdWasRemoved() is false": () => assertEquals(cwdWasRemoved(), false),
};

for (const [what, fn] of Object.entries(NOTHING)) {
  Deno.test({
    name: `${what} in an executable that has no note`,
    // libc stays bound.
    sanitizeResources: false,
    fn,
  });
}
