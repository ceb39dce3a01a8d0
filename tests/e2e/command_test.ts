/**
 * What COMMAND sees: a witness is run with and without tend, and has to see
 * the same.
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { fdsOf, look, signalsIn } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const MODES = [
  [],
  ["--pidfile=x.pid"],
  ["--monitor"],
  ["--detach"],
  ["--detach", "--exec", "--pidfile=x.pid"],
  ["--detach", "--monitor", "--pidfile=x.pid"],
];

/** Makes what the caller does to itself before it starts a program. */
function caller(script: string, ...argv: string[]): string[] {
  return ["sh", "-c", `${script} "$@"`, "sh", ...argv];
}

/**
 * Has the witness, `cp`, copy files of `/proc/self`, once as the caller's own
 * command and once as tend's.
 */
async function witness(
  box: Sandbox,
  script: string,
  mode: readonly string[],
  files: readonly string[],
): Promise<[own: Uint8Array[], tends: Uint8Array[]]> {
  const paths = files.map((file) => `/proc/self/${file}`);
  const copied = async (name: string, argv: string[]) => {
    const directory = box.path(name);
    await Deno.mkdir(directory);
    const { code, stderr } = await box.run(
      caller(script, ...argv, "cp", ...paths, directory),
    );
    assertEquals(code, 0, stderr);
    await box.until("the witness has ended", () => !box.processes().length);
    return files.map((file) => Deno.readFileSync(`${directory}/${file}`));
  };
  return [
    await copied("own", ["env"]),
    await copied("tends", ["env", TEND, ...mode, "--"]),
  ];
}

