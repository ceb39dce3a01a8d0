/** What COMMAND writes goes through loggers. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { basename } from "@std/path/basename";
import { lacks } from "../binutils.ts";
import {
  LOGGED,
  logged,
  MONITORED,
  shown,
  SLEEPY,
  startAsleep,
  successorOf,
  untilAsleep,
  untilItWaits,
  untilShown,
} from "../monitored.ts";
import {
  childrenOf,
  fdsOf,
  freeze,
  isAlive,
  isAsleep,
  parentOf,
  signalsIn,
  titleOf,
} from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const IS_ROOT = Deno.uid() === 0;
const ROTATED = ["--output=all", "--log-rotate=10k,500"];
const STAMPED = ["--output=all", "--log-timestamps"];
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z /;

/** The processes that write to a file of the sandbox. */
function loggersOf(box: Sandbox, name = "all"): number[] {
  const title = `tend: logging to ${box.path(name)}`;
  return box.processes().filter((pid) => titleOf(pid) === title);
}

/** Waits until there is one, other than some. */
function loggerOf(box: Sandbox, ...others: number[]): Promise<number> {
  return box.until("there is a logger", () => {
    const [pid, ...more] = loggersOf(box).filter((pid) =>
      !others.includes(pid)
    );
    return more.length === 0 && pid;
  });
}

/** What is in a file and those it was rotated to, the oldest first. */
function allOf(box: Sandbox, name = "all"): string {
  let text = "";
  for (let i = 0;; i++) {
    const part = box.read(box.path(i === 0 ? name : `${name}.${i}`));
    if (part === undefined) return text;
    text = part + text;
  }
}

/** Numbers, a line each. */
function numbers(count: number): string {
  return Array.from({ length: count }, (_, i) => `${i + 1}\n`).join("");
}

/** Waits until all that was written is in the files. */
async function untilWritten(box: Sandbox, text: string): Promise<void> {
  await box.until(
    "all is written",
    () => allOf(box).length >= text.length,
  );
  assert(allOf(box) === text);
}

for (const mode of [[], ["--pidfile"], ["--monitor", "-v=console:err"]]) {
  Deno.test(`${["tend", ...mode].join(" ")} --log-rotate keeps every line whole, in its place, and stays for that`, async () => {
    await using box = await Sandbox.create();
    const finished = await box.tend(
      ...[...mode, ...ROTATED, "--", "sh", "-c", "seq 1 50000; exit 3"],
    );
    assertEquals(finished, { code: 3, stdout: "", stderr: "" });
    // No waiting: all is there when tend has ended.
    assert(allOf(box) === numbers(50000));
    const files = [...Deno.readDirSync(box.dir)].map(({ name }) => name)
      .filter((name) => name.startsWith("all"));
    assert(files.length > 20, `${files}`);
    for (const name of files) {
      const text = box.read(box.path(name))!;
      assert(text.endsWith("\n") && text.length <= 10240, name);
    }
    await box.until("no logger is left", () => box.processes().length === 0);
  });
}

Deno.test("tend --log-timestamps puts the time of this moment before each line", async () => {
  await using box = await Sandbox.create();
  const before = Date.now();
  await box.tend(
    ...["--stdout=out", "--stderr=err", "--log-timestamps", "--", "sh", "-c"],
    "echo a; echo; echo b >&2; printf c",
  );
  const [out, err] = ["out", "err"].map((name) => box.read(box.path(name))!);
  for (const line of out!.split("\n")) assertMatch(line, STAMP);
  const texts = out!.split("\n").map((line) => line.replace(STAMP, ""));
  assertEquals(texts, ["a", "", "c"]);
  assertEquals(err!.replace(STAMP, ""), "b\n");
  const time = Date.parse(STAMP.exec(err!)![0].trim());
  assert(time >= before && time <= Date.now());
});

