import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  LOGGED,
  logOf,
  SLEEPY,
  untilAsleep,
  untilShown,
} from "../monitored.ts";
import {
  childrenOf,
  fdsOf,
  isAlive,
  look,
  parentOf,
  titleOf,
} from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const RELAY = "tend: showing stderr until ready";

/** The processes that read a command's stderr. */
function relays(box: Sandbox): number[] {
  return box.processes().filter((pid) => titleOf(pid) === RELAY);
}

/** Has tend run a shell script that is ready by descriptor 3. */
function argvOf(script: string, options = LOGGED): string[] {
  return [TEND, ...options, "--ready=fd=3", "--", "sh", "-c", script];
}

Deno.test("tend --ready shows all that a command writes to stderr before it is ready", async () => {
  await using box = await Sandbox.create();
  // More than a pipe holds.
  const script = "seq 1 100000 >&2; echo >&3; exec sleep 600";
  const { code, stderr } = await box.run(argvOf(script));
  assertEquals(code, 0);
  assertEquals(
    stderr,
    Array.from({ length: 1e5 }, (_, i) => `${i + 1}\n`).join(""),
  );
});

Deno.test("tend --ready shows all that a command writes to stderr before it fails", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.run(argvOf("seq 1 50000 >&2; exit 9"));
  assertEquals(code, 9);
  const all = Array.from({ length: 5e4 }, (_, i) => `${i + 1}\n`).join("");
  assertEquals(
    stderr,
    `${all}tend: web: died before it was ready, exit status 9\n`,
  );
  await box.until("nobody is left", () => box.processes().length === 0);
});

/** A script that writes to stderr for ever once it is ready, and counts. */
const WRITES = "echo >&3; exec 3>&-; i=0; while :; do i=$((i+1)); " +
  'head -c 70000 /dev/zero >&2 || exit 9; echo $i >"$0.tmp"; ' +
  'mv "$0.tmp" "$0"; sleep 0.01; done';

/** Waits until such a script has gone on. */
async function untilItGoesOn(box: Sandbox): Promise<void> {
  const count = () => Number(box.read(box.path("count")) ?? 0);
  const before = count();
  await box.until("the command has gone on", () => count() > before + 2);
}

Deno.test("tend --ready drops what a command writes to stderr when it is ready", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.run(
    [...argvOf(WRITES, SLEEPY), box.path("count")],
  );
  assertEquals(code, 0);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  await untilItGoesOn(box);
  await untilAsleep(box, monitor);
  await untilItGoesOn(box);
  // What came right then may be shown: as much as a pipe holds.
  assertEquals(stderr.replaceAll("\0", ""), "");
  const [relay] = relays(box);
  assertEquals(fdsOf(relay!).get(2), undefined);
  Deno.kill(monitor, "SIGKILL");
  await untilItGoesOn(box);
  assertEquals(isAlive(daemon), true);
  Deno.kill(daemon, "SIGTERM");
  await box.until("nobody is left", () => box.processes().length === 0);
});

Deno.test("tend --ready ends a command whose monitor is killed before it is ready", async () => {
  await using box = await Sandbox.create();
  const script = WRITES.replace("echo >&3; exec 3>&-;", "");
  const running = box.start([...argvOf(script), box.path("count")]);
  const { pid, monitor } = await untilShown(
    box,
    "that the daemon is not ready",
    ({ phase }) => phase === "notReady",
  );
  await untilItGoesOn(box);
  Deno.kill(monitor, "SIGKILL");
  assertEquals((await running.finished()).code, 1);
  await box.until("it has ended", () => !isAlive(pid));
  await box.until("nothing is left", () => box.processes().length === 0);
});

Deno.test("tend --ready does not hold up a command whose caller's stderr is not read", async () => {
  await using box = await Sandbox.create();
  const run = 'mkfifo f; exec 4<>f; "$@" 2>&4; echo $?';
  const { stdout } = await box.run(
    ["bash", "-c", run, "bash", ...argvOf(WRITES), box.path("count")],
  );
  assertEquals(stdout, "0\n");
  await untilItGoesOn(box);
});

Deno.test("tend --ready does not end a command when nobody reads the caller's stderr", async () => {
  await using box = await Sandbox.create();
  const script = `echo one >&2; echo two >&2; ${WRITES}`;
  const run = 'exec 4> >(exec true); wait $!; "$@" 2>&4; echo $?';
  const { stdout } = await box.run(
    ["bash", "-c", run, "bash", ...argvOf(script), box.path("count")],
  );
  assertEquals(stdout, "0\n");
  await untilItGoesOn(box);
});

Deno.test("tend --ready lets go of the caller's stderr when the command is ready", async () => {
  await using box = await Sandbox.create();
  // Returns only when nobody has the pipe any more.
  const argv = argvOf("echo hello >&2; echo >&3; exec sleep 600");
  const { stdout } = await box.run(
    ["bash", "-c", '"$@" 2>&1 | cat', "bash", ...argv],
  );
  assertEquals(stdout, "hello\n");
  assertEquals(isAlive(box.pidfile("web.pid")!), true);
});

