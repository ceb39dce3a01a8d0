import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { toBytes } from "../../../ffi/c_string.ts";
import { CommandError } from "../../../lib/cli/find_command.ts";
import { run } from "../../../lib/cli/run.ts";
import type { RunOption, RunOptionName } from "../../../lib/cli/run_options.ts";
import { UsageError } from "../../../lib/options.ts";
import { levelOf } from "../../../lib/vlog_levels.ts";
import { ask, ROOT } from "../../program.ts";
import { Sandbox } from "../../sandbox.ts";
import "../../open_libc.ts";

// What these options do is tried end to end, on tend itself: tests/e2e. None
// of these gets as far as to become a command.

Deno.env.set("TEND_RUNDIR", "/no/such/run");
Deno.env.set("TEND_LOGDIR", "/no/such/log");

/** Options as `name` or `name=value`, and what is wrong with them. */
const WRONG: readonly [string[], string][] = [
  [["pidfile="], "option --pidfile has an empty value"],
  [["log-file="], "option --log-file has an empty value"],
  [["name="], "option --name has an empty value"],
  [["name=a/b"], "option --name: a/b is not a file name"],
  [["name=."], "option --name: . is not a file name"],
  [["name=.."], "option --name: .. is not a file name"],
  [["overwrite-pidfile"], "option --overwrite-pidfile needs --pidfile"],
  [
    ["exec", "monitor"],
    "options --exec and --monitor exclude each other: a monitor stays",
  ],
  [
    ["verbose=nope"],
    'option --verbose=nope: no destination, level, or module "nope"',
  ],
];

for (const [options, message] of WRONG) {
  Deno.test(`run() refuses ${options.join(" ")}`, () => {
    const error = assertThrows(() => tryToRun(...options), UsageError);
    assertEquals(error.message, message);
  });
}

for (
  const value of ["pidfile", "pidfile=web.pid", "monitor", "exec", "name=x"]
) {
  Deno.test(`run() takes --${value}, and looks the command up first`, () => {
    assertThrows(() => tryToRun(value), CommandError, "/no/such/command: exec");
  });
}

Deno.test("run() sets the levels in the order that they are given", () => {
  assertThrows(
    () =>
      tryToRun("verbose=console:off", "verbose=tend:console:err", "verbose"),
    CommandError,
  );
  assertEquals(levelOf("tend", "console"), "dbg");
  assertThrows(
    () =>
      tryToRun("verbose=", "verbose=console:off", "verbose=tend:console:err"),
    CommandError,
  );
  assertEquals(levelOf("tend", "console"), "err");
  assertEquals(levelOf("daemon_unix", "console"), "off");
});

for (const slash of ["", "/"]) {
  Deno.test(`run() makes the run directory when TEND_RUNDIR is "DIR${slash}"`, async () => {
    await using box = await Sandbox.create();
    const answer = await ask(
      box,
      `
      import { toBytes } from "${ROOT}/ffi/c_string.ts";
      import { run } from "${ROOT}/lib/cli/run.ts";
      run(
        [{ name: "pidfile", value: "web.pid" }, { name: "exec", value: undefined }],
        ["sh", "-c", 'test $(cat "$0") = $$ && echo right', "${
        box.path("new/web.pid")
      }"].map(toBytes),
      );`,
      { env: { TEND_RUNDIR: `${box.path("new")}${slash}` } },
    );
    assertEquals(answer, "right");
  });

  Deno.test(`run() makes the log directory when TEND_LOGDIR is "DIR${slash}"`, async () => {
    await using box = await Sandbox.create();
    await ask(
      box,
      `
      import { toBytes } from "${ROOT}/ffi/c_string.ts";
      import { run } from "${ROOT}/lib/cli/run.ts";
      run([{ name: "log-file", value: undefined }], [toBytes("true")]);`,
      { env: { TEND_LOGDIR: `${box.path("new")}${slash}` } },
    );
    assertEquals(box.read(box.path("new/true.log")), "");
  });
}

function tryToRun(...options: string[]): never {
  const given = options.map((option): RunOption => {
    const [name, ...value] = option.split("=");
    return {
      name: name as RunOptionName,
      value: option.includes("=") ? value.join("=") : undefined,
    };
  });
  return run(given, [toBytes("/no/such/command")]);
}
