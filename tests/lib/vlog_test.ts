import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { ask, ROOT, runProgram } from "../program.ts";
import { type Finished, Sandbox } from "../sandbox.ts";

const IMPORTS = `
  import { vlogModule } from "${ROOT}/lib/vlog.ts";
  import { setLevels } from "${ROOT}/lib/vlog_levels.ts";
  import { setLogFile } from "${ROOT}/lib/vlog_sinks.ts";
  import { addExitHook } from "${ROOT}/lib/fatal_signal.ts";
  import * as names from "${ROOT}/lib/program_name.ts";
  const vlog = vlogModule("daemon_unix");
  const [file] = Deno.args;`;

const CONSOLE = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;
const FILE = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;

/** Runs a program whose log is a file; returns what is in that, too. */
async function log(source: string): Promise<Finished & { file: string }> {
  await using box = await Sandbox.create();
  const path = box.path("log");
  const finished = await runProgram(box, IMPORTS + source, { args: [path] });
  return { ...finished, file: box.read(path) ?? "" };
}

Deno.test("vlog writes lines in OVS's format to the console", async () => {
  const { stderr, stdout } = await log(`vlog.err("1 crashes: pid 9 died");`);
  assertMatch(
    stderr,
    RegExp(
      `^${CONSOLE}\\|00001\\|daemon_unix\\|ERR\\|1 crashes: pid 9 died\n$`,
    ),
  );
  assertEquals(stdout, "");
});

Deno.test("vlog writes milliseconds to the file", async () => {
  const { file } = await log(`setLogFile(file); vlog.warn("text");`);
  assertMatch(file, RegExp(`^${FILE}\\|00001\\|daemon_unix\\|WARN\\|text\n$`));
});

Deno.test("vlog writes the time of the message in UTC", async () => {
  const before = Date.now();
  const { file } = await log(`setLogFile(file); vlog.warn("text");`);
  const time = Date.parse(file.slice(0, 24));
  assertEquals([before <= time, time <= Date.now()], [true, true]);
});

Deno.test("vlog names the subprogram beside the module", async () => {
  const { stderr } = await log(`
    names.setSubprogramName("monitor");
    vlog.info("a");
    names.setSubprogramName("");
    vlog.info("b");`);
  assertEquals(
    stderr.split("\n").map((line) => line.split("|")[2]),
    ["daemon_unix(monitor)", "daemon_unix", undefined],
  );
});

Deno.test("vlog has a word for each level, and leaves dbg out at first", async () => {
  const { stderr } = await log(`
    for (const level of ["emer", "err", "warn", "info", "dbg"]) vlog[level](level);
    setLevels("dbg");
    vlog.dbg("dbg");`);
  assertEquals(
    stderr.trimEnd().split("\n").map((line) => line.split("|").slice(3)),
    ["emer", "err", "warn", "info", "dbg"].map((
      level,
    ) => [level.toUpperCase(), level]),
  );
});

Deno.test("vlog counts the messages that are logged anywhere, and no others", async () => {
  const { stderr, file } = await log(`
    setLogFile(file);
    setLevels("console:warn");
    vlog.dbg("nowhere");
    vlog.info("file");
    vlog.warn("both");
    setLevels("file:off");
    vlog.err("console");`);
  const numbers = (text: string) =>
    text.trimEnd().split("\n").map((line) => line.split("|")[1]);
  assertEquals(numbers(file), ["00001", "00002"]);
  assertEquals(numbers(stderr), ["00002", "00003"]);
});

Deno.test("vlog obeys the levels of each module and destination", async () => {
  const { stderr, file } = await log(`
    setLogFile(file);
    setLevels("any:off");
    setLevels("tend:console:err");
    setLevels("daemon_unix:file:dbg");
    for (const name of ["tend", "daemon_unix"]) {
      const vlog = vlogModule(name);
      for (const level of ["emer", "err", "warn", "info", "dbg"]) vlog[level](level);
    }`);
  const seen = (text: string) =>
    text.trimEnd().split("\n").map((line) =>
      line.split("|").slice(2, 4).join()
    );
  assertEquals(seen(stderr), ["tend,EMER", "tend,ERR"]);
  assertEquals(
    seen(file),
    ["EMER", "ERR", "WARN", "INFO", "DBG"].map((level) =>
      `daemon_unix,${level}`
    ),
  );
});

Deno.test("vlog makes one line of a message, whatever is in it", async () => {
  const { stderr, file } = await log(`
    setLogFile(file);
    const codes = [...Array(32).keys(), 127];
    vlog.err("<" + String.fromCharCode(...codes) + "> é|{text}{0}\\\\");`);
  const escapes = [...Array(32).keys(), 127]
    .map((code) => `\\x${code.toString(16).padStart(2, "0")}`).join("");
  for (const text of [stderr, file]) {
    const [line, rest] = text.split("\n");
    assertEquals(line!.split("|ERR|")[1], `<${escapes}> é|{text}{0}\\`);
    assertEquals(rest, "");
  }
});

Deno.test("vlog.fatal() says its message once and ends with status 1", async () => {
  const { code, stderr, stdout } = await log(`
    vlog.fatal("it is over");
    console.log("not reached");`);
  assertEquals([code, stderr, stdout], [1, "tend: it is over\n", ""]);
});

Deno.test("vlog.fatal() logs its message to the file", async () => {
  const { file, stderr } = await log(`setLogFile(file); vlog.fatal("over");`);
  assertMatch(file, RegExp(`^${FILE}\\|00001\\|daemon_unix\\|EMER\\|over\n$`));
  assertEquals(stderr, "tend: over\n");
});

Deno.test("vlog.fatal() ends with the status that it is given", async () => {
  const { code } = await log(`vlog.fatal("it is over", 127);`);
  assertEquals(code, 127);
});

Deno.test("vlog.fatal() speaks under the program's name", async () => {
  const { stderr } = await log(`names.setProgramName("web"); vlog.fatal("a");`);
  assertEquals(stderr, "web: a\n");
});

Deno.test("vlog.fatal() speaks when the console is off", async () => {
  const { stderr } = await log(`setLevels("off"); vlog.fatal("a");`);
  assertEquals(stderr, "tend: a\n");
});

Deno.test("vlog.fatal() makes one line of its message", async () => {
  const { stderr } = await log(`vlog.fatal("a\\nb\\x1b");`);
  assertEquals(stderr, "tend: a\\x0ab\\x1b\n");
});

Deno.test("vlog.fatal() runs the exit hooks", async () => {
  const { stdout } = await log(`
    addExitHook(() => console.log("hook"));
    vlog.fatal("a");`);
  assertEquals(stdout, "hook\n");
});

Deno.test("vlog leaves LogTape's configuration to the program", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { getConfig } from "npm:@logtape/logtape@2.4.2";
    import { vlogModule } from "${ROOT}/lib/vlog.ts";
    import { setLevels } from "${ROOT}/lib/vlog_levels.ts";
    setLevels("console:off");
    vlogModule("daemon_unix").warn("text");
    console.log(getConfig());`,
  );
  assertEquals(answer, "null");
});
