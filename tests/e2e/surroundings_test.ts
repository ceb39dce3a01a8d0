/**
 * What COMMAND finds where that is not what its caller has: looked at from
 * inside, in the first daemon and in those that follow it.
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  logOf,
  MONITORED,
  request,
  SLEEPY,
  successorOf,
  untilAsleep,
} from "../monitored.ts";
import { parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

/** Runs a script of a shell as COMMAND in the foreground. */
async function inside(
  box: Sandbox,
  options: readonly string[],
  script: string,
  env: Record<string, string> = {},
): Promise<string> {
  const argv = [TEND, ...options, "--", "/bin/sh", "-c", script];
  const { code, stdout, stderr } = await box.run(argv, { env });
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  return stdout.trimEnd();
}

/** The soft and the hard limit of a line of `/proc/PID/limits`. */
function limits(pid: number | "self", name: string, text?: string): string[] {
  const all = text ?? Deno.readTextFileSync(`/proc/${pid}/limits`);
  return RegExp(`^Max ${name} +(\\S+) +(\\S+)`, "m").exec(all)!.slice(1);
}

function nice(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
}

function status(pid: number, name: string): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(text)![1]!;
}

/** In the middle of its exec a process has none. */
async function environment(box: Sandbox, pid: number): Promise<string[]> {
  const text = await box.until(
    "it has an environment",
    () => Deno.readTextFileSync(`/proc/${pid}/environ`) || undefined,
  );
  return text.split("\0").slice(0, -1);
}

/** All of it that anybody may ask for. */
const ASKED = [
  ...["--limit=nofile=300:400", "--limit=core=0", "--limit=as=50G:60G"],
  ...["--umask=0027", "--nice=7", "--oom-score-adj=900"],
  ...["--chdir=/usr", "--clear-env", "--env=A=1", "--env=B=b=c d"],
  "--no-new-privileges",
];

/** Checks that a process has all that. */
function assertHasAll(pid: number): void {
  assertEquals(limits(pid, "open files"), ["300", "400"]);
  assertEquals(limits(pid, "core file size"), ["0", "0"]);
  assertEquals(
    limits(pid, "address space"),
    [50, 60].map((gigabytes) => String(gigabytes * 2 ** 30)),
  );
  assertEquals(status(pid, "Umask"), "0027");
  assertEquals(nice(pid), 7);
  const score = Deno.readTextFileSync(`/proc/${pid}/oom_score_adj`);
  assertEquals(score, "900\n");
  assertEquals(Deno.readLinkSync(`/proc/${pid}/cwd`), "/usr");
  assertEquals(status(pid, "NoNewPrivs"), "1");
}

/** Finds the daemons of a box, whose environment has no mark of it. */
function marked(box: Sandbox): string {
  return `--env=TEND_TEST_SANDBOX=${box.dir}`;
}

Deno.test("tend runs COMMAND with all that is asked for", async () => {
  await using box = await Sandbox.create();
  const said = await inside(
    box,
    ASKED,
    "pwd; umask; nice; cat /proc/self/oom_score_adj; tr '\\0' '\\n' " +
      "</proc/$$/environ; echo --; cat /proc/self/limits /proc/self/status",
  );
  const [values, files] = said.split("--\n") as [string, string];
  assertEquals(values, "/usr\n0027\n7\n900\nA=1\nB=b=c d\n");
  assertEquals(limits("self", "open files", files), ["300", "400"]);
  assertEquals(limits("self", "core file size", files), ["0", "0"]);
  assertStringIncludes(files, "NoNewPrivs:\t1\n");
});

for (
  const [mode, options] of [
    ["awake", ["--sleep-after=never"]],
    ["asleep", ["--sleep-after=0"]],
  ] as const
) {
  Deno.test(`tend --monitor gives each daemon what it asked for the first, ${mode}`, async () => {
    await using box = await Sandbox.create();
    const env = [marked(box), "--env=A=1", "--env=B=b=c d"];
    const { code, stderr } = await box.tend(
      ...[...SLEEPY, ...options, ...ASKED, marked(box), "--", "sleep", "600"],
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const expected = env.map((option) => option.slice("--env=".length)).sort();
    let daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);
    for (const signal of ["SIGSEGV", undefined, undefined] as const) {
      assertHasAll(daemon);
      assertEquals((await environment(box, daemon)).sort(), expected);
      if (mode === "asleep") await untilAsleep(box, monitor);
      if (signal === undefined) request(box, "restart");
      else Deno.kill(daemon, signal);
      daemon = await successorOf(daemon, box);
    }
    assertHasAll(daemon);
    assertEquals((await environment(box, daemon)).sort(), expected);
    assertEquals(parentOf(daemon), monitor);
  });
}

