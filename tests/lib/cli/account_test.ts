import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { fromBytes } from "../../../ffi/c_string.ts";
import { findAccount } from "../../../lib/cli/account.ts";
import { UsageError } from "../../../lib/options.ts";
import "../../open_libc.ts";

const [OWN_UID, OWN_GID] = [Deno.uid()!, Deno.gid()!];
const IS_ROOT = OWN_UID === 0;

for (const text of ["", ":", "root:", ":root", "root:root:root"]) {
  Deno.test(`findAccount() refuses ${JSON.stringify(text)} as wrong usage`, () => {
    const error = assertThrows(() => findAccount(text), UsageError);
    assertEquals(
      error.message,
      `option --user=${text}: not USER or USER:GROUP`,
    );
  });
}

Deno.test("findAccount() refuses the number that stands for none, and larger ones", () => {
  for (const text of ["4294967295", "0:4294967295", "99999999999999999999"]) {
    assertThrows(() => findAccount(text), UsageError, "is above 4294967294");
  }
});

Deno.test("findAccount() says what the system does not know", () => {
  for (
    const [text, why] of [
      ["no-such-user", "there is no user no-such-user"],
      ["root:no-such-group", "there is no group no-such-group"],
      [
        "4294967294",
        "the system has no user of that number and so no group: name it, " +
        "--user=4294967294:GROUP",
      ],
    ] as const
  ) {
    const error = assertThrows(() => findAccount(text), Error);
    assertEquals(error.message, `option --user=${text}: ${why}`);
  }
});

Deno.test({
  name:
    "findAccount() takes names as numbers, and a group in place of the user's",
  ignore: !IS_ROOT,
  fn: () => {
    const { identity, env } = findAccount("root");
    assertEquals([identity?.uid, identity?.gid], [0, 0]);
    assertEquals(findAccount("0"), { identity, env });
    assertEquals(findAccount("root:root"), { identity, env });
    const other = findAccount("0:4294967294").identity;
    assertEquals([other?.uid, other?.gid], [0, 4294967294]);
    assertEquals(other?.groups.includes(4294967294), true);
  },
});

Deno.test({
  name: "findAccount() has nothing to become for the user that this is",
  ignore: IS_ROOT,
  fn: () => {
    const { identity } = findAccount(`${OWN_UID}:${OWN_GID}`);
    assertEquals(identity, undefined);
    assertThrows(() => findAccount("0:0"), Error, "only root can become");
  },
});

Deno.test({
  name:
    "findAccount() brings what a login sets, for a number without an entry too",
  ignore: !IS_ROOT,
  fn: () => {
    assertEquals(findAccount("4294967294:0").env.map(fromBytes), [
      "HOME=/",
      "USER=4294967294",
      "LOGNAME=4294967294",
      "SHELL=/bin/sh",
    ]);
  },
});
