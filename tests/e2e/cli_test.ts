import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { runVerb } from "../../lib/cli/run.ts";
import { optionsOf } from "../../lib/cli/verb.ts";
import { optionForms } from "../../lib/options.ts";
import { Sandbox, TEND } from "../sandbox.ts";

/** What is wrong, the options, and what tend says of it. */
const WRONG_USAGE: readonly [string, readonly string[], string][] = [
  ["without COMMAND", [], "COMMAND is missing"],
  ["-- without COMMAND", ["--detach", "--"], "COMMAND is missing"],
  [
    "with an unknown option",
    ["--bogus", "true"],
    "unknown option --bogus",
  ],
  ["with an unknown letter", ["-x", "true"], "unknown option -x"],
  [
    "with an unknown option that holds a line feed",
    ["--bo\ngus", "true"],
    "unknown option --bo\\x0agus",
  ],
  [
    "--detach with a value",
    ["--detach=yes", "true"],
    "option --detach takes no value, and has yes",
  ],
  [
    "--pidfile with an empty value",
    ["--pidfile=", "true"],
    "option --pidfile has an empty value",
  ],
  [
    "--log-file with an empty value",
    ["--log-file=", "true"],
    "option --log-file has an empty value",
  ],
  [
    "--name without a value",
    ["--name", "web", "true"],
    "option --name needs a value: --name=NAME",
  ],
  [
    "--name with an empty value",
    ["--name=", "true"],
    "option --name has an empty value",
  ],
  [
    "--name with a path",
    ["--name=../web", "true"],
    "option --name: ../web is not a file name",
  ],
  [
    "--overwrite-pidfile without --pidfile",
    ["--overwrite-pidfile", "true"],
    "option --overwrite-pidfile needs --pidfile",
  ],
  [
    "--exec with --monitor",
    ["--exec", "--monitor", "true"],
    "options --exec and --monitor exclude each other: a monitor stays",
  ],
  [
    "-v with an unknown word",
    ["-vloud", "true"],
    'option --verbose=loud: no destination, level, or module "loud"',
  ],
  [
    "--verbose with an unknown module",
    ["--verbose=web:file:dbg", "true"],
    'option --verbose=web:file:dbg: no destination, level, or module "web"',
  ],
  [
    "--verbose with two levels",
    ["--verbose=console:off:dbg", "true"],
    "option --verbose=console:off:dbg: dbg: the level is off already",
  ],
];

/** One that everybody may read: else a word that is nowhere is denied. */
const SHORT_PATH = { env: { PATH: "/usr/bin:/bin" } };

for (const [what, args, message] of WRONG_USAGE) {
  Deno.test(`tend ${what} exits 2 with one line`, async () => {
    await using box = await Sandbox.create();
    assertEquals(await box.tend(...args), {
      code: 2,
      stdout: "",
      stderr: `tend: ${message}. Try 'tend --help'.\n`,
    });
    assertEquals(box.runFiles(), []);
  });
}

/** What is written, and what tend says of it. */
const MISSPELT: readonly [string, string][] = [
  ["--pidfle true", "unknown option --pidfle. Did you mean --pidfile?"],
  ["--pidfil=x true", "unknown option --pidfil. Did you mean --pidfile?"],
  ["-detach true", "unknown option -d. Did you mean --detach?"],
  ["--nope true", "unknown option --nope."],
  ["--versoin", "unknown option --versoin. Did you mean --version?"],
];

for (const [args, message] of MISSPELT) {
  Deno.test(`tend ${args} exits 2 and says what may have been meant`, async () => {
    await using box = await Sandbox.create();
    assertEquals(await box.tend(...args.split(" ")), {
      code: 2,
      stdout: "",
      stderr: `tend: ${message} Try 'tend --help'.\n`,
    });
  });
}

Deno.test("tend refuses an option whose value is not UTF-8", async () => {
  await using box = await Sandbox.create();
  assertEquals(
    await box.run(
      ["sh", "-c", '"$1" --pidfile="$(printf "a\\377")" true', "sh", TEND],
    ),
    {
      code: 2,
      stdout: "",
      stderr: "tend: option is not valid UTF-8: --pidfile=a\ufffd. " +
        "Try 'tend --help'.\n",
    },
  );
});

