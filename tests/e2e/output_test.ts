/** What COMMAND writes goes straight into files. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { O_APPEND, O_NONBLOCK } from "../../ffi/file.ts";
import {
  LOGGED,
  logged,
  MONITORED,
  SLEEPY,
  startAsleep,
  successorOf,
} from "../monitored.ts";
import { fdsOf, isAlive, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const IS_ROOT = Deno.uid() === 0;
const BOTH = "echo out; echo err >&2";
const STAYS = ["sh", "-c", `${BOTH}; exec sleep 600`];

/** Waits until a file has so many lines, and has them. */
function untilLines(
  box: Sandbox,
  name: string,
  count: number,
): Promise<string[]> {
  return box.until(`${name} has ${count} lines`, () => {
    const lines = (box.read(box.path(name)) ?? "").split("\n").slice(0, -1);
    return lines.length >= count && lines;
  });
}

const MODES = [
  [],
  ["--exec", "--pidfile"],
  ["--pidfile"],
  ["--monitor", "--pidfile", "-v=console:err"],
  ["--monitor", "-v=console:err"],
];
for (const mode of MODES) {
  Deno.test(`${["tend", ...mode].join(" ")} --output takes both streams, and no descriptor more`, async () => {
    await using box = await Sandbox.create();
    const shown = await box.tend(
      ...[...mode, "--output=all", "--", "sh", "-c", BOTH],
    );
    assertEquals(shown, { code: 0, stdout: "", stderr: "" });
    assertEquals(box.read(box.path("all")), "out\nerr\n");
    const list = ["sh", "-c", "echo /proc/self/fd/*"];
    const without = await box.tend(...mode, "--", ...list);
    await box.tend(...mode, "--output=fds", "--", ...list);
    assertEquals(box.read(box.path("fds")), without.stdout);
  });

  Deno.test(`${["tend", ...mode].join(" ")} --stderr and --stdout take a stream each`, async () => {
    await using box = await Sandbox.create();
    const run = (...options: string[]) =>
      box.tend(...mode, ...options, "--", "sh", "-c", BOTH);
    assertEquals(await run("--stderr=err"), {
      code: 0,
      stdout: "out\n",
      stderr: "",
    });
    assertEquals(await run("--stdout=out"), {
      code: 0,
      stdout: "",
      stderr: "err\n",
    });
    assertEquals((await run("--stdout=out", "--stderr=err")).stdout, "");
    assertEquals(box.read(box.path("out")), "out\nout\n");
    assertEquals(box.read(box.path("err")), "err\nerr\n");
    await run("--stdout=one", "--stderr=one");
    assertEquals(box.read(box.path("one")), "out\nerr\n");
  });
}

for (const sleepAfter of ["never", "0"]) {
  Deno.test(`tend --sleep-after=${sleepAfter} --output has each daemon append to the file of that name`, async () => {
    await using box = await Sandbox.create();
    await box.tend(
      ...[...LOGGED, "--restart-delay=0", `--sleep-after=${sleepAfter}`],
      ...["--output=all", "--", ...STAYS],
    );
    let daemon = box.pidfile("web.pid")!;
    const crash = async () => {
      Deno.kill(daemon, "SIGSEGV");
      daemon = await successorOf(daemon, box);
    };
    await untilLines(box, "all", 2);
    await crash();
    await untilLines(box, "all", 4);
    // As logrotate does it.
    Deno.renameSync(box.path("all"), box.path("all.1"));
    await crash();
    assertEquals(await untilLines(box, "all", 2), ["out", "err"]);
    await crash();
    await untilLines(box, "all", 4);
    assertEquals((await untilLines(box, "all.1", 4)).length, 4);
    const file = box.path("all");
    const fds = fdsOf(daemon);
    assertEquals([fds.get(1), fds.get(2), fds.get(0)], [
      file,
      file,
      "/dev/null",
    ]);
    for (const fd of [1, 2]) {
      const info = box.read(`/proc/${daemon}/fdinfo/${fd}`)!;
      const flags = parseInt(/^flags:\t(\d+)$/m.exec(info)![1]!, 8);
      assertEquals(flags & (O_APPEND | O_NONBLOCK), O_APPEND);
    }
    assertEquals(Deno.statSync(file).mode! & 0o777, 0o640 & ~Deno.umask());
    // Nobody else has it.
    assert(![...fdsOf(parentOf(daemon)).values()].includes(file));
  });
}

Deno.test("tend --output names a file of the directory it is called in, with a mode of its own", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("sub"));
  const { code } = await box.tend(
    ...["--detach", "--pidfile=web.pid", "--output=all", "--umask=0777"],
    ...[`--chdir=${box.path("sub")}`, "--", ...STAYS],
  );
  assertEquals(code, 0);
  await untilLines(box, "all", 2);
  const mode = Deno.statSync(box.path("all")).mode! & 0o777;
  assertEquals(mode, 0o640 & ~Deno.umask());
});

Deno.test("tend --output takes a name with any characters", async () => {
  await using box = await Sandbox.create();
  const name = " a\nb\u20ac'";
  const { code } = await box.tend(
    ...["--pidfile", `--output=${name}`, "--", "sh", "-c", BOTH],
  );
  assertEquals([code, box.read(box.path(name))], [0, "out\nerr\n"]);
});

