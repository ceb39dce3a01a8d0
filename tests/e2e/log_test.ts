import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { Sandbox, TEND } from "../sandbox.ts";

/** A monitor logs one line at the end of this. */
const ENDS_AT_ONCE = ["--monitor", "--", "sh", "-c", "exit 3"];
const DIED = String
  .raw`\|00001\|daemon_unix\(monitor\)\|INFO\|pid \d+ died, exit status 3, exiting\n$`;
/** OVS's format: the console has seconds, the file milliseconds. */
const CONSOLE_LINE = new RegExp(
  String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ` + DIED,
);
const FILE_LINE = new RegExp(
  String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z` + DIED,
);

Deno.test("tend --monitor logs to the console in OVS's format", async () => {
  await using box = await Sandbox.create();
  const { stderr } = await box.tend(...ENDS_AT_ONCE);
  assertMatch(stderr, CONSOLE_LINE);
});

Deno.test("tend --log-file logs in OVS's format below the log directory", async () => {
  await using box = await Sandbox.create();
  await box.tend("--log-file", ...ENDS_AT_ONCE);
  assertMatch(box.read(box.path("log/sh.log")) ?? "", FILE_LINE);
});

Deno.test("tend --log-file takes a relative FILE from its own directory", async () => {
  await using box = await Sandbox.create();
  const log = "--log-file=my.log";
  // What misses SIGTERM because it is just being forked ends by itself.
  const code = 'trap "exit 3" TERM; kill $PPID; while :; do sleep 0.01; done';
  // Detached, the monitor writes its line when its directory is `/`.
  await box.tend("--detach", "--monitor", log, "--", "sh", "-c", code);
  const line = await box.until(
    "the monitor has logged",
    () => box.read(box.path("my.log")) || undefined,
  );
  assertMatch(line, FILE_LINE);
});

Deno.test("tend --log-file takes a relative FILE in a directory that is not UTF-8", async () => {
  await using box = await Sandbox.create();
  const script = 'd=$(printf "d\\377"); mkdir "$d"; cd "$d" && ' +
    '"$1" --log-file=my.log true && test -e my.log';
  const { code, stderr } = await box.run(["sh", "-c", script, "sh", TEND]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
});

Deno.test("tend --log-file takes an absolute FILE and appends to it", async () => {
  await using box = await Sandbox.create();
  const file = box.path("my.log");
  Deno.writeTextFileSync(file, "first\n");
  await box.tend(`--log-file=${file}`, ...ENDS_AT_ONCE);
  assertMatch(box.read(file)!.replace(/^first\n/, ""), FILE_LINE);
});

Deno.test("tend --log-file makes a file that strangers cannot read", async () => {
  await using box = await Sandbox.create();
  await box.tend("--log-file=my.log", "--", "true");
  assertEquals(Deno.statSync(box.path("my.log")).mode! & 0o777, 0o640);
});

for (
  const [what, file, reason] of [
    ["is in no directory", "no/my.log", "No such file or directory"],
    ["is a directory", ".", "Is a directory"],
  ] as const
) {
  Deno.test(`tend --log-file starts nothing when FILE ${what}`, async () => {
    await using box = await Sandbox.create();
    const path = `${box.dir}/${file}`;
    const { code, stdout, stderr } = await box.tend(
      `--log-file=${path}`,
      "echo",
      "started",
    );
    assertEquals({ code, stdout }, { code: 1, stdout: "" });
    assertEquals(stderr, `tend: ${path}: open failed (${reason})\n`);
  });
}

for (
  const spec of ["console:off", "off", "daemon_unix:console:warn", "ANY warn"]
) {
  Deno.test(`tend --verbose=${spec} keeps an info off the console`, async () => {
    await using box = await Sandbox.create();
    const { stderr } = await box.tend(`--verbose=${spec}`, ...ENDS_AT_ONCE);
    assertEquals(stderr, "");
  });
}

for (const spec of ["tend:off", "file:off", "console:info", "dbg", ""]) {
  Deno.test(`tend -v${spec} leaves an info on the console`, async () => {
    await using box = await Sandbox.create();
    const { stderr } = await box.tend(`-v${spec}`, ...ENDS_AT_ONCE);
    assertMatch(stderr, CONSOLE_LINE);
  });
}

Deno.test("tend -v takes several, the last of a kind wins", async () => {
  await using box = await Sandbox.create();
  const { stderr } = await box.tend("-voff", "-vconsole:dbg", ...ENDS_AT_ONCE);
  assertMatch(stderr, CONSOLE_LINE);
});

Deno.test("tend --verbose=file:off keeps an info out of the log alone", async () => {
  await using box = await Sandbox.create();
  const { stderr } = await box.tend(
    "--verbose=file:off",
    "--log-file=my.log",
    ...ENDS_AT_ONCE,
  );
  assertMatch(stderr, CONSOLE_LINE);
  assertEquals(box.read(box.path("my.log")), "");
});

Deno.test("tend --verbose=off still says why it fails", async () => {
  await using box = await Sandbox.create();
  const { stderr } = await box.tend("--verbose=off", "--", "/no/such/program");
  assertStringIncludes(stderr, "tend: /no/such/program: ");
});

Deno.test("tend --log-file records why it fails", async () => {
  await using box = await Sandbox.create();
  const log = box.path("my.log");
  await box.tend(`--log-file=${log}`, "--pidfile=/no/dir/x.pid", "true");
  assertMatch(
    box.read(log) ?? "",
    /\|EMER\|\/no\/dir\/x\.pid\.monitor: create/,
  );
});