Deno.test("tend --log-timestamps has a logger that nothing but SIGKILL and the end of its writers ends", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, ...STAMPED, "--", "sleep", "600");
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  const [logger] = loggersOf(box);
  assertEquals(childrenOf(monitor).sort(), [daemon, logger].sort());
  assertEquals(shown(box)!.outputs, [{
    streams: "both",
    file: new TextEncoder().encode(box.path("all")),
    count: 0,
    logger: logger!,
    trouble: undefined,
  }]);
  const { stdout } = await box.tend("status", "--json", "web");
  const [status] = JSON.parse(stdout);
  assertEquals([status.pid, status.outputs], [daemon, [
    {
      streams: "both",
      file: box.path("all"),
      count: 0,
      logger,
      trouble: null,
    },
  ]]);
  const group = (pid: number) => box.read(`/proc/${pid}/stat`)!.split(" ")[4];
  assertEquals(group(logger!), String(logger));
  for (
    const signal of ["SIGTERM", "SIGINT", "SIGSEGV", "SIGPIPE", "SIGALRM"]
  ) {
    Deno.kill(logger!, signal as Deno.Signal);
  }
  assertEquals(signalsIn(logger!, "SigCgt"), []);
  await box.tend("stop", "web");
  await box.until("the logger has ended", () => !isAlive(logger!));
  assert(!(box.read(box.path("log/web.log")) ?? "").includes("logging to"));
});

Deno.test("tend --log-timestamps gives nobody a descriptor that is not theirs", async () => {
  await using box = await Sandbox.create();
  // One of the caller's that is kept, and one that is not.
  const script = `exec 7</ 8</; exec ${TEND} ${LOGGED.join(" ")} ` +
    `${STAMPED.join(" ")} --keep-fd=8 --sleep-after=never -- sleep 600`;
  await box.run(["sh", "-c", script]);
  const first = box.pidfile("web.pid")!;
  const logger = await loggerOf(box);
  const kinds = [...fdsOf(logger).values()]
    .map((to) => to.replace(/^pipe:.*/, "pipe")).sort();
  assertEquals(
    kinds,
    [
      ...["/dev/null", "/dev/null", "/dev/null", box.path("all")],
      ...["anon_inode:[eventfd]", "anon_inode:[signalfd]", "pipe"],
      "anon_inode:[pidfd]",
    ].sort(),
  );
  const fds = fdsOf(first);
  assertEquals([...fds.keys()].sort((a, b) => a - b), [0, 1, 2, 8, 100]);
  assertEquals(fds.get(1), fds.get(2));
  assertMatch(fds.get(1)!, /^pipe:/);
  const monitor = parentOf(first);
  const monitors = () =>
    [...fdsOf(monitor)].map(([fd, to]) => `${fd} ${to}`).sort();
  await untilItWaits(box, monitor);
  const before = monitors();
  // By the fast way of a restart, too.
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  assertEquals(fdsOf(second), fds);
  await logged(box, "restarting");
  await box.until(
    "the monitor has the same descriptors",
    () => monitors().join() === before.join(),
  );
  assertEquals(loggersOf(box), [logger]);
});

/** Writes lines when the file `go` is there, and again at its end. */
const WRITES = [
  "sh",
  "-c",
  'until [ -e "$0" ]; do sleep 0.01; done; seq 1 20000; exec sleep 600',
];

/** Waits until a child of a daemon waits for room in the pipe. */
async function untilFull(box: Sandbox, daemon: number): Promise<void> {
  await box.until(
    "COMMAND waits for room",
    () =>
      childrenOf(daemon).some((pid) =>
        box.read(`/proc/${pid}/syscall`)?.startsWith("1 0x1 ") ||
        box.read(`/proc/${pid}/wchan`)?.includes("pipe")
      ),
  );
}

