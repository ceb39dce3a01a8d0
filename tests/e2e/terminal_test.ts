/** What a terminal does to tend in the foreground, and to its command. */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { untilAsleep, untilShown } from "../monitored.ts";
import { isAlive } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const QUIET = ["-v=console:off", "-v=syslog:off"];

/** Runs a command on a terminal of its own, where ^C is typed when it is there. */
async function typeInterrupt(
  box: Sandbox,
  times: number,
  command: readonly string[],
  pause = 0.2,
): Promise<{ code: number; output: string }> {
  const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  const script = `(until test -s "$1"; do sleep 0.01; done; ` +
    `i=0; while test $i -lt ${times}; do printf '\\003'; sleep ${pause}; ` +
    `i=$((i+1)); done; until test -e "$2"; do sleep 0.01; done) | ` +
    `script -qec "$3" typescript; echo $? >"$4"; touch "$2"`;
  const [there, over, code] = ["there", "over", "code"].map((name) =>
    box.path(name)
  );
  // ^C is the shell's, too, which some shells end by at once.
  const inner = `trap : INT; ${words.join(" ")}; c=$?; ` +
    `touch '${over}'; exit $c`;
  const { stdout } = await box.run(
    ["sh", "-c", script, "sh", there!, over!, inner, code!],
  );
  return { code: Number(box.read(code!)), output: stdout };
}

Deno.test("tend in the foreground leaves Ctrl-C to COMMAND", async () => {
  await using box = await Sandbox.create();
  const traps = 'trap "echo INT; sleep 0.1; exit 3" INT; ' +
    'trap "echo QUIT; exit 4" QUIT; trap "echo TERM; exit 5" TERM; ';
  const shell = `${traps}echo >>"$1"; while :; do sleep 0.01; done`;
  const { code, output } = await typeInterrupt(box, 1, [
    ...[TEND, "--pidfile=web.pid", ...QUIET, "--"],
    ...["sh", "-c", shell, "sh", box.path("there")],
  ]);
  assertEquals(code, 3);
  assertMatch(output, /INT\r\n$/);
  assertEquals(output.match(/INT|QUIT|TERM/g), ["INT"]);
});

Deno.test("tend --stop-signal in the foreground tells COMMAND to end by that at Ctrl-C", async () => {
  await using box = await Sandbox.create();
  const shell = 'trap "" INT; trap "exit 4" QUIT; echo >>"$1"; ' +
    "while :; do sleep 0.01; done";
  const { code } = await typeInterrupt(box, 1, [
    ...[TEND, "--pidfile=web.pid", "--stop-signal=QUIT", ...QUIET, "--"],
    ...["sh", "-c", shell, "sh", box.path("there")],
  ]);
  assertEquals(code, 4);
});

Deno.test("tend --stop-timeout in the foreground says that COMMAND does not end by Ctrl-C", async () => {
  await using box = await Sandbox.create();
  const shell = 'trap "" INT; echo >>"$1"; while :; do sleep 0.01; done';
  const { code, output } = await typeInterrupt(box, 1, [
    ...[TEND, "--pidfile=web.pid", "--stop-timeout=50ms", "-v=syslog:off"],
    ...["--", "sh", "-c", shell, "sh", box.path("there")],
  ]);
  assertEquals(code, 137);
  assertStringIncludes(output, "does not end by SIGINT, killing it");
});

Deno.test("tend --kill-mode=tree in the foreground has Ctrl-C end COMMAND's other sessions", async () => {
  await using box = await Sandbox.create();
  const other = 'trap "echo other; exit" INT; echo >>"$1"; ' +
    "while :; do sleep 0.01; done";
  // In the background SIGINT would be ignored.
  const shell =
    'setsid -f "$0" -c "$1" sh "$2"; trap "echo INT; exit 3" INT; ' +
    "while :; do sleep 0.01; done";
  const { code, output } = await typeInterrupt(box, 1, [
    ...[TEND, "--pidfile=web.pid", "--kill-mode=tree", ...QUIET, "--"],
    ...["sh", "-c", shell, "sh", other, box.path("there")],
  ]);
  assertEquals(code, 3);
  assertEquals(output.match(/INT|other/g)?.sort(), ["INT", "other"]);
  assertEquals(box.processes(), []);
});

Deno.test("tend in the foreground kills COMMAND at the second Ctrl-C", async () => {
  await using box = await Sandbox.create();
  const shell = 'trap "" INT; echo >>"$1"; while :; do sleep 0.01; done';
  const { code } = await typeInterrupt(box, 2, [
    ...[TEND, "--pidfile=web.pid", ...QUIET, "--"],
    ...["sh", "-c", shell, "sh", box.path("there")],
  ]);
  assertEquals(code, 137);
});

