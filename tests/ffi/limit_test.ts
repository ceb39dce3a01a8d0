import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  getrlimit,
  RLIM_INFINITY,
  RLIMIT_CORE,
  RLIMITS,
} from "../../ffi/limit.ts";
import { LibcError } from "../../ffi/libc.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** The lines of `/proc/self/limits`, by their numbers. */
const NAMES = [
  "cpu time",
  "file size",
  "data size",
  "stack size",
  "core file size",
  "resident set",
  "processes",
  "open files",
  "locked memory",
  "address space",
  "file locks",
  "pending signals",
  "msgqueue size",
  "nice priority",
  "realtime priority",
  "realtime timeout",
];

NAMES.forEach((name, resource) => {
  Deno.test(`getrlimit() of ${resource} is "Max ${name}" of /proc/self/limits`, () => {
    assertEquals(getrlimit(resource), limitIn("/proc/self/limits", name));
  });
});

Deno.test("RLIMITS has all limits, under the names of prlimit(1)", () => {
  const { stdout } = new Deno.Command("prlimit", {
    args: ["--raw", "--noheadings", "--output=RESOURCE"],
  }).outputSync();
  const names = new TextDecoder().decode(stdout).trim().toLowerCase();
  assertEquals(
    Object.keys(RLIMITS).sort(),
    names.split("\n").map((name) => name.trim()).sort(),
  );
  const described = Object.entries(RLIMITS).map(([name, resource]) => {
    const { stdout } = new Deno.Command("prlimit", {
      args: [`--pid=${Deno.pid}`, `--${name}`, "--raw", "--noheadings"]
        .concat("--output=SOFT,HARD"),
    }).outputSync();
    const { soft, hard } = getrlimit(resource);
    const text = (limit: bigint) =>
      limit === RLIM_INFINITY ? "unlimited" : String(limit);
    return [
      new TextDecoder().decode(stdout).trim(),
      `${text(soft)} ${text(hard)}`,
    ];
  });
  for (const [prlimits, ours] of described) assertEquals(ours, prlimits);
});

Deno.test("RLIMIT_CORE is the limit of core dumps", () => {
  assertEquals(NAMES[RLIMIT_CORE], "core file size");
});

Deno.test("getrlimit() throws EINVAL for a resource that there is not", () => {
  const error = assertThrows(() => getrlimit(99), LibcError);
  assertEquals(error.message, "getrlimit failed (Invalid argument)");
});

const SET = `
  import { getrlimit, RLIMIT_CORE, setrlimit } from "${ROOT}/ffi/limit.ts";
  const { hard } = getrlimit(RLIMIT_CORE);`;

Deno.test("setrlimit() sets the soft limit and leaves the hard one", async () => {
  await using box = await Sandbox.create();
  const limits = await ask(
    box,
    `${SET}
    setrlimit(RLIMIT_CORE, { soft: 0n, hard });
    console.log(Deno.readTextFileSync("/proc/self/limits"));`,
  );
  const file = box.path("limits");
  Deno.writeTextFileSync(file, limits);
  const { hard } = getrlimit(RLIMIT_CORE);
  assertEquals(limitIn(file, "core file size"), { soft: 0n, hard });
});

Deno.test("setrlimit() throws EINVAL for a soft limit above the hard one", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `${SET}
    try {
      setrlimit(RLIMIT_CORE, { soft: 2n, hard: 1n });
    } catch (error) { console.log(error.message); }`,
  );
  assertEquals(answer, "setrlimit failed (Invalid argument)");
});

function limitIn(file: string, name: string): { soft: bigint; hard: bigint } {
  const line = Deno.readTextFileSync(file).split("\n")
    .find((line) => line.startsWith(`Max ${name} `))!;
  const [soft, hard] = line.slice(`Max ${name} `.length).trim().split(/ +/)
    .slice(0, 2)
    .map((word) => word === "unlimited" ? 2n ** 64n - 1n : BigInt(word));
  return { soft: soft!, hard: hard! };
}
