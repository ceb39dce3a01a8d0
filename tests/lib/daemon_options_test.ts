import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import {
  DAEMON_OPTIONS,
  daemonUsage,
  parseSleepAfter,
} from "../../lib/daemon_options.ts";
import { UsageError } from "../../lib/options.ts";
import { setProgramName } from "../../lib/program_name.ts";
import "../open_libc.ts";

Deno.test("DAEMON_OPTIONS are those of Open vSwitch's daemons, and when the monitor sleeps", () => {
  const names = DAEMON_OPTIONS.map(({ name }) => name);
  assertEquals(
    [...names].sort(),
    [
      "detach",
      "monitor",
      "no-chdir",
      "overwrite-pidfile",
      "pidfile",
      "sleep-after",
    ],
  );
});

for (const text of ["", "soon", "-1s", "Never"]) {
  Deno.test(`parseSleepAfter() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(
      () => parseSleepAfter(text),
      UsageError,
      `option --sleep-after=${text}: not a duration`,
    );
  });
}

Deno.test("parseSleepAfter() is a second by default, and undefined for never", () => {
  assertEquals(
    [parseSleepAfter(), parseSleepAfter("never"), parseSleepAfter("0")],
    [1000, undefined, 0],
  );
});

Deno.test("daemonUsage() has a line for each option", () => {
  const [empty, head, ...lines] = daemonUsage().trimEnd().split("\n");
  assertEquals([empty, head], ["", "Daemon options:"]);
  assertEquals(
    lines.filter((line) => /^ {2}--/.test(line)).map((line) =>
      /--([a-z-]+)/.exec(line)![1]
    ),
    DAEMON_OPTIONS.map(({ name }) => name),
  );
});

Deno.test("daemonUsage() says where the program's pidfile is by default", () => {
  Deno.env.set("TEND_RUNDIR", "/run/here");
  setProgramName("web");
  assertStringIncludes(daemonUsage(), "(default: /run/here/web.pid)");
  Deno.env.delete("TEND_RUNDIR");
});
