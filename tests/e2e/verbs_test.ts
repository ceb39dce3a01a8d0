import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { lacks } from "../binutils.ts";
import { Sandbox, TEND } from "../sandbox.ts";

/** Where nobody has a program that is called as a verb is. */
const SHORT_PATH = { env: { PATH: "/usr/bin:/bin" } };

/** A sandbox whose PATH has commands that are called as verbs are. */
async function boxWithCommands(...names: string[]) {
  const box = await Sandbox.create();
  await Deno.mkdir(box.path("bin"));
  for (const name of names) {
    await Deno.writeTextFile(
      box.path(`bin/${name}`),
      `#!/bin/sh\necho "command ${name} $*"\n`,
      { mode: 0o755 },
    );
  }
  const env = { PATH: `${box.path("bin")}:${Deno.env.get("PATH")}` };
  return Object.assign(box, {
    call: (...args: string[]) => box.run([TEND, ...args], { env }),
  });
}

Deno.test("tend run runs a command as tend alone does", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await box.tend(
    ...["run", "--monitor", "-voff", "--", "sh", "-c", "echo run; exit 5"],
  );
  assertEquals([code, stdout], [5, "run\n"]);
});

Deno.test("tend run --detach --pidfile makes the pidfile", async () => {
  await using box = await Sandbox.create();
  await box.tend("run", "--detach", "--pidfile", "sleep", "600");
  assertEquals(box.runFiles().sort(), ["sleep.pid", "sleep.pid.monitor"]);
});

Deno.test("tend run passes on arguments that are not UTF-8, byte for byte", async () => {
  await using box = await Sandbox.create();
  await box.run(
    [
      "sh",
      "-c",
      '"$1" run -- printf "%s" "$(printf "a\\377")" >said',
      "sh",
      TEND,
    ],
  );
  assertEquals(Deno.readFileSync(box.path("said")), Uint8Array.of(97, 255));
});

for (
  const args of [
    ["--", "help", "x"],
    ["run", "help", "x"],
    ["run", "--", "help", "x"],
    ["--no-chdir", "help", "x"],
  ]
) {
  Deno.test(`tend ${args.join(" ")} runs a command of a verb's name`, async () => {
    await using box = await boxWithCommands("help");
    const { code, stdout } = await box.call(...args);
    assertEquals([code, stdout], [0, "command help x\n"]);
  });
}

Deno.test("tend help is the verb, whatever commands there are", async () => {
  await using box = await boxWithCommands("help");
  assertEquals(await box.call("help"), await box.tend("--help"));
});

Deno.test("tend help VERB displays what VERB --help does", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await box.tend("--help");
  const verbs = /^Verbs:\n([^]*?)\n\n/m.exec(stdout)![1]!.split("\n")
    .map((line) => line.trim().split(" ")[0]!);
  assertEquals(verbs.includes("completions"), true);
  for (const verb of verbs) {
    const help = await box.tend("help", verb);
    assertEquals(help.code, 0);
    assertStringIncludes(help.stdout, `\nusage: tend ${verb} [OPTION]...`);
    assertEquals(await box.tend(verb, "--help"), help);
  }
});

Deno.test("tend run --help is not its command's", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await box.tend(
    "run",
    "--monitor",
    "-h",
    "no-such-program",
  );
  assertMatch(stdout, /^tend run: /);
});

/** What is written, the exit status, and what tend says of it. */
const WRONG: readonly [string, number, string][] = [
  [
    "help hlep",
    2,
    "unknown verb hlep. Did you mean help? Try 'tend --help'.",
  ],
  ["help sleep", 2, "unknown verb sleep. Try 'tend --help'."],
  ["help help run", 2, "run is one word too many. Try 'tend --help'."],
  ["run", 2, "COMMAND is missing. Try 'tend run --help'."],
  [
    "run --detahc true",
    2,
    "unknown option --detahc. Did you mean --detach? Try 'tend run --help'.",
  ],
  ["man --detach", 2, "unknown option --detach. Try 'tend man --help'."],
  ["completions", 2, "SHELL is missing. Try 'tend completions --help'."],
  [
    "completions bsh",
    2,
    "no completions for bsh, only for bash, zsh, fish. Did you mean bash? " +
    "Try 'tend completions --help'.",
  ],
  [
    "completoins bash",
    127,
    "completoins: exec failed (No such file or directory). " +
    "Did you mean completions?",
  ],
  ["-- hlep", 127, "hlep: exec failed (No such file or directory)"],
  ["run hlep", 127, "hlep: exec failed (No such file or directory)"],
  ["./hlep", 127, "./hlep: exec failed (No such file or directory)"],
];

for (const [args, code, message] of WRONG) {
  Deno.test(`tend ${args} exits ${code} and says why`, async () => {
    await using box = await Sandbox.create();
    assertEquals(await box.run([TEND, ...args.split(" ")], SHORT_PATH), {
      code,
      stdout: "",
      stderr: `tend: ${message}\n`,
    });
  });
}

Deno.test({
  name: "tend man prints a page that man displays without a warning",
  ignore: await lacks(["man", "groff"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const { code, stdout, stderr } = await box.run(
      ["sh", "-c", '"$1" man | man --warnings -l -', "sh", TEND],
      { env: { MANPAGER: "cat", MANWIDTH: "80", TERM: "dumb" } },
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertMatch(stdout, /^TEND\(8\)/m);
  },
});

Deno.test("tend man fails when its output cannot be written", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.run(
    ["sh", "-c", '"$1" man >/dev/full', "sh", TEND],
  );
  assertEquals([code, stderr], [
    1,
    "tend: standard output: write failed (No space left on device)\n",
  ]);
});