for (const sleepAfter of ["never", "0"]) {
  Deno.test(`tend --sleep-after=${sleepAfter} loses nothing when a logger is killed`, async () => {
    await using box = await Sandbox.create();
    await box.tend(
      ...[...LOGGED, `--sleep-after=${sleepAfter}`, ...ROTATED, "--"],
      ...[...WRITES, box.path("go")],
    );
    const daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);
    if (sleepAfter === "0") await untilAsleep(box, monitor);
    const first = await loggerOf(box);
    // It has read nothing when it is killed, and COMMAND is stuck.
    await freeze(box, first);
    Deno.writeTextFileSync(box.path("go"), "");
    await untilFull(box, daemon);
    Deno.kill(first, "SIGKILL");
    const second = await loggerOf(box, first);
    await untilWritten(box, numbers(20000));
    await untilShown(
      box,
      "the second logger",
      ({ outputs }) => outputs[0]?.logger === second,
    );
    assertStringIncludes(
      box.read(box.path("log/web.log"))!,
      `WARN|pid ${first}, logging to ${
        box.path("all")
      }, died, killed (Killed)\n`,
    );
    // Once more, too soon for another at once.
    Deno.kill(second, "SIGKILL");
    const third = await loggerOf(box, first, second);
    assertEquals([isAlive(daemon), parentOf(third)], [true, monitor]);
    if (sleepAfter === "0") await untilAsleep(box, monitor);
  });
}

Deno.test("a logger goes on when its monitor is killed, until nobody writes any more", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startAsleep(box, [
    ...[TEND, ...SLEEPY, ...ROTATED, "--", ...WRITES, box.path("go")],
  ]);
  const logger = await loggerOf(box);
  Deno.kill(monitor, "SIGKILL");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  Deno.writeTextFileSync(box.path("go"), "");
  await untilWritten(box, numbers(20000));
  assertEquals([isAlive(daemon), isAlive(logger)], [true, true]);
  Deno.kill(daemon, "SIGTERM");
  await box.until("the logger has ended", () => !isAlive(logger));
});

Deno.test("a logger outlives its monitor that has ended, with what COMMAND has left", async () => {
  await using box = await Sandbox.create();
  const script = '(trap "" HUP TERM; until [ -e "$0" ]; do sleep 0.01; done; ' +
    "echo late) & echo early; exec sleep 600";
  const options = [...LOGGED, ...STAMPED, "--kill-mode=process"];
  await box.tend(...options, "--", "sh", "-c", script, box.path("go"));
  const logger = await loggerOf(box);
  const monitor = parentOf(logger);
  await box.until("it has begun", () => allOf(box).endsWith("early\n"));
  Deno.kill(box.pidfile("web.pid")!, "SIGTERM");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  assert(isAlive(logger));
  Deno.writeTextFileSync(box.path("go"), "");
  await box.until("the logger has ended", () => !isAlive(logger));
  assertMatch(allOf(box), /Z early\n.*Z late\n$/);
});

Deno.test("tend stop returns when all that COMMAND wrote is in its file", async () => {
  await using box = await Sandbox.create();
  const script = 'trap "seq 1 9000; exit" TERM; while :; do sleep 0.01; done';
  for (const options of [LOGGED, SLEEPY]) {
    await box.tend(...options, ...ROTATED, "--", "sh", "-c", script);
    if (options === SLEEPY) {
      const monitor = parentOf(box.pidfile("web.pid")!);
      await untilAsleep(box, monitor);
    }
    const { code } = await box.tend("stop", "web");
    assertEquals(code, 0);
    assert(allOf(box).endsWith(numbers(9000)));
  }
});

Deno.test("tend stop does not wait for a logger that does not answer, and says so", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, ...STAMPED, "--", "sleep", "600");
  const logger = await loggerOf(box);
  Deno.kill(logger, "SIGSTOP");
  const late = `output still on its way to ${box.path("all")}: logger pid ` +
    `${logger} goes on`;
  assertEquals(
    [await box.tend("stop", "web"), box.runFiles()],
    [{ code: 0, stdout: "", stderr: `tend: web: ${late}\n` }, []],
  );
  await logged(box, `WARN|${late}\n`);
  Deno.kill(logger, "SIGCONT");
  await box.until("it has ended", () => !isAlive(logger));
});

