import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { toBytes } from "../../../ffi/c_string.ts";
import {
  checkOperands,
  findVerb,
  optionsOf,
  parseCall,
} from "../../../lib/cli/verb.ts";
import { VERBS } from "../../../lib/cli/verbs.ts";
import { runVerb } from "../../../lib/cli/run.ts";
import "../../open_libc.ts";

Deno.test("VERBS have no name twice", () => {
  const names = VERBS.map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
});

for (const verb of VERBS) {
  Deno.test(`VERBS: ${verb.name} has no option and no letter twice`, () => {
    const names = optionsOf(verb).flatMap(({ name, letter = name }) =>
      letter === name ? [name] : [name, letter]
    );
    assertEquals(new Set(names).size, names.length);
  });

  Deno.test(`VERBS: ${verb.name} names what each value is`, () => {
    for (const { value, placeholder } of optionsOf(verb)) {
      assertEquals(value === "none", placeholder === undefined);
    }
  });

  for (const [command] of verb.examples) {
    Deno.test(`VERBS: the example '${command}' is right`, () => {
      assertMatch(command, /^tend /);
      const words = command.replace(/ [|>].*/, "").split(" ").slice(1);
      const called = findVerb(VERBS, words[0]);
      const call = parseCall(
        called ?? runVerb,
        words.slice(called === undefined ? 0 : 1).map(toBytes),
        VERBS,
      );
      checkOperands(called ?? runVerb, call);
    });
  }
}