Deno.test("tend in the foreground leaves a Ctrl-C long after another to COMMAND", async () => {
  await using box = await Sandbox.create();
  const shell = 'n=0; trap "n=\\$((n+1))" INT; echo >>"$1"; ' +
    "until test $n = 2; do sleep 0.01; done; exit 6";
  const command = ["sh", "-c", shell, "sh", box.path("there")];
  const tend = [TEND, "--pidfile=web.pid", ...QUIET, "--", ...command];
  const { code } = await typeInterrupt(box, 2, tend, 5.1);
  assertEquals(code, 6);
});

/** As the leader of a terminal's session, and below a shell that is that. */
const LEADERS = {
  "itself": "exec $1",
  // In the same process group.
  "a script": "$1; :",
  // In one of its own.
  "a shell": "exec bash --norc -ic '$1; :'",
  "a shell in the background": "exec bash --norc -ic '$1 & wait'",
} as const;

/**
 * Starts tend on a terminal.
 *
 * @returns Takes the terminal away.
 */
function onTerminal(
  box: Sandbox,
  command: readonly string[],
  leader: string = LEADERS.itself,
): () => void {
  const script = `echo $$ >terminal; exec script -qec "${leader}" typescript`;
  const argv = ["sh", "-c", 'sleep 600 | sh -c "$0" sh "$1"', script];
  box.start([...argv, [TEND, ...command].join(" ")]);
  return () => Deno.kill(box.pidIn(box.path("terminal"))!, "SIGKILL");
}

for (const sleep of ["0", "never"]) {
  const options = ["--monitor", "--pidfile=web.pid", `--sleep-after=${sleep}`];

  Deno.test(`tend --sleep-after=${sleep} in the foreground ends with its terminal, as COMMAND does`, async () => {
    await using box = await Sandbox.create();
    const hangUp = onTerminal(box, [...options, "--", "sleep", "600"]);
    const { pid, monitor } = await untilShown(
      box,
      "a daemon that runs",
      ({ phase }) => phase === "running",
    );
    if (sleep === "0") await untilAsleep(box, monitor);
    hangUp();
    await box.until(
      "COMMAND and tend have ended",
      () => !isAlive(pid) && !isAlive(monitor),
    );
    assertEquals(box.runFiles(), []);
  });

  Deno.test(`tend --sleep-after=${sleep} in the foreground starts no other COMMAND without its terminal`, async () => {
    await using box = await Sandbox.create();
    const often = ["--restart=always", "--restart-delay=1h"];
    const hangUp = onTerminal(box, [
      ...[...options, ...often, "--", "sleep", "0.1"],
    ]);
    const { monitor } = await untilShown(
      box,
      "that it backs off",
      ({ phase }) => phase === "backingOff",
    );
    if (sleep === "0") await untilAsleep(box, monitor);
    hangUp();
    await box.until("tend has ended", () => !isAlive(monitor));
    assertEquals(box.runFiles(), []);
  });

  for (const [title, leader] of Object.entries(LEADERS)) {
    Deno.test(`tend --sleep-after=${sleep} --restart=always below ${title} starts no other COMMAND when its terminal goes`, async () => {
      await using box = await Sandbox.create();
      const count = box.path("count");
      Deno.writeTextFileSync(count, "echo >>$0.txt; exec sleep 600\n");
      const always = [...options, "--restart=always", "--log-file=log"];
      const hangUp = onTerminal(box, [...always, "--", "sh", count], leader);
      const { pid, monitor } = await untilShown(
        box,
        "a daemon that runs",
        ({ phase }) => phase === "running",
      );
      await box.until(
        "it is there",
        () => box.read(box.path("count.txt")) === "\n",
      );
      if (sleep === "0") await untilAsleep(box, monitor);
      hangUp();
      await box.until(
        "COMMAND and tend have ended",
        () => !isAlive(pid) && !isAlive(monitor),
      );
      assertEquals(box.runFiles(), []);
      assertEquals(box.read(box.path("count.txt")), "\n");
      assertMatch(
        box.read(box.path("log"))!,
        /^\S+INFO\|pid \d+ died, killed \(Hangup\), exiting\n/,
      );
    });
  }
}

Deno.test("tend --restart=always in the foreground starts another COMMAND that somebody has hung up", async () => {
  await using box = await Sandbox.create();
  const often = ["--restart=always", "--pidfile=web.pid", ...QUIET];
  box.start([TEND, ...often, "--", "sleep", "600"]);
  const { pid } = await untilShown(
    box,
    "a daemon that runs",
    ({ phase }) => phase === "running",
  );
  Deno.kill(pid, "SIGHUP");
  const another = await untilShown(
    box,
    "another daemon",
    (record) => record.phase === "running" && record.pid !== pid,
  );
  // tend is told by this one.
  Deno.kill(another.monitor, "SIGHUP");
  await box.until("tend has ended", () => !isAlive(another.monitor));
  assertEquals(box.runFiles(), []);
});
