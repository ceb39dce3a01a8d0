import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  LOGGED,
  logged,
  MONITORED,
  monitorFile,
  shown,
  successorOf,
} from "../monitored.ts";
import { freeze, isAlive, parentOf } from "../proc.ts";
import { CANNOT_UNSHARE } from "../program.ts";
import { type Running, Sandbox, TEND } from "../sandbox.ts";
import { IS_ROOT } from "../verb_calls.ts";
import { numbers, ROTATED, TestWriter } from "../writers.ts";

function said(stdout: string) {
  return { code: 0, stdout, stderr: "" };
}

function failed(text: string) {
  return { code: 1, stdout: "", stderr: `tend: ${text}\n` };
}

/** Waits until a follower has shown a text. */
async function untilShown(box: Sandbox, tail: Running, text: string) {
  await box.until(
    `${text} is shown, and not only ${tail.stdout()}`,
    () => tail.stdout().includes(text),
  );
}

Deno.test("tend logs shows the last 10 lines, from as many files as they are in", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(
    box,
    "--output=out",
    "--log-rotate=6,9",
  );
  await writer.count(12);
  assertEquals(await box.tend("logs", "web"), said(numbers(12, 3)));
  assertEquals(box.read(box.path("out")), "12\n");
});

for (
  const [options, first] of [
    [["-n", "3"], 48],
    [["--lines=50"], 1],
    [["-n99"], 1],
    [["--lines=all"], 1],
    [["-n0"], 51],
    [["-n", "7", "-n", "1"], 50],
  ] as const
) {
  Deno.test(`tend logs ${options.join(" ")} shows that many lines`, async () => {
    await using box = await Sandbox.create();
    const writer = await TestWriter.start(box, ...ROTATED);
    await writer.count(50);
    assertEquals(
      await box.tend("logs", ...options, "web"),
      said(numbers(50, first)),
    );
  });
}

Deno.test("tend logs ends though its daemon writes faster than it reads", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(
    box,
    "--output=out",
    "--limit=fsize=1G",
  );
  writer.run("yes");
  await box.until("it writes", () => Deno.statSync(box.path("out")).size > 1e5);
  const { code, stdout } = await box.tend("logs", "-n2", "web");
  // It may be in the middle of a line.
  assertMatch(stdout, /^y\n(y\n|y)$/);
  assertEquals(code, 0);
});

Deno.test("tend logs shows the bytes that were written", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, "--output=out");
  writer.run("printf '\\377\\000\\033[1mx\\r'");
  await box.until(
    "it is written",
    () => Deno.statSync(box.path("out")).size > 5,
  );
  await box.run(["sh", "-c", '"$1" logs web >shown', "sh", TEND]);
  assertEquals(
    Deno.readFileSync(box.path("shown")),
    Deno.readFileSync(box.path("out")),
  );
});

Deno.test("tend logs shows the files of both streams below their names", async () => {
  await using box = await Sandbox.create();
  const options = ["--stdout=out", "--stderr=err"];
  const writer = await TestWriter.start(box, ...options);
  writer.run("echo bad >&2; echo good");
  const [out, err] = ["out", "err"].map((name) => box.path(name));
  await box.until("it is written", () => box.read(out!) === "good\n");
  const headed = `==> ${out} <==\ngood\n\n==> ${err} <==\nbad\n`;
  assertEquals(await box.tend("logs", "web"), said(headed));
  const tail = box.start([TEND, "logs", "-f", "web"]);
  await box.until("that is shown", () => tail.stdout() === headed);
  writer.run("echo worse >&2");
  await untilShown(box, tail, "\nworse\n");
  await box.tend("stop", "web");
  // That file was the last one anyway.
  assertEquals(await tail.finished(), said(`${headed}worse\n`));
});

Deno.test("tend logs shows what a daemon wrote that was given up", async () => {
  await using box = await Sandbox.create();
  await box.tend(
    ...[...LOGGED, "--restart=always", "--restart-limit=1/1m", "--output=out"],
    ...["--", "echo", "sorry"],
  );
  await logged(box, "giving up");
  await box.until("nobody is left", () => box.processes().length === 0);
  assertEquals(await box.tend("logs", "web"), said("sorry\n"));
  assertEquals(await box.tend("logs", "-f", "web"), said("sorry\n"));
});

Deno.test("tend logs shows what a daemon writes whose monitor was killed, to its end", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...ROTATED);
  await writer.count(3);
  const monitor = parentOf(box.pidfile("web.pid")!);
  Deno.kill(monitor, "SIGKILL");
  await box.until("it has ended", () => !isAlive(monitor));
  const tail = box.start([TEND, "logs", "-f", "web"]);
  await untilShown(box, tail, "3\n");
  writer.run("seq 4 999; exit");
  assertEquals(await tail.finished(), said(numbers(999)));
});