/** Writes so many lines at its end, and some words. */
const LAST_WORDS = [
  ...[
    "sh",
    "-c",
    'trap "seq 1 $0; exit" TERM; echo begun; ' +
    "while :; do sleep 0.01; done",
  ],
];

Deno.test("tend stop loses nothing when a logger was killed, too soon for another at once", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, ...ROTATED, "--", ...LAST_WORDS, "5000");
  await box.until("it has begun", () => allOf(box) === "begun\n");
  Deno.kill(await loggerOf(box), "SIGKILL");
  const { code } = await box.tend("stop", "web");
  assertEquals(code, 0);
  assert(allOf(box).endsWith(numbers(5000)));
});

Deno.test("a monitor that ends loses nothing when a logger is killed with the daemon", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, ...ROTATED, "--", ...WRITES, box.path("go"));
  const daemon = box.pidfile("web.pid")!;
  const [logger, monitor] = [await loggerOf(box), parentOf(daemon)];
  await freeze(box, logger);
  Deno.writeTextFileSync(box.path("go"), "");
  await untilFull(box, daemon);
  // None of this is waited for before the last.
  await freeze(box, monitor);
  const writers = childrenOf(daemon);
  Deno.kill(daemon, "SIGKILL");
  Deno.kill(logger, "SIGKILL");
  Deno.kill(monitor, "SIGCONT");
  await box.until("the monitor has ended", () => !isAlive(monitor));
  await box.until("nobody is left", () => box.processes().length === 0);
  writers.forEach((pid) => assert(!isAlive(pid)));
  const text = allOf(box);
  assert(text.length > 10_000 && numbers(20000).startsWith(text));
});

Deno.test("loggers stay through crashes, restarts and the sleep of their monitor", async () => {
  await using box = await Sandbox.create();
  const { daemon, monitor } = await startAsleep(box, [
    ...[TEND, ...SLEEPY, "--restart-delay=0", ...STAMPED, "--"],
    ...["sh", "-c", "echo $$; exec sleep 600"],
  ]);
  const logger = await loggerOf(box);
  const pids = [daemon];
  const next = async () => {
    pids.push(await successorOf(pids.at(-1), box));
    await untilAsleep(box, monitor);
  };
  Deno.kill(daemon, "SIGSEGV");
  await next();
  assertEquals((await box.tend("restart", "web")).code, 0);
  await next();
  Deno.kill(pids.at(-1)!, "SIGBUS");
  await next();
  assertEquals([loggersOf(box), isAsleep(monitor)], [[logger], true]);
  const text = pids.map((pid) => `${pid}\n`).join("");
  await box.until(
    "all have written",
    () => allOf(box).split("\n").length > pids.length,
  );
  const lines = allOf(box).split("\n").map((line) => line.replace(STAMP, ""));
  assertEquals(lines.join("\n"), text);
});

Deno.test("tend --log-timestamps starts where the working directory and /proc/self are another's by then", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("gone"));
  const script = `cd gone && exec ${TEND} ${MONITORED.join(" ")} ` +
    `--output=../all --log-timestamps -- sh -c 'echo here; exec sleep 600'`;
  assertEquals((await box.run(["sh", "-c", script])).code, 0);
  await box.until("it is written", () => allOf(box).endsWith("here\n"));
});

/** Writes a line again and again. */
const WRITES_ON = ["sh", "-c", "while :; do echo a line; sleep 0.01; done"];

