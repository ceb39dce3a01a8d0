/** What verbs say of daemons that they cannot look at: never that they ended. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { lacks } from "../binutils.ts";
import { MONITORED, untilAsleep } from "../monitored.ts";
import { parentOf } from "../proc.ts";
import { type Finished, Sandbox, TEND } from "../sandbox.ts";

/** From too few for a start to enough for any verb. */
const LIMITS = [4, 13, 14, 15, 16, 17, 18, 19, 20, 21, 24];
/** Those that leave the daemon as it is, with what else they may say of it. */
const VERBS: readonly (readonly [verb: string, others?: RegExp])[] = [
  ["status"],
  ["list --json"],
  ["kill -s CONT"],
  ["reload -s CONT"],
  ["reopen"],
  ["logs"],
  ["wait --ready"],
  ["wait --timeout=0", /^tend: web: pid \d+ runs still after 0 s\n$/],
];
const LACK = /Too many open files|^tend: too few descriptors are free/;

/** Calls tend with so few descriptors. */
function withFew(
  box: Sandbox,
  limit: number,
  ...args: string[]
): Promise<Finished> {
  const script = 'ulimit -n "$1"; shift; exec "$@"';
  return box.run(["sh", "-c", script, "sh", `${limit}`, TEND, ...args]);
}

function check(
  what: string,
  { code, stdout, stderr }: Finished,
  others = /^$/,
): void {
  const said = `${what}: exit status ${code}, ${stdout}${stderr}`;
  if (code === 0) {
    assertEquals(stderr, "", said);
  } else if (!others.test(stderr)) {
    assert([1, 4].includes(code), said);
    assertMatch(stdout + stderr, LACK, said);
  }
  assert(
    !/not running|stopped\b(?<!not stopped)|changing|"ended"/.test(
      stdout + stderr,
    ),
    said,
  );
}

for (const sleepAfter of ["never", "0"]) {
  const options = [
    ...[...MONITORED, `--sleep-after=${sleepAfter}`, "--output=out"],
    ...["--log-timestamps", "--", "sleep", "600"],
  ];
  const which = sleepAfter === "0" ? "a monitor that sleeps" : "a monitor";

  for (const [verb, others] of VERBS) {
    Deno.test(`tend ${verb} with few descriptors says nothing wrong of ${which}`, async () => {
      await using box = await Sandbox.create();
      await box.tend(...options);
      const daemon = box.pidfile("web.pid")!;
      if (sleepAfter === "0") await untilAsleep(box, parentOf(daemon));
      const target = verb.startsWith("list") ? [] : ["web"];
      let enough = 0;
      for (const limit of LIMITS) {
        const told = await withFew(box, limit, ...verb.split(" "), ...target);
        check(`ulimit -n ${limit}`, told, others);
        if (verb === "status") assert([0, 4].includes(told.code), `${limit}`);
        if (told.code === 0 || others?.test(told.stderr)) enough++;
      }
      assert(enough > 0 && enough < LIMITS.length);
      assertEquals(box.pidfile("web.pid"), daemon);
    });
  }

  for (const verb of ["stop", "restart"]) {
    Deno.test(`tend ${verb} with few descriptors does it or says why not, of ${which}`, async () => {
      await using box = await Sandbox.create();
      await box.tend(...options);
      for (const limit of LIMITS) {
        const before = box.pidfile("web.pid");
        assert(before !== undefined);
        const told = await withFew(box, limit, verb, "web");
        check(`ulimit -n ${limit}`, told);
        const now = box.pidfile("web.pid");
        assertEquals(now === before, told.code !== 0, `ulimit -n ${limit}`);
        if (now === undefined) await box.tend(...options);
      }
    });
  }
}

Deno.test("tend stop with few descriptors does not take a stale pidfile for another file", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"), { recursive: true });
  for (const limit of LIMITS) {
    Deno.writeTextFileSync(box.runPath("web.pid"), "4194304\n");
    const { code, stdout, stderr } = await withFew(box, limit, "stop", "web");
    if (code === 0) {
      const said = "web: not running, its stale files are removed\n";
      assertEquals([stdout, box.exists(box.runPath("web.pid"))], [said, false]);
    } else {
      assertMatch(stderr, LACK);
      assertEquals([stdout, box.pidfile("web.pid")], ["", 4194304]);
    }
  }
});

Deno.test("tend wait and status --all with fewer descriptors than daemons say nothing wrong", async () => {
  await using box = await Sandbox.create();
  for (let i = 0; i < 9; i++) {
    await box.tend("--detach", `--pidfile=${i}.pid`, "--", "sleep", "600");
  }
  const wait = ["wait", "--all", "--timeout=500ms"];
  const { stderr } = await withFew(box, 24, ...wait);
  const lines = stderr.trimEnd().split("\n");
  assertEquals(lines.length, 9);
  for (const line of lines) {
    assertMatch(
      line,
      /^tend: \d: (pid \d+ runs still after 0.5 s|\S.*: Too many open files, not waited for)$/,
    );
  }
  const status = await withFew(box, 24, "status", "--all");
  assertEquals([status.code, status.stdout.match(/running/g)?.length], [0, 9]);
});

for (
  const [errno, why] of [
    ["EMFILE", "Too many open files"],
    ["ENOMEM", "Cannot allocate memory"],
    ["EIO", "Input/output error"],
  ] as const
) {
  Deno.test({
    name:
      `tend kill, wait and status end with 4 where a look fails with ${errno}`,
    ignore: await lacks(["strace"]),
    fn: async () => {
      await using box = await Sandbox.create();
      await box.tend(
        "--detach",
        "--pidfile=web.pid",
        "--exec",
        "--",
        "sleep",
        "600",
      );
      const pidfile = box.runPath("web.pid");
      // From the second look on: the first has seen that it runs.
      const strace = (when: string) => [
        ...["strace", "-qq", "-o", "/dev/null", "-P", pidfile],
        ...["-e", `inject=openat:error=${errno}:when=${when}`, TEND],
      ];
      for (
        const [verb, participle] of [["kill", "signalled"], [
          "wait",
          "waited for",
        ]]
      ) {
        assertEquals(await box.run([...strace("2+"), verb!, "web"]), {
          code: 4,
          stdout: "",
          stderr: `tend: web: ${pidfile}: ${why}, not ${participle}\n`,
        });
      }
      const { code, stdout } = await box.run([
        ...strace("1+"),
        "status",
        "web",
      ]);
      assertEquals(code, 4);
      assertMatch(stdout, new RegExp(`unknown, \\S+: ${why} `));
      // Nor can it be told then what was asked.
      const cmdline = "/proc/self/cmdline";
      const unread = await box.run([
        ...["strace", "-qq", "-o", "/dev/null", "-P", cmdline],
        ...["-e", `inject=openat:error=${errno}`, TEND, "status", "web"],
      ]);
      assertEquals(unread.code, 4);
      // Before it strace says which path that is.
      assertMatch(
        unread.stderr,
        new RegExp(`^tend: ${cmdline}: open failed \\(${why}\\)$`, "m"),
      );
    },
  });
}