Deno.test("tend logs -f says that a logger goes on when its daemon has ended", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...ROTATED);
  await writer.count(3);
  const { monitor, outputs } = shown(box)!;
  const logger = outputs[0]!.logger!;
  const tail = box.start([TEND, "logs", "-f", "web"]);
  await untilShown(box, tail, "3\n");
  Deno.kill(monitor, "SIGKILL");
  // Before that the kernel would have it go on, as any that loses its parent.
  await box.until("it has ended", () => !isAlive(monitor));
  await freeze(box, logger);
  writer.run("echo lost; exit");
  assertEquals(await tail.finished(), {
    ...said(numbers(3)),
    stderr: `tend: web: has ended, and logger pid ${logger} goes on: what ` +
      "that writes is not shown any more\n",
  });
});

Deno.test("tend logs says that an output is not kept, and what to do", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  assertEquals(
    await box.tend("logs", "web"),
    failed("web: its output is not kept: start it with --output=FILE"),
  );
});

Deno.test("tend logs says that a daemon does not run", async () => {
  await using box = await Sandbox.create();
  assertEquals(
    await box.tend("logs", "-f", "web"),
    failed(
      "web: not running, and where its output is only its monitor could say: " +
        "tend logs --file=FILE shows the file that was its --output",
    ),
  );
});

Deno.test("tend logs --file shows what a daemon wrote that was stopped, across rotations", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...ROTATED);
  await writer.count(50);
  await box.tend("stop", "web");
  const show = (...args: string[]) => box.tend("logs", "--file=out", ...args);
  assertEquals(await show(), said(numbers(50, 41)));
  assertEquals(await show("-n", "all"), said(numbers(50)));
  // Nobody knows an end of that.
  const tail = box.start([TEND, "logs", "-f", "--file=out", "-n1"]);
  await untilShown(box, tail, "50\n");
  Deno.renameSync(box.path("out"), box.path("out.old"));
  Deno.writeTextFileSync(box.path("out"), "51\n");
  await untilShown(box, tail, "50\n51\n");
  Deno.kill(tail.pid, "SIGTERM");
  assertEquals((await tail.finished()).code, 143);
  assertEquals(
    await box.tend("logs", "--file=none"),
    failed("none: there is no such file"),
  );
});

Deno.test("tend logs says that a file cannot be read", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--output=/dev/null", "--", "sleep", "600");
  assertEquals(
    await box.tend("logs", "web"),
    failed("web: /dev/null: not a regular file"),
  );
});

for (
  const [args, message] of [
    [["web", "db"], "db is one word too many"],
    [[], "TARGET is missing"],
    [
      ["--file=out", "web"],
      "option --file: it is in place of web, not beside it",
    ],
    [["--file="], "option --file: FILE is missing"],
    [
      ["--lines=x", "web"],
      "option --lines=x: not a number of lines, and not all",
    ],
    [
      ["--lines=-1", "web"],
      "option --lines=-1: not a number of lines, and not all",
    ],
  ] as const
) {
  Deno.test(`tend logs ${args.join(" ")} is wrong usage`, async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.tend("logs", ...args);
    assertEquals(code, 2);
    assertStringIncludes(stderr, `tend: ${message}. Try 'tend logs --help'.`);
  });
}

Deno.test("tend logs -f shows each line once, across rotations, and ends with the daemon", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(
    box,
    ...["--output=out", "--log-rotate=2000,99"],
  );
  await writer.count(30);
  const tail = box.start([TEND, "logs", "-f", "-n20", "web"]);
  await untilShown(box, tail, "30\n");
  writer.run("seq 31 9999");
  await untilShown(box, tail, "9999\n");
  // That is written to its last line, and shown, though it ends at once.
  writer.run("seq 10000 19999; exit");
  assertEquals(await tail.finished(), said(numbers(19999, 11)));
});

Deno.test("tend logs -f goes on after a crash and after tend restart", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, "--output=out");
  const tail = box.start([TEND, "logs", "-f", "web"]);
  writer.run("echo one");
  await untilShown(box, tail, "one\n");
  const first = box.pidfile("web.pid")!;
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  writer.run("echo two");
  await untilShown(box, tail, "two\n");
  await box.tend("restart", "web");
  assertEquals(box.pidfile("web.pid") === second, false);
  writer.run("echo three");
  await untilShown(box, tail, "three\n");
  await box.tend("stop", "web");
  assertEquals(await tail.finished(), said("one\ntwo\nthree\n"));
});

