import { assertEquals } from "@std/assert/equals";
import { troubleOf } from "./row.ts";
import { SUBJECTS } from "./subjects.ts";
import "../open_libc.ts";

// The torture suite in short: `deno task test:torture` tries much more.

/** Those that trace a process. */
const TRACED = ["kill", "fail", "loggers", "library", "rivals"];
/** For all subjects together. */
const SECONDS = 30;

const subjects = Object.entries(SUBJECTS);
const weights = subjects.reduce((sum, [, { weight }]) => sum + weight, 0);
// The same choice each time; `deno task test:torture` makes another.
const seed = Number(Deno.env.get("TEND_TEST_SEED") ?? 1);

for (const [name, { run, weight }] of subjects) {
  Deno.test({
    name: `torture ${name} finds nothing that does not hold`,
    // ptrace() is used as it is on x86-64.
    ignore: TRACED.includes(name) && Deno.build.arch !== "x86_64",
    fn: async () => {
      const rows = await run({ seconds: SECONDS * weight / weights, seed });
      const failures = rows.flatMap(({ failures }) => failures);
      assertEquals(failures, [], `TEND_TEST_SEED=${seed}`);
      const troubles = rows.flatMap((row) => troubleOf(row) ?? []);
      assertEquals(troubles, [], `TEND_TEST_SEED=${seed}`);
    },
  });
}
