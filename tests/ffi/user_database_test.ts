import { assertEquals } from "@std/assert/equals";
import { assertExists } from "@std/assert/exists";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import { findGroup, findUser, groupsOf } from "../../ffi/user_database.ts";
import "../open_libc.ts";

const lines = (file: string) =>
  Deno.readTextFileSync(file).trimEnd().split("\n")
    .map((line) => line.split(":"));

Deno.test("findUser() finds each user of /etc/passwd, by name and number", () => {
  for (const [name, , uid, gid, , home, shell] of lines("/etc/passwd")) {
    const user = findUser(name!);
    assertExists(user, name);
    const [named, where, what] = [user.name, user.home, user.shell]
      .map(fromBytes);
    assertEquals(
      [named, user.uid, user.gid, where, what],
      [name, Number(uid), Number(gid), home, shell],
    );
    assertEquals(findUser(user.uid)?.uid, user.uid);
  }
});

Deno.test("findGroup() finds each group of /etc/group", () => {
  for (const [name, , gid] of lines("/etc/group")) {
    assertEquals(findGroup(name!), Number(gid), name);
  }
});

Deno.test("findUser() and findGroup() find nothing where there is nothing", () => {
  assertEquals(findUser("no-such-user"), undefined);
  assertEquals(findUser(4294967294), undefined);
  assertEquals(findGroup("no-such-group"), undefined);
});

Deno.test("groupsOf() is what id(1) says, with another first group too", () => {
  for (const [name, , , gid] of lines("/etc/passwd")) {
    const { stdout } = new Deno.Command("id", { args: ["-G", name!] })
      .outputSync();
    const expected = fromBytes(stdout).trim().split(" ").map(Number);
    const sorted = (gids: number[]) => [...new Set(gids)].sort((a, b) => a - b);
    assertEquals(
      sorted(groupsOf(toBytes(name!), Number(gid))),
      sorted(expected),
      name,
    );
    assertEquals(groupsOf(toBytes(name!), 12345)[0], 12345);
  }
});
