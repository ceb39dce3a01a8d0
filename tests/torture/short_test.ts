import { assertEquals } from "@std/assert/equals";
import { troubleOf } from "./row.ts";
import { SUBJECTS } from "./subjects.ts";
import "../open_libc.ts";

// The torture suite in short: `deno task test:torture` tries much more. All
// subjects at once, for each waits now and then.

/** Those that trace a process. */
const TRACED = ["kill", "fail", "signal", "library", "rivals"];
/**
 * For all subjects, were it one after the other. However short a share, each row
 * of the table is tried, and that takes longer than most shares.
 */
const SECONDS = 20;

const subjects = Object.entries(SUBJECTS);
const weights = subjects.reduce((sum, [, { weight }]) => sum + weight, 0);
// The same choice each time; `deno task test:torture` makes another.
const seed = Number(Deno.env.get("TEND_TEST_SEED") ?? 1);

Deno.test("torture finds nothing that does not hold", async (t) => {
  await Promise.all(subjects.map(([name, { run, weight }]) =>
    t.step({
      name: `torture ${name} finds nothing that does not hold`,
      // ptrace() is used as it is on x86-64.
      ignore: TRACED.includes(name) && Deno.build.arch !== "x86_64",
      // What one has opened is no leak of another's that ends before; the test
      // that they are steps of looks at all of it.
      sanitizeOps: false,
      sanitizeResources: false,
      sanitizeExit: false,
      fn: async () => {
        const seconds = SECONDS * weight / weights;
        const rows = await run({ seconds, seed, extent: "brief" });
        const failures = rows.flatMap(({ failures }) => failures);
        assertEquals(failures, [], `TEND_TEST_SEED=${seed}`);
        const troubles = rows.flatMap((row) => troubleOf(row) ?? []);
        assertEquals(troubles, [], `TEND_TEST_SEED=${seed}`);
      },
    })
  ));
});
