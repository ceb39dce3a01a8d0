import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Sandbox, TEND } from "../sandbox.ts";

const PATH = "/usr/bin:/bin";

/** Makes a file of the sandbox that may be executed. */
function program(box: Sandbox, name: string, text: string, mode = 0o755) {
  const path = box.path(name);
  Deno.mkdirSync(path.replace(/\/[^/]*$/, ""), { recursive: true });
  Deno.writeTextFileSync(path, text);
  Deno.chmodSync(path, mode);
}

Deno.test("tend looks COMMAND up in PATH, in its order", async () => {
  await using box = await Sandbox.create();
  program(box, "a/hello", "#!/bin/sh\necho a\n");
  program(box, "b/hello", "#!/bin/sh\necho b\n");
  const path = `${box.path("b")}:${box.path("a")}:${PATH}`;
  const { stdout } = await box.run([TEND, "hello"], { env: { PATH: path } });
  assertEquals(stdout, "b\n");
});

Deno.test("tend passes over what may not be executed when PATH has more", async () => {
  await using box = await Sandbox.create();
  program(box, "a/hello", "no program\n", 0o644);
  Deno.mkdirSync(box.path("b/hello"), { recursive: true });
  program(box, "c/hello", "#!/bin/sh\necho c\n");
  const path = [
    "/no/dir",
    ...["a/hello", "a", "b", "c"].map((p) => box.path(p)),
  ];
  const { stdout } = await box.run([TEND, "hello"], {
    env: { PATH: [...path, PATH].join(":") },
  });
  assertEquals(stdout, "c\n");
});

for (const detach of [[], ["--detach"]]) {
  const title = ["tend", ...detach].join(" ");
  const pidfile = ["--pidfile=x.pid"];

  Deno.test(`${title} takes a relative directory in PATH from its own`, async () => {
    await using box = await Sandbox.create();
    program(box, "bin/hello", `#!/bin/sh\n: >${box.path("ran")}\n`);
    const { code } = await box.run([TEND, ...detach, "hello"], {
      env: { PATH: `bin:${PATH}` },
    });
    assertEquals(code, 0);
    await box.until("hello has run", () => box.read(box.path("ran")) === "");
  });

  for (const path of [`:${PATH}`, `${PATH}:`, `/no/dir::${PATH}`]) {
    const where = path.replace(PATH, "…");
    Deno.test(`${title} looks into its own directory for PATH=${where}`, async () => {
      await using box = await Sandbox.create();
      program(box, "hello", `#!/bin/sh\n: >${box.path("ran")}\n`);
      const { code } = await box.run([TEND, ...detach, "hello"], {
        env: { PATH: path },
      });
      assertEquals(code, 0);
      await box.until("hello has run", () => box.read(box.path("ran")) === "");
    });
  }

  Deno.test(`${title} takes a relative COMMAND from its own directory`, async () => {
    await using box = await Sandbox.create();
    program(box, "bin/hello", `#!/bin/sh\n: >${box.path("ran")}\n`);
    assertEquals((await box.tend(...detach, "bin/hello")).code, 0);
    await box.until("hello has run", () => box.read(box.path("ran")) === "");
  });

  /** What COMMAND is, its word, the exit status, why. */
  const failures = [
    ["is nowhere in PATH", "nosuch", 127, "No such file or directory"],
    ["is no file", "/no/such", 127, "No such file or directory"],
    ["is below a file", "plain/x", 126, "Not a directory"],
    ["may not be executed", "./plain", 126, "Permission denied"],
    ["may not be executed, in PATH", "plain", 126, "Permission denied"],
    ["is a directory", "./bin", 126, "Permission denied"],
    ["is a directory in PATH", "bin", 126, "Permission denied"],
    ["has no interpreter", "./script", 127, "No such file or directory"],
  ] as const;
  for (const [what, word, status, reason] of failures) {
    Deno.test(`${title} exits ${status} when COMMAND ${what}`, async () => {
      await using box = await Sandbox.create();
      Deno.mkdirSync(box.path("bin"));
      program(box, "plain", "no program\n", 0o644);
      program(box, "script", "#!/no/such/interpreter\n");
      const finished = await box.run(
        [TEND, ...detach, ...pidfile, "--", word],
        { env: { PATH: `${box.dir}:/bin` } },
      );
      // Nothing is left behind when tend returns: no waiting.
      assertEquals(box.processes(), []);
      assertEquals(box.runFiles(), []);
      assertEquals(finished, {
        code: status,
        stdout: "",
        stderr: `tend: ${word}: exec failed (${reason})\n`,
      });
    });
  }
}