for (
  const [options, status, message] of [
    [["--output="], 2, "option --output has an empty value"],
    [
      ["--output=a", "--stdout=b"],
      2,
      "options --output and --stdout exclude each other",
    ],
    [
      ["--output=a", "--stderr=b"],
      2,
      "options --output and --stderr exclude each other",
    ],
    [
      ["--detach", "--stderr=/dev/stdout"],
      2,
      "option --stderr=/dev/stdout: COMMAND leaves its caller's descriptors " +
      "with --detach",
    ],
    [
      ["--output=no/a"],
      1,
      "option --output=BOX/no/a: open failed (No such file or directory)",
    ],
    [
      ["--stdout=a", "--stderr=file/b"],
      1,
      "option --stderr=BOX/file/b: open failed (Not a directory)",
    ],
    [["--stdout=."], 1, "option --stdout=BOX/.: open failed (Is a directory)"],
  ] as const
) {
  Deno.test(`tend ${options.join(" ")} is refused, and nothing is made`, async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path("file"), "");
    const before = [...Deno.readDirSync(box.dir)].length;
    const { code, stderr } = await box.tend(
      ...["--pidfile=web.pid", "--log-file", ...options],
      ...["--", "touch", box.path("made")],
    );
    const hint = status === 2 ? ". Try 'tend --help'." : "";
    assertEquals(
      [code, stderr],
      [status, `tend: ${message.replace("BOX", box.dir)}${hint}\n`],
    );
    // What the sandbox itself keeps of this run, and no more.
    assertEquals([...Deno.readDirSync(box.dir)].length, before + 2);
  });
}

Deno.test({
  name: "tend --output is refused where the user may not write",
  ignore: IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.tend("--output=/etc/a", "--", "true");
    assertEquals(
      [code, stderr],
      [1, "tend: option --output=/etc/a: open failed (Permission denied)\n"],
    );
  },
});

Deno.test("tend --output opens devices, FIFOs that are read, and what its caller has open", async () => {
  await using box = await Sandbox.create();
  const run = (...options: string[]) =>
    box.tend("--pidfile", ...options, "--", "sh", "-c", BOTH);
  const expected = { code: 0, stdout: "", stderr: "" };
  assertEquals(await run("--output=/dev/null"), expected);
  const stdout = "out\nerr\n";
  assertEquals(await run("--stderr=/dev/stdout"), { ...expected, stdout });
  await box.run(["mkfifo", box.path("fifo")]);
  const script = `exec 3<>fifo; ${TEND} --output=fifo -- sh -c "${BOTH}"; ` +
    "head -n 2 <&3";
  assertEquals(await box.run(["sh", "-c", script]), { ...expected, stdout });
});

for (const mode of [[], ["--pidfile"], MONITORED]) {
  const tend = ["tend", ...mode].join(" ");

  Deno.test(`${tend} --output=FIFO writes to who reads it until its end`, async () => {
    await using box = await Sandbox.create();
    await box.run(["mkfifo", box.path("fifo")]);
    const reader = box.start(["cat", "fifo"]);
    const { code, stderr } = await box.tend(
      ...[...mode, "--output=fifo", "--", "sh", "-c", BOTH],
    );
    assertEquals([code, stderr], [0, ""]);
    assertEquals((await reader.finished()).stdout, "out\nerr\n");
  });

  Deno.test(`${tend} --output=FIFO is refused when nobody reads it`, async () => {
    await using box = await Sandbox.create();
    await box.run(["mkfifo", box.path("fifo")]);
    const { code, stderr } = await box.tend(
      ...[...mode, "--output=fifo", "--", "touch", box.path("made")],
    );
    const why = "open failed (No such device or address): a FIFO that nobody " +
      "reads, or a socket";
    assertEquals(
      [code, stderr.split("\n")[0]],
      [1, `tend: option --output=${box.path("fifo")}: ${why}`],
    );
    assertEquals(box.exists(box.path("made")), false);
  });
}

Deno.test("tend --stderr leaves it to its caller that COMMAND cannot be executed", async () => {
  await using box = await Sandbox.create();
  // Its interpreter is itself.
  const broken = box.path("broken");
  Deno.writeTextFileSync(broken, `#!${broken}\n`, { mode: 0o755 });
  for (const mode of [[], ["--monitor"], MONITORED]) {
    const { code, stderr } = await box.tend(
      ...[...mode, "--output=all", "--", broken],
    );
    assertEquals(
      [code, stderr],
      [
        126,
        `tend: ${broken}: exec failed (Too many levels of symbolic links)\n`,
      ],
    );
    assertEquals(box.read(box.path("all")), "");
  }
});