Deno.test("tend keeps its monitor as it was", async () => {
  await using box = await Sandbox.create();
  const own = box.start(["sleep", "600"]);
  await box.until("it runs", () => own.pid);
  await box.tend(...MONITORED, ...ASKED, marked(box), "--", "sleep", "600");
  const monitor = parentOf(box.pidfile("web.pid")!);
  assertEquals(
    Deno.readTextFileSync(`/proc/${monitor}/limits`),
    Deno.readTextFileSync(`/proc/${own.pid}/limits`),
  );
  assertEquals(nice(monitor), nice(own.pid));
  for (const name of ["Umask", "NoNewPrivs", "Uid", "Groups"]) {
    assertEquals(status(monitor, name), status(own.pid, name), name);
  }
  assert(!(await environment(box, monitor)).includes("A=1"));
});

Deno.test("tend --env and --env-file: of several values the last one counts", async () => {
  await using box = await Sandbox.create();
  const file = box.path("variables");
  Deno.writeTextFileSync(file, "# a comment\n\nA=2\nB= x 'y' $Z \nC=1");
  const options = ["--env=A=1", "--env=C=0", `--env-file=${file}`, "--env=C=3"];
  const script = 'echo "$A|$B|$C|$D"';
  assertEquals(
    await inside(box, options, script, { C: "caller's", D: "d" }),
    "2| x 'y' $Z |3|d",
  );
});

Deno.test("tend --env-file takes values that are not UTF-8", async () => {
  await using box = await Sandbox.create();
  const file = box.path("variables");
  Deno.writeFileSync(file, Uint8Array.of(0x41, 0x3d, 0xff, 0x80, 0x0a));
  const script = 'printf %s "$A" | od -An -tx1';
  assertEquals(
    await inside(box, [`--env-file=${file}`], script),
    "ff 80".padStart(6),
  );
});

Deno.test("tend looks COMMAND up in the PATH that it will have", async () => {
  await using box = await Sandbox.create();
  for (const name of ["a", "b"]) {
    Deno.mkdirSync(box.path(name));
    const text = `#!/bin/sh\necho ${name}\n`;
    Deno.writeTextFileSync(box.path(`${name}/hello`), text, { mode: 0o755 });
  }
  const env = { PATH: `${box.path("a")}:/usr/bin:/bin` };
  const option = `--env=PATH=${box.path("b")}:/usr/bin:/bin`;
  const { stdout } = await box.run([TEND, option, "hello"], { env });
  assertEquals(stdout, "b\n");
  const cleared = await box.run([TEND, "--clear-env", "hello"], { env });
  assertEquals(cleared.code, 127);
});

for (const detach of [[], ["--detach"]]) {
  const title = ["tend", ...detach, "--chdir"].join(" ");

  Deno.test(`${title} takes a relative COMMAND from there`, async () => {
    await using box = await Sandbox.create();
    Deno.mkdirSync(box.path("there"));
    const text = `#!/bin/sh\npwd >part; mv part ${box.path("said")}\n`;
    Deno.writeTextFileSync(box.path("there/hello"), text, { mode: 0o755 });
    const { code, stderr } = await box.tend(
      ...detach,
      "--chdir=there",
      "--",
      "./hello",
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const said = await box.until(
      "it has run",
      () => box.read(box.path("said")),
    );
    assertEquals(said, `${Deno.realPathSync(box.path("there"))}\n`);
  });
}

Deno.test("tend tries what COMMAND finds where its caller has SIGCHLD ignored", async () => {
  await using box = await Sandbox.create();
  const { code, stdout, stderr } = await box.run([
    ...["env", "--ignore-signal=CHLD", TEND, "--monitor", "-v=console:err"],
    ...["--nice=7", "--", "sh", "-c", "nice"],
  ]);
  assertEquals({ code, stdout, stderr }, {
    code: 0,
    stdout: "7\n",
    stderr: "",
  });
});

Deno.test("tend runs a script without #! with the environment that was asked for", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("script"), "echo $A\n", { mode: 0o755 });
  const { stdout } = await box.tend("--env=A=1", "--", box.path("script"));
  assertEquals(stdout, "1\n");
});

for (
  const limit of ["as=30M", "data=4M", "stack=256K", "fsize=0", "nofile=4"]
) {
  Deno.test(`tend --limit=${limit} hinders COMMAND alone`, async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.tend(
      ...[...MONITORED, `--limit=${limit}`, "--", "sleep", "600"],
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const first = box.pidfile("web.pid")!;
    request(box, "restart");
    await successorOf(first, box);
  });
}

Deno.test("tend --limit without HARD sets both limits", async () => {
  await using box = await Sandbox.create();
  const script = "ulimit -Sn; ulimit -Hn";
  assertEquals(await inside(box, ["--limit=nofile=99"], script), "99\n99");
});

Deno.test("tend --limit=core is what a daemon has after a core dump, too", async () => {
  await using box = await Sandbox.create();
  const ours = limits("self", "core file size");
  const hard = ours[1] === "unlimited" ? ours[1] : "5";
  await box.tend(
    ...[...MONITORED, `--limit=core=5:${hard}`, "--", "sleep", "600"],
  );
  const first = box.pidfile("web.pid")!;
  Deno.kill(first, "SIGABRT");
  const second = await successorOf(first, box);
  assertEquals(limits(second, "core file size"), ["5", hard]);
});