for (const options of [[], ["--detach"], ["--monitor", "--pidfile=x.pid"]]) {
  const title = ["tend", ...options].join(" ");
  Deno.test(`${title} exits 2 when COMMAND is empty`, async () => {
    await using box = await Sandbox.create();
    assertEquals(await box.tend(...options, "--", ""), {
      code: 2,
      stdout: "",
      stderr: "tend: COMMAND is empty. Try 'tend --help'.\n",
    });
    assertEquals([...box.runFiles(), ...box.processes()], []);
  });
}

Deno.test("tend runs a script without #! by the shell", async () => {
  await using box = await Sandbox.create();
  program(box, "hello", 'echo "$1"\n');
  assertEquals((await box.tend("./hello", "a b")).stdout, "a b\n");
});

Deno.test("tend looks into /bin without PATH", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await box.run(["env", "-u", "PATH", TEND, "echo", "hi"]);
  assertEquals(stdout, "hi\n");
});

Deno.test("tend takes a directory in PATH that is not UTF-8", async () => {
  await using box = await Sandbox.create();
  const script = 'd=$(printf "d\\377"); mkdir "$d"; cp /bin/echo "$d/hello"; ' +
    'PATH="$d:$PATH" exec "$1" hello hi';
  const { stdout, stderr } = await box.run(["sh", "-c", script, "sh", TEND]);
  assertEquals({ stdout, stderr }, { stdout: "hi\n", stderr: "" });
});

for (const monitor of [[], ["--monitor"]]) {
  const args = ["--detach", "--pidfile=x.pid", ...monitor];

  for (const word of ["/no/such", "./script"]) {
    const title = ["tend --overwrite-pidfile", ...monitor].join(" ");
    Deno.test(`${title} leaves a daemon its pidfile when ${word} cannot start`, async () => {
      await using box = await Sandbox.create();
      program(box, "script", "#!/no/such/interpreter\n");
      await box.tend(...args, "--", "sleep", "600");
      const daemon = box.pidfile("x.pid");
      const { code } = await box.tend(
        ...args,
        "--overwrite-pidfile",
        "--",
        word,
      );
      assertEquals(code, 127);
      assertEquals(box.pidfile("x.pid"), daemon);
      assertEquals(box.holder("x.pid"), daemon);
      assertEquals(box.runFiles(), ["x.pid", "x.pid.monitor"]);
    });
  }
}

Deno.test("tend --detach --monitor exits 126 once, and says so once", async () => {
  await using box = await Sandbox.create();
  const args = ["--detach", "--monitor", "--pidfile=x.pid"];
  const { code, stderr } = await box.tend(...args, "--", "/etc/passwd");
  assertEquals(code, 126);
  assertMatch(stderr, /^tend: \/etc\/passwd: [^\n]*Permission denied[^\n]*\n$/);
  assertEquals(box.processes(), []);
});

for (const options of ["", "--detach", "--monitor --pidfile=/tmp/x.pid"]) {
  Deno.test(`tend ${options} says that its directory was removed, and starts nothing`, async () => {
    await using box = await Sandbox.create();
    assertEquals(await box.run(inRemoved(`${options} echo hi`)), {
      code: 1,
      stdout: "",
      stderr: "tend: the working directory was removed: " +
        "change to one that is there\n",
    });
    assertEquals([...box.runFiles(), ...box.processes()], []);
  });
}

Deno.test("tend --help works in a directory that was removed", async () => {
  await using box = await Sandbox.create();
  const finished = await box.run(inRemoved("--help"));
  assertEquals(finished, await box.tend("--help"));
});

/** Runs `tend` in a directory that is gone. */
function inRemoved(args: string): string[] {
  const script = `mkdir gone; cd gone; rmdir ../gone; exec "$1" ${args}`;
  return ["sh", "-c", script, "sh", TEND];
}
