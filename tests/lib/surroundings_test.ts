import { assertEquals } from "@std/assert/equals";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import {
  environmentIn,
  nameOf,
  type Surroundings,
} from "../../lib/surroundings.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

const NONE: Surroundings = {
  limits: [],
  nice: undefined,
  oomScoreAdj: undefined,
  umask: undefined,
  identity: undefined,
  chdir: undefined,
  clearEnv: false,
  env: [],
  noNewPrivileges: false,
};

function environment(wanted: Partial<Surroundings>, callers: string[]) {
  return environmentIn({ ...NONE, ...wanted }, callers.map(toBytes))
    .map(fromBytes);
}

Deno.test("environmentIn() leaves the caller's variables as they are", () => {
  const callers = ["A=1", "A=2", "no variable", "=x", "B="];
  assertEquals(environment({}, callers), callers);
});

Deno.test("environmentIn() puts a variable in the place of all of its name", () => {
  const env = ["A=3", "C=c=d"].map(toBytes);
  assertEquals(
    environment({ env }, ["A=1", "AB=2", "A=2", "A"]),
    ["AB=2", "A=3", "C=c=d"],
  );
});

Deno.test("environmentIn() leaves nothing of the caller's when that is wanted", () => {
  const env = ["A=3"].map(toBytes);
  assertEquals(environment({ env, clearEnv: true }, ["A=1", "B=2"]), ["A=3"]);
});

Deno.test("nameOf() copes with an entry as long as there can be", () => {
  assertEquals(nameOf(new Uint8Array(2 ** 17).fill(65)).length, 2 ** 17);
});

Deno.test("enterSurroundings() and setLimits() name the option of a step that fails", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { enterSurroundings, setLimits } from "${ROOT}/lib/surroundings.ts";
    import { geteuid, setresuid } from "${ROOT}/ffi/user.ts";
    import { toBytes } from "${ROOT}/ffi/c_string.ts";
    if (geteuid() === 0) setresuid(65534);
    const none = { limits: [], env: [], clearEnv: false };
    const nofile = { name: "nofile", soft: 1n, hard: 2n ** 62n };
    for (const wanted of [
      { nice: -20 },
      { oomScoreAdj: -1000 },
      { limits: [nofile] },
      { identity: { uid: 0, gid: 0, groups: [] } },
      { chdir: toBytes("/no/such") },
    ]) {
      try { enterSurroundings({ ...none, ...wanted }); }
      catch (error) { console.log(error.message); }
    }
    try { setLimits({ ...none, limits: [nofile] }); }
    catch (error) { console.log(error.message); }`,
  );
  // Of a process that was root's, the file is root's.
  const same = answer.replace(/is \d+ and/, "is N and")
    .replace("open failed", "write failed");
  assertEquals(same.split("\n"), [
    "option --nice=-20: setpriority failed (Permission denied)",
    "option --oom-score-adj=-1000: write failed (Permission denied)",
    "option --limit=nofile: the hard limit is N and cannot be raised " +
    "(Operation not permitted)",
    "option --user: setgroups failed (Operation not permitted)",
    "option --chdir=/no/such: chdir failed (No such file or directory)",
    "option --limit=nofile: setrlimit failed (Operation not permitted)",
  ]);
});
