/** What a daemon wrote last is told where its crash is told. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  LOGGED,
  logged,
  logOf,
  shown,
  successorOf,
  untilShown,
} from "../monitored.ts";
import { lacks } from "../binutils.ts";
import { look, parentOf, titleOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";

/** A daemon that writes, with all of it in its file, and waits to be killed. */
async function startWith(
  box: Sandbox,
  options: readonly string[],
  script: string,
): Promise<number> {
  await box.tend(
    ...[...LOGGED, "--restart-delay=0", ...options, "--", "sh", "-c"],
    `${script}; touch "$0.$$"; exec sleep 600`,
    box.path("done"),
  );
  const daemon = box.pidfile("web.pid")!;
  await untilDone(box, daemon);
  return daemon;
}

async function untilDone(box: Sandbox, daemon: number): Promise<void> {
  await box.until(
    "the daemon has written",
    () => box.exists(box.path(`done.${daemon}`)),
  );
}

/** A loaded machine may have a logger write later than its daemon. */
async function untilLogged(box: Sandbox, last: string): Promise<void> {
  await box.until(
    "its logger has written all",
    () => box.read(box.path("err")) === last,
  );
}

/** Has it crash, and returns what is added to the log's line. */
async function wordsOf(box: Sandbox, daemon: number): Promise<string> {
  Deno.kill(daemon, "SIGSEGV");
  const line = RegExp(`crashes: pid ${daemon} died, .*, restarting(.*)\n`);
  await logged(box, line);
  return line.exec(logOf(box))![1]!;
}

const WAYS: Record<string, readonly string[]> = {
  "--stderr": ["--stderr=err"],
  "--stderr, asleep,": ["--stderr=err", "--sleep-after=0"],
  "--log-rotate": ["--stderr=err", "--log-rotate=1M"],
  "--log-timestamps": ["--stderr=err", "--log-timestamps"],
  "--log-timestamps, asleep,": [
    ...["--stderr=err", "--log-timestamps", "--sleep-after=0"],
  ],
};

for (const [title, options] of Object.entries(WAYS)) {
  Deno.test(`tend ${title} has the last lines of each daemon in the line of its crash`, async () => {
    await using box = await Sandbox.create();
    const script = 'echo "$$ says" >&2; printf "\\tboom: no db\\n\\n" >&2; ' +
      "echo not this";
    const first = await startWith(box, options, script);
    const monitor = parentOf(first);
    const wordsFor = (pid: number) =>
      `; last of its stderr: "${pid} says\\n\\tboom: no db"`;
    assertEquals(await wordsOf(box, first), wordsFor(first));
    const second = await successorOf(first, box);
    await untilDone(box, second);
    assert(!titleOf(monitor).includes("boom"));
    // Of this one alone, and not what the one before it wrote.
    assertEquals(await wordsOf(box, second), wordsFor(second));
    // Its file is everybody's to read, and that which took the words is not.
    await untilShown(box, "the end", ({ lastEnd }) => lastEnd?.pid === second);
    const file = box.read(box.runPath("web.pid.monitor"))!;
    assert(!file.includes(`${second} says\\n`), file);
    const third = await successorOf(second, box);
    // Told, and not a crash: nothing is said.
    await untilDone(box, third);
    assertEquals((await box.tend("restart", "web")).code, 0);
    await logged(box, "told to restart");
    assertMatch(logOf(box), /told to restart, .*, restarting\n/);
    await box.tend("stop", "web");
    assertMatch(logOf(box), /, exiting\n$/);
  });
}

Deno.test("tend --output has the last of both streams in the line of a crash", async () => {
  await using box = await Sandbox.create();
  const script = "echo out; echo err >&2";
  const daemon = await startWith(box, ["--output=all"], script);
  assertEquals(
    await wordsOf(box, daemon),
    '; last of its output: "out\\nerr"',
  );
});

Deno.test("tend --stdout alone says nothing of stderr", async () => {
  await using box = await Sandbox.create();
  const script = "echo out; echo err >&2";
  const daemon = await startWith(box, ["--stdout=all"], script);
  assertEquals(await wordsOf(box, daemon), "");
});

Deno.test("tend --stderr says no more of a crash than five lines", async () => {
  await using box = await Sandbox.create();
  const daemon = await startWith(box, ["--stderr=err"], "seq 1 99 >&2");
  assertEquals(
    await wordsOf(box, daemon),
    '; last of its stderr: "95\\n96\\n97\\n98\\n99"',
  );
});

for (const end of ["", "echo >&2", "echo >&2; echo >&2"]) {
  Deno.test(
    `tend --stderr says the end of a long line that is the last${
      end && `, then ${end}`
    }`,
    async () => {
      await using box = await Sandbox.create();
      // Of characters of three bytes: the cut is in one of them.
      const script = "echo before >&2; for i in $(seq 500); do " +
        `printf "\u20ac" >&2; done; ${end || ":"}`;
      const words = await wordsOf(
        box,
        await startWith(box, ["--stderr=err"], script),
      );
      assertMatch(words, /^; last of its stderr: "…\u20ac{341}"$/);
    },
  );
}

Deno.test("tend --stderr says the lines behind a long one", async () => {
  await using box = await Sandbox.create();
  for (
    const [length, words] of [[1022, "b"], [
      1021,
      `${"0".repeat(1020)}2\\nb`,
    ]] as const
  ) {
    const script = `printf "1\\n%0${length}d\\nb\\n" 2 >&2`;
    const daemon = await startWith(box, ["--stderr=err"], script);
    const said = await wordsOf(box, daemon);
    assertEquals(said, `; last of its stderr: "${words}"`);
    await box.tend("stop", "web");
  }
});