Deno.test("tend --monitor logs why a later daemon could not be started, and tries again", async () => {
  await using box = await Sandbox.create();
  const there = box.path("there");
  Deno.mkdirSync(there);
  await box.tend(...SLEEPY, `--chdir=${there}`, "--", "/bin/sleep", "600");
  const first = box.pidfile("web.pid")!;
  Deno.renameSync(there, box.path("moved"));
  Deno.kill(first, "SIGSEGV");
  await box.until(
    "the log says it",
    () => logOf(box).includes(`option --chdir=${there}: chdir failed (No such`),
  );
  Deno.renameSync(box.path("moved"), there);
  await successorOf(first, box);
});

/** Whether root may raise limits; in a container it may not. */
const CAN_RAISE = Deno.uid() === 0 &&
  (BigInt(`0x${status(Deno.pid, "CapEff")}`) >> 24n & 1n) === 1n;

Deno.test({
  name:
    "tend --limit raises a limit of its caller's for COMMAND, another user's, and not for its monitor",
  ignore: !CAN_RAISE,
  fn: async () => {
    await using box = await Sandbox.create();
    await box.run([
      ...["prlimit", "--nofile=100:200", TEND, ...MONITORED],
      ...["--limit=nofile=300:400", "--user=65534:65534", "--", "sleep", "600"],
    ]);
    const first = box.pidfile("web.pid")!;
    const monitor = parentOf(first);
    assertEquals(limits(first, "open files"), ["300", "400"]);
    request(box, "restart");
    const second = await successorOf(first, box);
    assertEquals(limits(second, "open files"), ["300", "400"]);
    assertEquals(limits(monitor, "open files"), ["100", "200"]);
  },
});

/** Options that are wrong usage, and what is said of them. */
const MALFORMED: readonly [string, string][] = [
  ["--limit=nofile", "not RESOURCE=SOFT[:HARD]"],
  ["--limit=files=1", "files is none of as, core, cpu, data, fsize, locks,"],
  ["--limit=nofile=", "nothing is neither a number nor unlimited"],
  ["--limit=nofile=1:", "nothing is neither a number nor unlimited"],
  ["--limit=nofile=-1", "-1 is neither a number nor unlimited"],
  ["--limit=nofile=1T", "1T is neither a number nor unlimited"],
  ["--limit=nofile=18446744073709551615", "is neither a number"],
  ["--limit=nofile=17179869184G", "is neither a number"],
  ["--limit=nofile=2:1", "the soft limit is above the hard one"],
  ["--limit=core=unlimited:1", "the soft limit is above the hard one"],
  ["--umask=8", "not an octal number from 0 to 777"],
  ["--umask=1000", "not an octal number from 0 to 777"],
  ["--nice=20", "not a whole number from -20 to 19"],
  ["--nice=x", "not a whole number from -20 to 19"],
  ["--oom-score-adj=1001", "not a whole number from -1000 to 1000"],
  ["--env=A", "not NAME=VALUE"],
  ["--env==A", "there is no name before ="],
  ["--env=A B=1", "there is a blank in the name"],
  ["--user=:", "not USER or USER:GROUP"],
  ["--user=4294967295", "4294967295 is above 4294967294"],
  ["--keep-fd=2", "not a whole number from 3 to 2147483647"],
  ["--keep-fd=x", "not a whole number from 3 to 2147483647"],
];

/** Options that the system refuses, and what is said of them. */
const REFUSED: readonly [string, string][] = [
  ["--limit=nofile=18446744073709551614", "cannot be raised (Operation not"],
  ["--env-file=/no/such", "open failed (No such file or directory)"],
  ["--env-file=variables", "line 2: not NAME=VALUE"],
  ["--chdir=/no/such", "chdir failed (No such file or directory)"],
  ["--chdir=/etc/passwd", "chdir failed (Not a directory)"],
  ["--user=no-such-user", "there is no user no-such-user"],
  ["--user=root:no-such-group", "there is no group no-such-group"],
  ["--user=4294967294", "the system has no user of that number"],
  ["--keep-fd=888", "the descriptor is not open"],
];

for (
  const [option, why, status] of [
    ...MALFORMED.map((wrong) => [...wrong, 2] as const),
    ...REFUSED.map((wrong) => [...wrong, 1] as const),
  ]
) {
  Deno.test(`tend ${option} is refused, and nothing is left`, async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path("variables"), "A=1\nsecret\n");
    const { code, stderr } = await box.tend(
      ...[...SLEEPY, option, "--", "sleep", "600"],
    );
    const [name] = option.split("=");
    assertEquals(code, status, stderr);
    assertStringIncludes(stderr, `tend: option ${name}`);
    assertStringIncludes(stderr, why);
    assert(!stderr.includes("secret"));
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
    assertEquals(box.processes(), []);
    assertEquals(box.runFiles(), []);
    assertEquals(
      [...Deno.readDirSync(box.dir)].map(({ name }) => name).sort(),
      [
        "0.err",
        "0.out",
        "variables",
      ],
    );
  });
}