for (const sleepAfter of ["never", "0"]) {
  Deno.test(`tend --sleep-after=${sleepAfter} tells of a file that cannot be rotated, once, and of its end`, async () => {
    await using box = await Sandbox.create();
    await box.tend(
      ...[...LOGGED, `--sleep-after=${sleepAfter}`, "--stderr=err"],
      ...["--stdout=all", "--log-rotate=100,2", "--", ...WRITES_ON],
    );
    await loggerOf(box);
    const tooMuch = box.path("all.2");
    const file = box.path("all");
    const trouble = `logging to ${file}: rotation failed (Is a directory), ` +
      "trying again";
    await box.until("it rotates", () => box.exists(tooMuch));
    Deno.removeSync(tooMuch);
    Deno.mkdirSync(tooMuch);
    await logged(box, `WARN|${trouble}\n`);
    await untilShown(
      box,
      "the trouble",
      ({ outputs }) => outputs.some((output) => output.trouble === trouble),
    );
    const { stdout } = await box.tend("status", "web");
    assertStringIncludes(stdout, trouble);
    // Tried again meanwhile, and not told again.
    const { size } = Deno.statSync(file);
    await box.until("it grows", () => Deno.statSync(file).size > size + 2000);
    Deno.removeSync(tooMuch);
    const over = `INFO|logging to ${file}: rotation works again\n`;
    await logged(box, over);
    await untilShown(
      box,
      "no trouble",
      ({ outputs }) => outputs.every((output) => output.trouble === undefined),
    );
    const log = box.read(box.path("log/web.log"))!;
    assertEquals(log.split(trouble).length, 2);
  });
}

Deno.test("a logger tells of its trouble once its monitor's signals can be queued", async () => {
  await using box = await Sandbox.create();
  await box.tend(
    ...[...LOGGED, "--stdout=all", "--log-rotate=100,2", "--", ...WRITES_ON],
  );
  await loggerOf(box);
  const monitor = parentOf(box.pidfile("web.pid")!);
  await box.run(["prlimit", `--pid=${monitor}`, "--sigpending=0:1000"]);
  const tooMuch = box.path("all.2");
  await box.until("it rotates", () => box.exists(tooMuch));
  Deno.removeSync(tooMuch);
  Deno.mkdirSync(tooMuch);
  const file = box.path("all");
  await box.until("it grows", () => Deno.statSync(file).size > 2000);
  assertEquals(box.read(box.path("log/web.log")), "");
  await box.run(["prlimit", `--pid=${monitor}`, "--sigpending=1000"]);
  await logged(box, `WARN|logging to ${file}: rotation failed (`);
  await box.run(["prlimit", `--pid=${monitor}`, "--sigpending=0:1000"]);
  Deno.removeSync(tooMuch);
  await box.until("it rotates again", () => Deno.statSync(file).size < 200);
  await box.run(["prlimit", `--pid=${monitor}`, "--sigpending=1000"]);
  await logged(box, `INFO|logging to ${file}: rotation works again\n`);
});

Deno.test("tend tells that a logger cannot write", async () => {
  await using box = await Sandbox.create();
  const script = `ulimit -f 64; exec ${TEND} ${LOGGED.join(" ")} ` +
    "--output=all --log-timestamps -- sh -c 'seq 1 20000; exec sleep 600'";
  assertEquals((await box.run(["sh", "-c", script])).code, 0);
  await logged(
    box,
    `WARN|logging to ${box.path("all")}: write failed (File too large), ` +
      "waiting for room\n",
  );
  const monitor = parentOf(box.pidfile("web.pid")!);
  for (const pid of [monitor, ...childrenOf(monitor)]) {
    Deno.kill(pid, "SIGKILL");
  }
});

Deno.test("tend --log-timestamps takes a name as long as any", async () => {
  await using box = await Sandbox.create();
  const name = "a".repeat(255);
  const finished = await box.tend(
    ...[`--output=${name}`, "--log-timestamps", "--", "echo", "here"],
  );
  assertEquals(finished, { code: 0, stdout: "", stderr: "" });
  assertMatch(box.read(box.path(name))!, /Z here\n$/);
});

