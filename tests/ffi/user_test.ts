import { assertEquals } from "@std/assert/equals";
import { geteuid, getresgid, getresuid } from "../../ffi/user.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("geteuid() is the effective user of /proc/self/status", () => {
  const status = Deno.readTextFileSync("/proc/self/status");
  const [, effective] = /^Uid:\t\d+\t(\d+)/m.exec(status)!;
  assertEquals(geteuid(), Number(effective));
});

/** What a process says of itself that has become somebody else, if it may. */
const SAY = `
  import * as user from "${ROOT}/ffi/user.ts";
  const say = () => console.log(
    Deno.readTextFileSync("/proc/thread-self/status")
      .match(/^(Uid|Gid|Groups|NoNewPrivs):.*$/mg)
      .map((line) => line.split(/\\s+/).slice(1).join(" ").trim()).join("|"));`;

Deno.test("getresuid() and getresgid() are the first three of /proc/self/status", () => {
  const status = Deno.readTextFileSync("/proc/self/status");
  for (const [name, get] of [["Uid", getresuid], ["Gid", getresgid]] as const) {
    const ids = RegExp(`^${name}:\\t(\\d+)\\t(\\d+)\\t(\\d+)`, "m").exec(
      status,
    )!;
    const [real, effective, saved] = ids.slice(1).map(Number);
    assertEquals(get(), { real: real!, effective: effective!, saved: saved! });
  }
});

Deno.test({
  name:
    "setgroups(), setresgid() and setresuid() set all that there is, and root is gone",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using box = await Sandbox.create();
    const answer = await ask(
      box,
      `${SAY}
      user.setgroups([7, 4294967294]);
      user.setresgid(4294967294);
      console.log(user.regainRoot());
      user.setresuid(65534);
      console.log(user.regainRoot());
      say();`,
    );
    const four = (id: string) => Array(4).fill(id).join(" ");
    assertEquals(
      answer,
      "true\nfalse\n" +
        `0|${four("65534")}|${four("4294967294")}|7 4294967294`
          .split("|").slice(1).join("|") +
        "|0",
    );
  },
});

Deno.test("setresuid(), setresgid() and setgroups() throw EPERM for whoever is not root", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `${SAY}
    if (user.geteuid() === 0) {
      user.setresgid(65534);
      user.setresuid(65534);
    }
    for (const set of [user.setresuid, user.setresgid]) {
      try { set(0); } catch (error) { console.log(error.message); }
    }
    try { user.setgroups([0]); } catch (error) { console.log(error.message); }
    console.log(user.regainRoot());`,
  );
  assertEquals(
    answer,
    ["setresuid", "setresgid", "setgroups"]
      .map((call) => `${call} failed (Operation not permitted)\n`).join("") +
      "false",
  );
});

Deno.test("setNoNewPrivileges() sets what /proc/self/status shows", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(box, `${SAY} user.setNoNewPrivileges(); say();`);
  assertEquals(answer.split("|").at(-1), "1");
});