Deno.test("tend --ready leaves no descriptor and no variable with a command but what was asked for", async () => {
  await using box = await Sandbox.create();
  const { code } = await box.run(
    ["env", "-u", "NOTIFY_SOCKET", ...argvOf("echo >&3; exec sleep 600")],
  );
  assertEquals(code, 0);
  const daemon = box.pidfile("web.pid")!;
  const fds = fdsOf(daemon);
  assertEquals([...fds.keys()].sort((a, b) => a - b), [0, 1, 2, 3, 100]);
  assertMatch(fds.get(3)!, /^pipe:/);
  const environ = Deno.readTextFileSync(`/proc/${daemon}/environ`);
  assertEquals(environ.includes("NOTIFY_SOCKET"), false);
  const [relay, ...others] = childrenOf(parentOf(daemon))
    .filter((pid) => pid !== daemon);
  assertEquals(others, []);
  await box.until("the relay has let go", () => fdsOf(relay!).size === 3);
  const [a, b, input] = [...fdsOf(relay!).values()];
  assertEquals([a, b, input], ["/dev/null", "/dev/null", fds.get(2)]);
});

Deno.test("tend --ready drops stderr in a process of 16 KiB that waits", async () => {
  await using box = await Sandbox.create();
  await box.run(argvOf("echo a >&2; echo >&3; exec sleep 600"));
  const [relay] = relays(box);
  const rollup = Deno.readTextFileSync(`/proc/${relay}/smaps_rollup`);
  const [, pss] = /^Pss: +(\d+) kB$/m.exec(rollup)!;
  assertLessOrEqual(Number(pss), 20);
  assertEquals(look(relay!)?.state, "S");
});

Deno.test("tend --ready gives a restarted command /dev/null for its stderr", async () => {
  await using box = await Sandbox.create();
  await box.run(argvOf("echo >&3; exec sleep 600"));
  const first = box.pidfile("web.pid")!;
  Deno.kill(first, "SIGSEGV");
  const { pid } = await untilShown(
    box,
    "that the successor runs",
    ({ pid, phase }) => pid !== first && phase === "running",
  );
  assertEquals(fdsOf(pid).get(2), "/dev/null");
  await box.until("the relay has ended", () => relays(box).length === 0);
});

Deno.test("tend --ready says so where stderr cannot be shown", async () => {
  await using box = await Sandbox.create();
  const argv = argvOf("echo hello >&2; echo >&3; exec sleep 600");
  // It follows the daemon, and so does not end.
  const { stderr } = box.start([
    ...["strace", "-f", "-o", "/dev/null"],
    ...["-e", "inject=memfd_create:error=EACCES", ...argv],
  ]);
  const why = "memfd_create failed (Permission denied): what the command " +
    "writes to stderr is not shown\n";
  const { pid } = await untilShown(
    box,
    "that the daemon runs",
    ({ phase }) => phase === "running",
  );
  assertStringIncludes(stderr(), why);
  assertEquals(stderr().includes("hello"), false);
  assertStringIncludes(logOf(box), why);
  assertEquals(fdsOf(pid).get(2), "/dev/null");
});

/** Runs a program on a terminal of its own; what is written there. */
async function onTerminal(box: Sandbox, argv: string[]): Promise<string> {
  const [command] = [argv.map((word) => `'${word}'`).join(" ")];
  const { stdout } = await box.run(
    ["script", "-qec", command, "/dev/null"],
    { env: { TERM: "xterm" } },
  );
  return stdout;
}

/** What is left on a terminal of one line, when all has been written. */
function screenOf(written: string): string[] {
  const lines = [""];
  let [column, saved] = [0, 0];
  // deno-lint-ignore no-control-regex
  const tokens = written.matchAll(/\x1b\[\??\d*[A-Za-z]|\x1b[78]|[^]/gu);
  for (const [token] of tokens) {
    const line = lines.at(-1)!;
    if (token === "\x1b7") saved = column;
    else if (token === "\x1b8") column = saved;
    else if (token === "\x1b[K") {
      lines[lines.length - 1] = line.slice(0, column);
    } else if (token === "\r") column = 0;
    else if (token === "\n") column = lines.push("") * 0;
    else if (!token.startsWith("\x1b")) {
      lines[lines.length - 1] = line.slice(0, column).padEnd(column) + token +
        line.slice(column + 1);
      column++;
    }
  }
  return lines;
}

Deno.test("tend --ready counts on a terminal, and clears that, around what a command writes", async () => {
  await using box = await Sandbox.create();
  const script = "echo begin >&2; sleep 1.2; printf part >&2; sleep 1; " +
    "echo ial >&2; echo >&3; exec sleep 600";
  const written = await onTerminal(box, argvOf(script));
  const counts = [...written.matchAll(
    /web: not ready yet, waiting for a newline on descriptor 3… (\d+)s of 60s/g,
  )].map(([, count]) => Number(count));
  assertGreaterOrEqual(counts.length, 2);
  assertEquals(counts, counts.toSorted((a, b) => a - b));
  assertEquals(screenOf(written), ["begin", "partial", ""]);
});

Deno.test("tend --ready clears its line on a terminal when a command fails", async () => {
  await using box = await Sandbox.create();
  const written = await onTerminal(box, argvOf("sleep 1.2; exit 3"));
  assertMatch(written, /1s of 60s/);
  assertEquals(screenOf(written), [
    "tend: web: died before it was ready, exit status 3",
    "",
  ]);
});

Deno.test("tend --ready shows no line where there is no terminal", async () => {
  await using box = await Sandbox.create();
  const script = "sleep 1.2; echo >&3; exec sleep 600";
  assertEquals((await box.run(argvOf(script))).stderr, "");
});