Deno.test("tend --ready --stderr has all of stderr in the file, and shows the end of it when that fails", async () => {
  await using box = await Sandbox.create();
  const run = (script: string, ...options: string[]) =>
    box.tend(
      ...[...MONITORED, "--name=web", "--ready=fd=3", "--ready-timeout=1"],
      ...[...options, "--", "sh", "-c", script],
    );
  const fails = await run("seq 1 9 >&2; exit 7", "--stderr=err");
  const last = '"5\\n6\\n7\\n8\\n9"';
  assertEquals(fails, {
    code: 7,
    stdout: "",
    stderr: "tend: web: died before it was ready, exit status 7; last of its " +
      `stderr: ${last}\n`,
  });
  const late = await run("echo wait; exec sleep 600", "--output=both");
  assertEquals(late, {
    code: 1,
    stdout: "",
    stderr: "tend: web: not ready within 1 s (waiting for a newline on " +
      'descriptor 3), stopped; last of its output: "wait"\n',
  });
  const fine = await run("echo no >&2; echo >&3; exec sleep 600", "--stderr=a");
  assertEquals(fine, { code: 0, stdout: "", stderr: "" });
  assertEquals(box.read(box.path("a")), "no\n");
  // stdout alone leaves stderr to the caller, as without it.
  await box.tend("stop", "web");
  const shown = await run(
    "echo shown >&2; echo >&3; exec sleep 600",
    "--stdout=a",
  );
  assertEquals(shown, { code: 0, stdout: "", stderr: "shown\n" });
});

Deno.test("tend --output that cannot be opened any more makes the monitor try again", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("dir"));
  const { daemon } = await startAsleep(box, [
    ...[TEND, ...SLEEPY, "--restart-delay=1", "--output=dir/all", "--"],
    ...STAYS,
  ]);
  Deno.renameSync(box.path("dir"), box.path("moved"));
  Deno.kill(daemon, "SIGSEGV");
  const why = `option --output=${box.path("dir/all")}: open failed ` +
    "(No such file or directory)";
  await logged(box, why);
  Deno.mkdirSync(box.path("dir"));
  const second = await successorOf(daemon, box);
  await untilLines(box, "dir/all", 2);
  assert(isAlive(second));
});

Deno.test({
  name: "tend --output as root leaves another user's file in /tmp alone",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    const shared = box.path("shared");
    Deno.mkdirSync(shared);
    Deno.chmodSync(shared, 0o1777);
    const target = box.path("target");
    Deno.writeTextFileSync(target, "");
    Deno.symlinkSync(target, `${shared}/link`);
    Deno.writeTextFileSync(`${shared}/file`, "");
    for (const name of ["link", "file"]) {
      await box.run(["chown", "-h", "nobody", `${shared}/${name}`]);
      const { code, stderr } = await box.tend(
        ...[`--output=${shared}/${name}`, "--", "sh", "-c", BOTH],
      );
      assertEquals(code, 1);
      assertStringIncludes(stderr, " user 65534; remove it)\n");
    }
    assertEquals([box.read(target), box.read(`${shared}/file`)], ["", ""]);
  },
});

Deno.test({
  name:
    "tend --log-rotate as root refuses to replace another user's file in /tmp",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    const shared = box.path("shared");
    Deno.mkdirSync(shared);
    Deno.chmodSync(shared, 0o1777);
    const older = `${shared}/o.2`;
    Deno.writeTextFileSync(older, "theirs\n");
    const run = (count: number) =>
      box.tend(
        ...[`--output=${shared}/o`, `--log-rotate=1k,${count}`],
        ...["--", "seq", "1000"],
      );
    await box.run(["chown", "nobody", older]);
    const { code, stderr } = await run(2);
    assertEquals([code, box.read(older)], [1, "theirs\n"]);
    assertStringIncludes(
      stderr,
      `${older} would be replaced: it belongs to user 65534; remove it\n`,
    );
    assertEquals(box.exists(`${shared}/o`), false);
    // No file of that number is ever made with fewer.
    assertEquals(await run(1), { code: 0, stdout: "", stderr: "" });
    assertEquals(box.read(older), "theirs\n");
    // Our own are replaced.
    await box.run(["chown", "root", older]);
    assertEquals((await run(2)).code, 0);
    assertEquals(box.read(older) === "theirs\n", false);
  },
});

Deno.test({
  name:
    "tend --user --output opens the file as root, and none that the user could plant",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    Deno.chmodSync(box.dir, 0o755);
    Deno.mkdirSync(box.path("theirs"));
    await box.run(["chown", "nobody", box.path("theirs")]);
    const run = (file: string, ...argv: string[]) =>
      box.tend(
        ...["--pidfile", "--user=nobody:nogroup", `--output=${file}`],
        ...["--", ...argv],
      );
    const refused = await run("theirs/log", "id", "-un");
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "/theirs, where one could be planted");
    // /tmp is nobody's alone, so the box is no place either.
    const place = await Deno.makeTempDir({ dir: "/var", prefix: "tend-test-" });
    try {
      const file = `${place}/log`;
      assertEquals((await run(file, "id", "-un")).stderr, "");
      assertEquals(box.read(file), "nobody\n");
      const { uid, mode } = Deno.statSync(file);
      assertEquals([uid, mode! & 0o777], [0, 0o640 & ~Deno.umask()]);
    } finally {
      Deno.removeSync(place, { recursive: true });
    }
  },
});