for (const option of ["--help", "-h"]) {
  Deno.test(`tend ${option} lists every option`, async () => {
    await using box = await Sandbox.create();
    const { code, stdout, stderr } = await box.tend(option);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const listed = stdout.matchAll(/^ {2}(?:(-\w), )?(--[\w-]+\S*)/gm);
    assertEquals(
      [...listed].map(([, letter, long]) => [letter, long]),
      optionsOf(runVerb).map((option) => {
        const [long, letter] = optionForms(option).reverse();
        return [letter, long];
      }),
    );
  });
}

Deno.test("tend --help works when nothing says where pidfiles are", async () => {
  await using box = await Sandbox.create();
  // Root always has a directory: drop to a user who has none.
  const asNobody = Deno.uid() === 0
    ? ["setpriv", "--reuid=65534", "--clear-groups"]
    : [];
  const { code, stdout } = await box.run(
    [...asNobody, "env", "-i", TEND, "--help"],
  );
  assertEquals(code, 0);
  assertStringIncludes(stdout, "usage: tend");
});

Deno.test("tend --help fails when its output cannot be written", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.run(
    ["sh", "-c", '"$1" --help >/dev/full', "sh", TEND],
  );
  assertEquals(code, 1);
  assertEquals(
    stderr,
    "tend: standard output: write failed (No space left on device)\n",
  );
});

for (const limit of [5, 8, 12]) {
  Deno.test(`tend says that ${limit} descriptors are too few to start`, async () => {
    await using box = await Sandbox.create();
    const script = `ulimit -n ${limit}; exec "$1" --version`;
    assertEquals(await box.run(["sh", "-c", script, "sh", TEND]), {
      code: 4,
      stdout: "",
      stderr: "tend: too few descriptors are free to start (ulimit -n)\n",
    });
  });
}

for (const option of ["--version", "-V"]) {
  Deno.test(`tend ${option} displays the version`, async () => {
    await using box = await Sandbox.create();
    const { code, stdout, stderr } = await box.tend(option);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertMatch(stdout, /^tend \d+\.\d+\.\d+\n$/);
  });
}

Deno.test("tend leaves the options after COMMAND to COMMAND", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await box.tend("echo", "--detach", "--", "-h");
  assertEquals({ code, stdout }, { code: 0, stdout: "--detach -- -h\n" });
});

Deno.test("tend -- begins COMMAND, and only the first -- does", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await box.tend("--", "echo", "--", "--help");
  assertEquals({ code, stdout }, { code: 0, stdout: "-- --help\n" });
});

Deno.test("tend -- takes a COMMAND that looks like an option", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.run([TEND, "--", "--help"], SHORT_PATH);
  assertEquals(code, 127);
  assertMatch(stderr, /^tend: --help: .*No such file or directory\)?\n$/);
});

Deno.test("tend takes a single dash as COMMAND", async () => {
  await using box = await Sandbox.create();
  assertEquals((await box.run([TEND, "-"], SHORT_PATH)).code, 127);
});

Deno.test("tend --pidfile takes COMMAND's base name when alone", async () => {
  await using box = await Sandbox.create();
  await box.tend("--detach", "--pidfile", "--", "/bin/sleep", "600");
  assertEquals(box.runFiles(), ["sleep.pid", "sleep.pid.monitor"]);
});

Deno.test("tend --name names the default pidfile", async () => {
  await using box = await Sandbox.create();
  await box.tend("--detach", "--name=web", "--pidfile", "--", "sleep", "600");
  assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
});

Deno.test("tend --name leaves a pidfile that was named alone", async () => {
  await using box = await Sandbox.create();
  const args = ["--detach", "--name=web", "--pidfile=my.pid"];
  await box.tend(...args, "--", "sleep", "600");
  assertEquals(box.runFiles(), ["my.pid", "my.pid.monitor"]);
});

Deno.test("tend --name names the default log", async () => {
  await using box = await Sandbox.create();
  await box.tend("--name=web", "--log-file", "--", "true");
  assertEquals(box.read(box.path("log/web.log")), "");
});

Deno.test("tend --name takes the last of several", async () => {
  await using box = await Sandbox.create();
  await box.tend("--name=a", "--name=b", "--log-file", "--", "true");
  assertEquals(box.read(box.path("log/b.log")), "");
});