Deno.test("a logger writes beyond its caller's soft limit of file sizes", async () => {
  await using box = await Sandbox.create();
  const script =
    `ulimit -S -f 64; exec ${TEND} --output=all --log-timestamps ` +
    "-- seq 1 20000";
  const { code } = await box.run(["sh", "-c", script]);
  const lines = allOf(box).split("\n").map((line) => line.replace(STAMP, ""));
  assertEquals([code, lines.join("\n") === numbers(20000)], [0, true]);
});

Deno.test("a logger rotates before its size where no file may be as large", async () => {
  await using box = await Sandbox.create();
  const script = `ulimit -f 64; exec ${TEND} --output=all --log-rotate=1M,99 ` +
    "-- seq 1 20000";
  const { code } = await box.run(["sh", "-c", script]);
  assertEquals([code, allOf(box) === numbers(20000)], [0, true]);
});

for (
  const [options, status, message] of [
    [
      ["--log-rotate=1M"],
      2,
      "option --log-rotate needs --output, --stdout or --stderr",
    ],
    [
      ["--log-timestamps"],
      2,
      "option --log-timestamps needs --output, --stdout or --stderr",
    ],
    ...[
      ["0", "no file of 0 bytes can be had"],
      ["", "has an empty value"],
      ["x", "x is not a number of bytes, as 10M is"],
      [",3", "nothing is not a number of bytes, as 10M is"],
      ["9999999999G", "no file of 9999999999G bytes can be had"],
      ["1M,", "nothing is not a number from 1 to 999"],
      ["1M,0", "0 is not a number from 1 to 999"],
      ["1M,1000", "1000 is not a number from 1 to 999"],
      ["1M,2,3", "2,3 is not a number from 1 to 999"],
    ].map(([value, why]) =>
      [
        ["--output=a", `--log-rotate=${value}`],
        2,
        value === ""
          ? `option --log-rotate ${why}`
          : `option --log-rotate=${value}: ${why}`,
      ] as const
    ),
    [
      ["--output=a", "--log-rotate=1M", "--exec"],
      2,
      "options --exec and --log-rotate exclude each other: a tend stays, to " +
      "look after the process that writes the log",
    ],
    [
      ["--stdout=a", "--stderr=a.9", "--log-rotate=1M"],
      2,
      "option --stderr=BOX/a.9: that is an older file of BOX/a",
    ],
    [
      ["--stdout=../BASE/a", "--stderr=a.2", "--log-rotate=1M"],
      2,
      "option --stderr=BOX/a.2: that is an older file of BOX/../BASE/a",
    ],
    [
      ["--output=a", "--log-file=./a", "--log-rotate=1M"],
      2,
      "option --log-file=BOX/./a: that is rotated as BOX/a",
    ],
    [
      ["--output=a", "--log-file=a.9", "--log-rotate=1M"],
      2,
      "option --log-file=BOX/a.9: that is an older file of BOX/a",
    ],
    [
      ["--output=/dev/null", "--log-timestamps"],
      1,
      "option --output=/dev/null: not a regular file, which --log-rotate and " +
      "--log-timestamps need",
    ],
    [
      ["--output=link", "--log-timestamps"],
      1,
      "option --output=BOX/link: a symbolic link, which --log-rotate and " +
      "--log-timestamps do not follow: name the file",
    ],
    [
      ["--stdout=file", "--stderr=other", "--log-timestamps"],
      1,
      "options --stdout=BOX/file and --stderr=BOX/other: one file, for which " +
      "--output is",
    ],
    [
      ["--output=file", "--log-rotate=1M,3"],
      1,
      "option --output=BOX/file: BOX/file.3 is a directory, and would have " +
      "to be an older file of it",
    ],
    [
      [`--output=${"a".repeat(253)}`, "--log-rotate=1M,10"],
      1,
      `option --output=BOX/${"a".repeat(253)}: too long to put .10 behind it ` +
      "(File name too long)",
    ],
  ] as const
) {
  const title = options.map((option) => option.slice(0, 60)).join(" ");
  Deno.test(`tend ${title} is refused, and nothing is made`, async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path("file"), "");
    Deno.linkSync(box.path("file"), box.path("other"));
    Deno.symlinkSync("file", box.path("link"));
    Deno.mkdirSync(box.path("file.3"));
    const before = [...Deno.readDirSync(box.dir)].length;
    const { code, stderr } = await box.tend(
      ...["--pidfile=web.pid", "--log-file"],
      ...options.map((option) => option.replace("BASE", basename(box.dir))),
      ...["--", "touch", box.path("made")],
    );
    const hint = status === 2 ? ". Try 'tend --help'." : "";
    assertEquals(
      [code, stderr],
      [
        status,
        `tend: ${
          message.replaceAll("BOX", box.dir)
            .replaceAll("BASE", basename(box.dir))
        }${hint}\n`,
      ],
    );
    // What the sandbox itself keeps of this run, and no more.
    assertEquals([...Deno.readDirSync(box.dir)].length, before + 2);
  });
}