Deno.test("tend logs -f goes on when another program has renamed the file", async () => {
  await using box = await Sandbox.create();
  const options = ["--output=out", "--log-timestamps"];
  const writer = await TestWriter.start(box, ...options);
  const tail = box.start([TEND, "logs", "-f", "web"]);
  const show = async (word: string) => {
    writer.run(`echo ${word}`);
    await untilShown(box, tail, `Z ${word}\n`);
  };
  await show("before");
  Deno.renameSync(box.path("out"), box.path("out-2026"));
  await show("between");
  assertEquals((await box.tend("reopen", "web")).code, 0);
  await show("behind");
  assertEquals(box.read(box.path("out"))?.split(" ")[1], "behind\n");
});

Deno.test("tend logs -f ends without a word when nobody reads it any more", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...ROTATED);
  await writer.count(3);
  // Nothing more is written.
  const script = '"$1" logs -f web | head -n 1; echo "${PIPESTATUS[0]}"';
  assertEquals(
    await box.run(["bash", "-c", script, "bash", TEND]),
    said("1\n141\n"),
  );
});

Deno.test("tend logs ends without a word when nobody reads it any more", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, "--output=out");
  await writer.count(100_000);
  const script = '"$1" logs -n all web | head -n 1; echo "${PIPESTATUS[0]}"';
  assertEquals(
    await box.run(["bash", "-c", script, "bash", TEND]),
    said("1\n141\n"),
  );
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`tend logs -f ends of ${signal}`, async () => {
    await using box = await Sandbox.create();
    const writer = await TestWriter.start(box, ...ROTATED);
    await writer.count(3);
    const tail = box.start([TEND, "logs", "-f", "web"]);
    await untilShown(box, tail, "3\n");
    Deno.kill(tail.pid, signal);
    const { code, stderr } = await tail.finished();
    assertEquals([code, stderr], [signal === "SIGINT" ? 130 : 143, ""]);
  });
}

Deno.test({
  name: "tend logs -f follows where inotify cannot be had",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const writer = await TestWriter.start(box, ...ROTATED);
    const limit = "echo 0 >/proc/sys/user/max_inotify_instances";
    const tail = box.start([
      ...["unshare", "-Ur", "sh", "-ec", `${limit}; exec "$@"`, "sh"],
      ...[TEND, "logs", "-f", "-n99", "web"],
    ]);
    for (let i = 1; i < 100; i += 50) {
      await writer.count(i + 49, i);
      await untilShown(box, tail, `\n${i + 49}\n`);
    }
    await box.tend("stop", "web");
    assertEquals(await tail.finished(), said(numbers(100)));
  },
});

Deno.test({
  name: "tend logs believes another user's record only of files of that user's",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    const writer = await TestWriter.start(box, "--output=out");
    await writer.count(3);
    Deno.kill(parentOf(box.pidfile("web.pid")!), "SIGKILL");
    const record = await box.until("it is stale", () => {
      const file = monitorFile(box);
      return file.kind === "stale" && file.record;
    });
    const path = box.runPath("web.pid.monitor");
    Deno.chownSync(path, 65534, 65534);
    assertEquals(
      await box.tend("logs", "web"),
      failed(
        `web: ${box.path("out")}: it belongs to user 0, and it is user 65534 ` +
          "who says that it is the output; not read",
      ),
    );
    Deno.chownSync(box.path("out"), 65534, 65534);
    assertEquals(await box.tend("logs", "web"), said(numbers(3)));
    // Nor by way of a link.
    Deno.renameSync(box.path("out"), box.path("own"));
    Deno.symlinkSync("/etc/shadow", box.path("out"));
    assertEquals(record.outputs.length, 1);
    const { code, stdout, stderr } = await box.tend("logs", "web");
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /out: it belongs to user 0, .*; not read\n$/);
  },
});

Deno.test("tend logs says that a record cannot be read", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, "--output=out");
  await writer.count(1);
  const monitor = parentOf(box.pidfile("web.pid")!);
  Deno.kill(monitor, "SIGKILL");
  await box.until("it has ended", () => !isAlive(monitor));
  Deno.writeTextFileSync(box.runPath("web.pid.monitor"), "junk\n");
  assertEquals(
    await box.tend("logs", "web"),
    {
      ...failed("web: where its output is cannot be told: monitor killed"),
      code: 4,
    },
  );
});

Deno.test("tend logs --help has --file in place of TARGET, and says that it does not end then", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await box.tend("logs", "--help");
  const words = stdout.replace(/\s+/g, " ");
  assertMatch(
    words,
    /usage: tend logs \[OPTION\]... \[TARGET \| --file=FILE\] /,
  );
  assertMatch(
    words,
    /--follow [^-]* and its monitor have ended; with --file for ever /,
  );
});
