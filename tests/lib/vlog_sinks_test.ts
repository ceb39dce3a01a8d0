import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { LibcError } from "../../ffi/libc.ts";
import { setLogFile, SINKS } from "../../lib/vlog_sinks.ts";
import { openFdCount } from "../descriptors.ts";
import { ROOT, runProgram } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const LINE = { timestamp: Date.UTC(2026, 10, 23), level: "info" } as const;
const TIME = "2026-11-23T00:00:00.000Z";

Deno.test("setLogFile() makes the file with mode 0640", async () => {
  await using box = await Sandbox.create();
  const path = box.path("log");
  setLogFile(path);
  assertEquals(Deno.statSync(path).mode! & 0o7777, 0o640 & ~Deno.umask());
});

Deno.test("setLogFile() throws when the file cannot be written", () => {
  const error = assertThrows(() => setLogFile("/no/such/log"), LibcError);
  assertEquals(error.message, "open failed (No such file or directory)");
});

Deno.test("setLogFile() keeps the file that it had when another cannot be", async () => {
  await using box = await Sandbox.create();
  const path = box.path("log");
  setLogFile(path);
  assertThrows(() => setLogFile("/no/such/log"), LibcError);
  SINKS.file({ ...LINE, text: "a" });
  assertEquals(box.read(path), `${TIME}|a\n`);
});

Deno.test("SINKS.file adds to what is in the file", async () => {
  await using box = await Sandbox.create();
  const path = box.path("log");
  Deno.writeTextFileSync(path, "before\n");
  setLogFile(path);
  SINKS.file({ ...LINE, text: "a" });
  assertEquals(box.read(path), `before\n${TIME}|a\n`);
});

Deno.test("SINKS.file writes to the new file when the old was rotated away", async () => {
  await using box = await Sandbox.create();
  const path = box.path("log");
  setLogFile(path);
  SINKS.file({ ...LINE, text: "a" });
  Deno.renameSync(path, box.path("log.1"));
  SINKS.file({ ...LINE, text: "b" });
  assertEquals(box.read(box.path("log.1")), `${TIME}|a\n`);
  assertEquals(box.read(path), `${TIME}|b\n`);
});

Deno.test("SINKS.file holds no descriptor between two messages", async () => {
  await using box = await Sandbox.create();
  const before = openFdCount();
  setLogFile(box.path("log"));
  SINKS.file({ ...LINE, text: "a" });
  assertEquals(openFdCount(), before);
});

Deno.test("SINKS.file complains on the console once for each time that writing fails", async () => {
  await using box = await Sandbox.create();
  const { stdout, stderr } = await runProgram(
    box,
    `
    import { setLogFile, SINKS } from "${ROOT}/lib/vlog_sinks.ts";
    const [directory] = Deno.args;
    const say = () => SINKS.file({ timestamp: 0, level: "info", text: "a" });
    Deno.mkdirSync(directory);
    setLogFile(directory + "/log");
    Deno.removeSync(directory, { recursive: true });
    say(); say();
    Deno.mkdirSync(directory);
    say();
    Deno.removeSync(directory, { recursive: true });
    say(); say();
    console.log("done");`,
    { args: [box.path("logs")] },
  );
  const line = `tend: ${
    box.path("logs/log")
  }: open failed (No such file or directory)\n`;
  assertEquals([stdout, stderr], ["done\n", line + line]);
});

Deno.test("SINKS.console has seconds and goes to stderr", async () => {
  await using box = await Sandbox.create();
  const { stdout, stderr } = await runProgram(
    box,
    `
    import { SINKS } from "${ROOT}/lib/vlog_sinks.ts";
    SINKS.console({ timestamp: 1999, level: "info", text: "a" });`,
  );
  assertEquals([stdout, stderr], ["", "1970-01-01T00:00:01Z|a\n"]);
});

Deno.test("writeConsole() passes over that nobody reads the console", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await runProgram(
    box,
    `
    import { close } from "${ROOT}/ffi/descriptor.ts";
    import { writeConsole } from "${ROOT}/lib/vlog_sinks.ts";
    close(2);
    writeConsole("text");
    console.log("goes on");`,
  );
  assertEquals([code, stdout], [0, "goes on\n"]);
});

Deno.test("keepConsole() is where the console is when stderr is another, until dropConsole()", async () => {
  await using box = await Sandbox.create();
  const { stdout, stderr } = await runProgram(
    box,
    `
    import { closesOnExec } from "${ROOT}/ffi/descriptor.ts";
    import { dup3 } from "${ROOT}/ffi/duplicate.ts";
    import { O_WRONLY, open } from "${ROOT}/ffi/file.ts";
    import { dropConsole, keepConsole, writeConsole } from "${ROOT}/lib/vlog_sinks.ts";
    const fds = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const devNull = open("/dev/null", O_WRONLY);
    const before = fds();
    const fd = keepConsole();
    dup3(devNull, 2, 0);
    writeConsole("kept\\n");
    console.log(fd > 2, closesOnExec(fd), fds() - before);
    dropConsole();
    writeConsole("dropped\\n");
    dropConsole();
    console.log(fds() - before);`,
  );
  assertEquals([stdout, stderr], ["true true 1\n0\n", "kept\n"]);
});

Deno.test("holdLogFile() has messages written where the file cannot be opened any more", async () => {
  await using box = await Sandbox.create();
  const path = box.path("log");
  const { stderr } = await runProgram(
    box,
    `
    import { holdLogFile, setLogFile, SINKS } from "${ROOT}/lib/vlog_sinks.ts";
    setLogFile(${JSON.stringify(path)});
    holdLogFile();
    Deno.renameSync(${JSON.stringify(path)}, ${JSON.stringify(`${path}.1`)});
    Deno.mkdirSync(${JSON.stringify(path)});
    SINKS.file({ timestamp: ${LINE.timestamp}, level: "info", text: "a" });`,
  );
  assertEquals([stderr, box.read(`${path}.1`)], ["", `${TIME}|a\n`]);
});