for (
  const [call, errno] of [["memfd_create", "EACCES"], ["execveat", "EACCES"]]
) {
  Deno.test(`tend --log-timestamps says why it does not start when ${call} fails`, async () => {
    await using box = await Sandbox.create();
    const trace = ["-f", "-qq", "-o", box.path("trace")];
    const { code, stderr } = await box.run([
      ...["strace", ...trace, `--inject=${call}:error=${errno}`, TEND],
      ...[...MONITORED, "--name=web", ...STAMPED, "--", "sleep", "600"],
    ]);
    const name = call === "execveat" ? "fexecve" : call;
    assertEquals(
      [code, stderr],
      [
        1,
        `tend: could not start: option --output=${box.path("all")}: its ` +
        `logger: ${name} failed (Permission denied): programs in memory are ` +
        "forbidden here (sysctl vm.memfd_noexec)\n",
      ],
    );
    assertEquals(box.runFiles(), []);
    await box.until("nobody is left", () => box.processes().length === 0);
  });
}

Deno.test("a terminal's signals reach COMMAND and not its logger", async () => {
  await using box = await Sandbox.create();
  const script = 'trap "echo ended; exit 5" INT; echo begun; ' +
    "while :; do sleep 0.01; done";
  const tend = `${TEND} ${STAMPED.join(" ")} -- sh -c '${script}'`;
  const wait = (word: string) =>
    `for i in $(seq 3000); do grep -q ${word} all 2>/dev/null && break; ` +
    "sleep 0.01; done; ";
  const types = `${wait("begun")} printf '\\003'; ${wait("ended")}`;
  const { code } = await box.run([
    ...["sh", "-c", `(${types}) | script -qec "exec $0" /dev/null`, tend],
  ]);
  const lines = allOf(box).split("\n").map((line) => line.replace(STAMP, ""));
  assertEquals([code, lines], [5, ["begun", "ended", ""]]);
});

Deno.test({
  name: "tend --user --log-timestamps lets COMMAND open /dev/stdout",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    const place = await Deno.makeTempDir({ dir: "/var", prefix: "tend-test-" });
    try {
      const finished = await box.tend(
        ...["--user=nobody:nogroup", `--output=${place}/log`],
        ...["--log-rotate=1M", "--", "sh", "-c", "id -u >/dev/stdout"],
      );
      assertEquals(finished, { code: 0, stdout: "", stderr: "" });
      assertEquals(box.read(`${place}/log`), "65534\n");
    } finally {
      Deno.removeSync(place, { recursive: true });
    }
  },
});

Deno.test({
  name: "tend --output says which call of its logger's start has failed",
  ignore: await lacks(["strace"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.run([
      ...["strace", "-f", "-qq", "-o", "trace", "-e", "trace=chdir"],
      ...["-e", "inject=chdir:error=EIO", TEND, "--log-timestamps"],
      ...["--output=out", "--", "true"],
    ]);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      "its logger: chdir failed (Input/output error)",
    );
  },
});
