import { assertMatch } from "@std/assert/match";
import { VERSION } from "../../lib/version.ts";

Deno.test("VERSION is three numbers, as JSR wants it", () => {
  assertMatch(VERSION, /^\d+\.\d+\.\d+(-[\w.]+)?$/);
});
