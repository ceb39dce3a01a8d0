import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { toBytes } from "../../../ffi/c_string.ts";
import {
  allTargets,
  parseTarget,
  readTargets,
} from "../../../lib/cli/target.ts";
import { UsageError } from "../../../lib/options.ts";
import { Sandbox } from "../../sandbox.ts";
import "../../open_libc.ts";

/** Words, the daemon's name and its pidfile. */
const PARSED: readonly [string, string, string][] = [
  ["web", "web", "/run/here/web.pid"],
  ["web.pid", "web", "/run/here/web.pid"],
  ["/run/here/web.pid", "web", "/run/here/web.pid"],
  ["/run/here/web", "/run/here/web", "/run/here/web"],
  ["/srv/web.pid", "/srv/web.pid", "/srv/web.pid"],
  ["sub/web.pid", "/run/here/sub/web.pid", "/run/here/sub/web.pid"],
  ["sub/web", "/run/here/sub/web", "/run/here/sub/web"],
  ["my db", "my db", "/run/here/my db.pid"],
  ["web.pid.pid", "web.pid", "/run/here/web.pid.pid"],
  [".pid", "/run/here/.pid", "/run/here/.pid"],
  ["-x", "-x", "/run/here/-x.pid"],
];

for (const [word, name, pidfile] of PARSED) {
  Deno.test(`parseTarget() reads ${word}`, () => {
    Deno.env.set("TEND_RUNDIR", "/run/here");
    assertEquals(parseTarget(word), { name, pidfile });
  });
}

Deno.test("parseTarget() refuses an empty word", () => {
  assertThrows(() => parseTarget(""), UsageError, "TARGET is empty");
});

Deno.test("parseTarget() needs no run directory for a path, and one for a name", () => {
  Deno.env.set("TEND_RUNDIR", "relative");
  const pidfile = "/srv/web.pid";
  assertEquals(parseTarget(pidfile), { name: pidfile, pidfile });
  assertThrows(() => parseTarget("web"), Error, "not an absolute path");
});

Deno.test("allTargets() is every pidfile of the run directory, by name", async () => {
  await using box = await Sandbox.create();
  await Deno.mkdir(box.path("run"));
  const names = [
    "b.pid",
    "a.pid",
    ".c.pid",
    "d.pid.tmp",
    ".pid",
    "e",
    "my f.pid",
  ];
  for (const name of names) await Deno.writeTextFile(box.runPath(name), "");
  Deno.env.set("TEND_RUNDIR", box.path("run"));
  const paths = [".c.pid", ".pid", "a.pid", "b.pid", "my f.pid"]
    .map((name) => box.runPath(name));
  assertEquals(allTargets().map(({ pidfile }) => pidfile), paths);
  assertEquals(
    allTargets().map(({ name }) => name),
    [".c", box.runPath(".pid"), "a", "b", "my f"],
  );
});

Deno.test("allTargets() passes over a name that is not UTF-8", async () => {
  await using box = await Sandbox.create();
  await box.run(["sh", "-c", 'mkdir run; : >"run/$(printf "a\\377").pid"']);
  await Deno.writeTextFile(box.runPath("b\ufffd.pid"), "");
  Deno.env.set("TEND_RUNDIR", box.path("run"));
  assertEquals(allTargets().map(({ name }) => name), ["b\ufffd"]);
});

Deno.test("allTargets() is empty where there is no run directory", async () => {
  await using box = await Sandbox.create();
  Deno.env.set("TEND_RUNDIR", box.path("run"));
  assertEquals(allTargets(), []);
});

Deno.test("allTargets() says why the run directory cannot be read", async () => {
  await using box = await Sandbox.create();
  await Deno.writeTextFile(box.path("run"), "");
  Deno.env.set("TEND_RUNDIR", box.path("run"));
  assertThrows(
    () => allTargets(),
    Error,
    `${box.path("run")}: opendir failed (Not a directory)`,
  );
});

Deno.test("readTargets() keeps the order of the words", () => {
  Deno.env.set("TEND_RUNDIR", "/run/here");
  const operands = ["b", "a", "b"].map(toBytes);
  assertEquals(
    readTargets({ given: [], operands }).map(({ name }) => name),
    ["b", "a", "b"],
  );
});

const ALL = { name: "all", value: undefined } as const;

Deno.test("readTargets() is all of the run directory with --all", async () => {
  await using box = await Sandbox.create();
  await Deno.mkdir(box.path("run"));
  await Deno.writeTextFile(box.runPath("web.pid"), "");
  Deno.env.set("TEND_RUNDIR", box.path("run"));
  assertEquals(
    readTargets({ given: [ALL], operands: [] }).map(({ name }) => name),
    ["web"],
  );
});

Deno.test("readTargets() refuses --all and a word together", () => {
  assertThrows(
    () => readTargets({ given: [ALL], operands: [toBytes("web")] }),
    UsageError,
    "options --all and TARGET web exclude each other",
  );
});

Deno.test("readTargets() refuses to be about nothing", () => {
  assertThrows(
    () => readTargets({ given: [], operands: [] }),
    UsageError,
    "TARGET is missing",
  );
});

Deno.test("allTargets() has a daemon that has a monitor and no pidfile", async () => {
  await using box = await Sandbox.create();
  Deno.env.set("TEND_RUNDIR", box.dir);
  for (const name of ["a.pid", "a.pid.monitor", "b.pid.monitor", "c.monitor"]) {
    Deno.writeTextFileSync(box.path(name), "");
  }
  assertEquals(allTargets(), [
    { name: "a", pidfile: box.path("a.pid") },
    { name: "b", pidfile: box.path("b.pid") },
  ]);
});