function text(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

/** The lines of `/proc/PID/status` that a process has from its caller. */
function inherited(status: Uint8Array | undefined): string[] {
  const names =
    /^(Name|Umask|Uid|Gid|Groups|Sig(Blk|Ign|Cgt)|Cap\w+|NoNewPrivs|Seccomp|Cpus_allowed|Mems_allowed|THP_enabled|Spec\w+):/;
  return text(status).split("\n").filter((line) => names.test(line));
}

for (const mode of MODES) {
  const title = ["tend", ...mode].join(" ");

  Deno.test(`${title} leaves the environment as it was, byte for byte`, async () => {
    await using box = await Sandbox.create();
    const script = 'exec env BAD="$(printf "x\\377y\\nz")" EMPTY= "Ä ö"=1';
    const [own, tends] = await witness(box, script, mode, ["environ"]);
    assert(own[0]!.includes(0xff), "the witness sees what is not UTF-8");
    assertEquals(tends, own);
  });

  Deno.test(`${title} leaves umask, users and capabilities`, async () => {
    await using box = await Sandbox.create();
    const [own, tends] = await witness(box, "umask 027; exec", mode, [
      "status",
    ]);
    assert(inherited(own[0]).includes("Umask:\t0027"));
    assertEquals(inherited(tends[0]), inherited(own[0]));
  });

  Deno.test(`${title} leaves every limit`, async () => {
    await using box = await Sandbox.create();
    const script = "exec prlimit --nofile=150:1000 --core=5:10 --stack=9000000";
    const [own, tends] = await witness(box, script, mode, ["limits"]);
    assertEquals(text(tends[0]), text(own[0]));
  });

  Deno.test(`${title} copes with a low limit of open files`, async () => {
    await using box = await Sandbox.create();
    const script = "exec prlimit --nofile=40:1000";
    const [own, tends] = await witness(box, script, mode, ["limits"]);
    assertEquals(text(tends[0]), text(own[0]));
  });

  Deno.test(`${title} leaves the nice value and the scheduler`, async () => {
    await using box = await Sandbox.create();
    const [own, tends] = await witness(
      box,
      "exec nice -n 7 chrt -b 0",
      mode,
      ["stat"],
    );
    const [seenOwn, seenTends] = [own, tends].map(([stat]) => {
      const fields = text(stat).split(" ");
      return { priority: fields[17], nice: fields[18], policy: fields[40] };
    });
    // Ours may be another than 0.
    const callers = Number((await box.run(["nice"])).stdout);
    const nice = Math.min(callers + 7, 19);
    assertEquals(seenOwn, {
      priority: `${20 + nice}`,
      nice: `${nice}`,
      policy: "3",
    });
    assertEquals(seenTends, seenOwn);
  });

  Deno.test(`${title} leaves what else the kernel hands down`, async () => {
    await using box = await Sandbox.create();
    const files = ["oom_score_adj", "coredump_filter", "personality", "cgroup"];
    const script = "echo 700 >/proc/self/oom_score_adj; " +
      "echo 0x31 >/proc/self/coredump_filter; exec setarch --uname-2.6";
    const [own, tends] = await witness(box, script, mode, files);
    assertEquals(tends.map(text), own.map(text));
  });

  for (
    const [what, option] of [
      ["leaves SIGPIPE its default effect", "--default-signal=PIPE"],
      ["leaves SIGPIPE ignored", "--ignore-signal=PIPE"],
      ["leaves SIGCHLD ignored", "--ignore-signal=CHLD"],
      ["leaves SIGHUP ignored", "--ignore-signal=HUP"],
      ["leaves all signals ignored", "--ignore-signal"],
    ] as const
  ) {
    Deno.test(`${title} ${what}`, async () => {
      await using box = await Sandbox.create();
      const script = `exec env ${option}`;
      const [own, tends] = await witness(box, script, mode, ["status"]);
      assertEquals(inherited(tends[0]), inherited(own[0]));
    });
  }

  Deno.test(`${title} blocks no signal, whatever its caller had blocked`, async () => {
    await using box = await Sandbox.create();
    const [, tends] = await witness(
      box,
      "exec env --block-signal",
      mode,
      ["status"],
    );
    assertEquals(/SigBlk:\s*(\w+)/.exec(text(tends[0]))![1], "0".repeat(16));
  });

  Deno.test(`${title} passes every argument on, byte for byte`, async () => {
    await using box = await Sandbox.create();
    const copied = async (name: string, ...argv: string[]) => {
      const script =
        'exec "$@" "" "a b" "$(printf "\\377\\nä")" -- --detach ""';
      const copy = `cp /proc/$$/cmdline ${box.path("part")}; ` +
        `mv ${box.path("part")} "$0"`;
      await box.run([
        ...["sh", "-c", script, "sh", ...argv],
        ...["sh", "-c", copy, box.path(name)],
      ]);
      await box.until("the witness has ended", () => !box.processes().length);
      return box.read(box.path(name))?.replace(box.path(name), "NAME");
    };
    const own = await copied("own", "env");
    assertEquals(await copied("tends", TEND, ...mode, "--"), own);
  });

  Deno.test(`${title} hands over no descriptor but the pidfile's`, async () => {
    await using box = await Sandbox.create();
    const { pid: own } = box.start(["sleep", "601"]);
    await box.until("it sleeps", () => sleepsAs(own, "sleep 601"));
    // What the test's own caller left open, a terminal's for example.
    const callers = mode.includes("--detach")
      ? []
      : [...fdsOf(own).keys()].filter((fd) => fd > 2);
    box.start([TEND, ...mode, "--", "sleep", "600"]);
    const pid = await box.until(
      "COMMAND runs",
      () => box.processes().find((pid) => sleepsAs(pid, "sleep 600")),
    );

    const fds = [...fdsOf(pid)].filter(([fd]) => !callers.includes(fd));
    const isPidfile = ([, file]: [number, string]) =>
      file === box.runPath("x.pid");
    assertEquals(
      fds.filter((entry) => !isPidfile(entry)).map(([fd]) => fd).sort(),
      [0, 1, 2],
    );
    const pidfiles = fds.filter(isPidfile).map(([fd]) => fd);
    assertEquals(pidfiles.length, mode.includes("--pidfile=x.pid") ? 1 : 0);
    assert(pidfiles.every((fd) => fd >= 100), `${pidfiles}`);
  });

  Deno.test(`${title} blocks and ignores nothing when nobody did`, async () => {
    await using box = await Sandbox.create();
    const clean = ["env", "--default-signal", TEND, ...mode, "--"];
    box.start([...clean, "sleep", "600"]);
    const pid = await box.until(
      "COMMAND runs",
      () => box.processes().find((pid) => sleepsAs(pid, "sleep 600")),
    );
    for (const mask of ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"]) {
      // Those of the C library, 32 and 33, no caller can set.
      const seen = signalsIn(pid, mask).filter((signal) => signal < 32);
      assertEquals(seen, [], mask);
    }
  });
}

/** Whether a program runs and sleeps: before that its loader has files open. */
function sleepsAs(pid: number, title: string): boolean {
  try {
    return look(pid)?.state === "S" &&
      Deno.readTextFileSync(`/proc/${pid}/cmdline`) ===
        `${title.replaceAll(" ", "\0")}\0`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test("tend leaves its caller's standard input unread", async () => {
  await using box = await Sandbox.create();
  const script = '{ echo a; echo b; } | "$1" --monitor -- cat';
  const { stdout } = await box.run(["sh", "-c", script, "sh", TEND]);
  assertEquals(stdout, "a\nb\n");
});

for (const mode of [[], ["--monitor"], ["--detach"]]) {
  const title = ["tend", ...mode].join(" ");
  Deno.test(`${title} leaves its caller's pipe blocking`, async () => {
    await using box = await Sandbox.create();
    const script = 'sleep 600 | { "$@"; cat /proc/self/fdinfo/0 >flags; }';
    box.start(["sh", "-c", script, "sh", TEND, ...mode, "--", "true"]);
    const flags = await box.until(
      "the flags are there",
      () => /flags:\s*(\d+)/.exec(box.read(box.path("flags")) ?? "")?.[1],
    );
    const O_NONBLOCK = 0o4000;
    assertEquals(parseInt(flags, 8) & O_NONBLOCK, 0);
  });
}