Deno.test("tend --stderr makes one line of a crash, whatever was written", async () => {
  await using box = await Sandbox.create();
  const script = "printf 'a\\033[2J\\r\\n\"\\\\\\000\\302\\205\\377\\n' >&2";
  const daemon = await startWith(box, ["--stderr=err"], script);
  assertEquals(
    await wordsOf(box, daemon),
    '; last of its stderr: "a\\u001b[2J\\n\\"\\\\\ufffd\\u0085\ufffd"',
  );
});

Deno.test("tend --stderr finds what was written in a file that was moved away", async () => {
  await using box = await Sandbox.create();
  const script = "echo one >&2; until [ -e moved ]; do sleep 0.01; done; " +
    "echo two >&2";
  await box.tend(
    ...[...LOGGED, "--no-chdir", "--stderr=err", "--", "sh", "-c"],
    `${script}; touch "$0.$$"; exec sleep 600`,
    box.path("done"),
  );
  const daemon = box.pidfile("web.pid")!;
  await box.until("it writes", () => box.read(box.path("err")) === "one\n");
  Deno.renameSync(box.path("err"), box.path("err.1"));
  // What others write there is not the daemon's.
  Deno.writeTextFileSync(box.path("err"), "not this\n");
  Deno.writeTextFileSync(box.path("moved"), "");
  await untilDone(box, daemon);
  assertEquals(
    await wordsOf(box, daemon),
    '; last of its stderr: "one\\ntwo"',
  );
});

Deno.test("tend --log-rotate finds what was written in several files", async () => {
  await using box = await Sandbox.create();
  const daemon = await startWith(
    box,
    ["--stderr=err", "--log-rotate=8,5"],
    "echo before >&2; echo a line >&2; echo another >&2",
  );
  await untilLogged(box, "another\n");
  assertEquals(
    await wordsOf(box, daemon),
    '; last of its stderr: "before\\na line\\nanother"',
  );
});

Deno.test({
  name: "tend --log-rotate finds it while the next daemon moves those files on",
  ignore: await lacks(["strace"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const options = ["--stderr=err", "--log-rotate=8,9", "--sleep-after=never"];
    const script = "echo before >&2; echo a line >&2; echo another >&2";
    const next = '[ ! -e "$0.next" ] || until [ -e "$0.go" ]; do ' +
      'sleep 0.01; done; touch "$0.next"';
    const daemon = await startWith(box, options, `${next}; ${script}`);
    await untilLogged(box, "another\n");
    const monitor = parentOf(daemon);
    // Stopped where it has opened the newest file, before it reads it.
    const strace = box.start([
      ...["strace", "-qq", "-o", box.path("trace"), "-P", box.path("err")],
      ...["-e", "inject=openat:signal=SIGSTOP:when=1", "-p", `${monitor}`],
    ]);
    await box.until(
      "it is traced",
      () => look(monitor)?.status.get("TracerPid") === `${strace.pid}`,
    );
    const words = wordsOf(box, daemon);
    await box.until(
      "it has stopped",
      () => box.read(box.path("trace"))?.includes("--- stopped by SIGSTOP"),
    );
    Deno.writeTextFileSync(box.path("done.go"), "");
    await box.until(
      "the next one has written as much",
      () => box.read(box.path("err.5")) === "before\n",
    );
    Deno.kill(monitor, "SIGCONT");
    assertEquals(
      await words,
      '; last of its stderr: "before\\na line\\nanother"',
    );
  },
});

Deno.test("tend --stderr says it where the next start has to wait, behind that, and when it gives up", async () => {
  await using box = await Sandbox.create();
  await box.tend(
    // Long enough for its end to come first, on a loaded machine too.
    ...[...LOGGED, "--restart=on-failure", "--restart-delay=3"],
    ...["--restart-limit=3/1m", "--stderr=err"],
    `--on-crash=echo "$TEND_STDERR" >>${box.path("hook")}`,
    ...["--", "sh", "-c", "echo boom >&2; exit 3"],
  );
  await logged(box, "giving up");
  const said = [...logOf(box).matchAll(/exit status 3, (.*)\n/g)]
    .map(([, text]) => text);
  const words = '; last of its stderr: "boom"';
  assertEquals(said, [
    `restarting${words}`,
    `waiting until 3 seconds since last restart${words}`,
    // Once more: who logs errors alone has not seen the line before.
    `restarting${words}`,
    `3 ends within 60 seconds, giving up${words}`,
  ]);
  await box.until(
    "each crash was told",
    () => box.read(box.path("hook")) === "boom\n".repeat(3),
  );
  const { stdout } = await box.tend("status", "--json", "web");
  assertStringIncludes(stdout, "gave up");
});

Deno.test("tend --log-timestamps restarts, with nothing said, when its logger does not answer", async () => {
  await using box = await Sandbox.create();
  const daemon = await startWith(
    box,
    ["--stderr=err", "--log-timestamps"],
    "true",
  );
  const logger = shown(box)!.outputs[0]!.logger!;
  Deno.kill(logger, "SIGSTOP");
  assertEquals(await wordsOf(box, daemon), "");
  Deno.kill(logger, "SIGCONT");
});
