import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import fc from "fast-check";
import { lostSeeds, tryProperties } from "./properties.ts";

const what = "a number is below 1000";
const BUDGET = { seconds: 0, seed: 1 };

function numbersBelow1000(seen: number[] = []) {
  const property = fc.property(fc.nat(), (n) => {
    seen.push(n);
    assert(n < 1000);
  });
  return [{ what, property }];
}

Deno.test("tryProperties() prints the line that keeps a failure, and tries that first", async () => {
  const [row] = await tryProperties(numbersBelow1000(), BUDGET, []);
  const [text = ""] = row!.failures;
  assertStringIncludes(text, "Counterexample: [1000]");
  const kept = JSON.parse(/kept_seeds\.ts: (.*)/.exec(text)![1]!);

  const seen: number[] = [];
  const [again] = await tryProperties(
    numbersBelow1000(seen),
    { ...BUDGET, seed: 2 },
    [kept],
  );
  assertEquals(seen[0], 1000);
  assertEquals([again!.tried, again!.held], [1, 0]);
});

Deno.test("lostSeeds() fails for a property that there is no more", () => {
  const rows = [{ what, tried: 1, held: 1, failures: [] }];
  const kept = { what, seed: 1, path: "0", found: "1000" };
  assertEquals(lostSeeds(rows, [kept]).held, 1);
  const lost = lostSeeds(rows, [kept, { ...kept, what: "another" }]);
  assertEquals([lost.tried, lost.held], [2, 1]);
  assertEquals(lost.failures, ['kept_seeds.ts: no property "another"']);
});
