/** Which ends are followed by a restart, how fast, and when that is given up. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { readMonitorFile } from "../../lib/monitor_file.ts";
import { LOGGED, logged, logOf } from "../monitored.ts";
import { childrenOf, isAlive, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

/** Ends as the file `how` says, when it is there; writes its pid each time. */
const SCRIPT = `
  echo $$ >>pids
  while ! [ -e how ]; do sleep 0.02; done
  read how <how
  rm how
  eval "$how"`;

/** Starts that script, and has it end once. */
async function startAndEnd(
  box: Sandbox,
  how: string,
  ...options: string[]
): Promise<number> {
  await box.tend(
    ...LOGGED,
    "--no-chdir",
    ...options,
    "--",
    "sh",
    "-c",
    SCRIPT,
  );
  const pid = box.pidfile("web.pid")!;
  end(box, how);
  await box.until("it has ended", () => !isAlive(pid));
  return pid;
}

function end(box: Sandbox, how: string): void {
  // In one step: it looks all the time.
  Deno.writeTextFileSync(box.path("how.new"), `${how}\n`);
  Deno.renameSync(box.path("how.new"), box.path("how"));
}

function pids(box: Sandbox): number {
  return box.read(box.path("pids"))?.trim().split("\n").length ?? 0;
}

const RESTARTED = [
  ["on-failure", "exit 3"],
  ["on-failure", "kill -KILL $$"],
  ["on-failure", "kill -TERM $$"],
  ["always", "exit 0"],
  ["always", "kill -HUP $$"],
] as const;
for (const [policy, how] of RESTARTED) {
  Deno.test(`tend --restart=${policy} restarts what ends by "${how}"`, async () => {
    await using box = await Sandbox.create();
    await startAndEnd(box, how, `--restart=${policy}`);
    await box.until("it runs again", () => pids(box) === 2);
  });
}

const FINAL = [
  ["on-error-signal", "exit 3"],
  ["on-failure", "exit 0"],
  ["no", "kill -SEGV $$"],
] as const;
for (const [policy, how] of FINAL) {
  Deno.test(`tend --restart=${policy} does not restart what ends by "${how}"`, async () => {
    await using box = await Sandbox.create();
    // The last of these options counts.
    const options = LOGGED.filter((option) => option !== "--monitor");
    await box.tend(
      ...options,
      "--no-chdir",
      `--restart=${policy}`,
      "--",
      "sh",
      "-c",
      SCRIPT,
    );
    const tend = parentOf(box.pidfile("web.pid")!);
    end(box, how);
    await box.until("tend has ended", () => !isAlive(tend));
    assertEquals([pids(box), box.runFiles()], [1, []]);
  });
}

Deno.test("tend --restart=always ends when it is told to", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--restart=always", "--", "sleep", "600");
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  Deno.kill(monitor, "SIGTERM");
  await box.until(
    "both have ended",
    () => !isAlive(monitor) && !isAlive(daemon),
  );
  assertEquals(box.runFiles(), []);
});

Deno.test("tend --restart-delay=0 restarts at once, however often", async () => {
  await using box = await Sandbox.create();
  await startAndEnd(box, "exit 1", "--restart=on-failure", "--restart-delay=0");
  for (let count = 2; count < 6; count++) {
    await box.until("it runs again", () => pids(box) === count);
    end(box, "exit 1");
  }
  await box.until("it runs again", () => pids(box) === 6);
  assert(!logOf(box).includes("waiting until"));
});

Deno.test("tend --restart-max-delay waits twice as long each time", async () => {
  await using box = await Sandbox.create();
  await box.tend(
    ...LOGGED,
    // Each daemon has to end before its delay is over, on a loaded machine too.
    "--restart=always",
    "--restart-delay=500ms",
    "--restart-max-delay=1200ms",
    "--restart-limit=5/1h",
    "--",
    "true",
  );
  await logged(box, "giving up");
  const waits = [...logOf(box).matchAll(/waiting until ([\d.]+) seconds/g)]
    .map(([, seconds]) => seconds);
  assertEquals(waits, ["0.5", "1", "1.2"]);
});

Deno.test("tend --restart-limit gives up, and says so in log and file", async () => {
  await using box = await Sandbox.create();
  const options = ["--restart=on-failure", "--restart-delay=0"];
  const first = await startAndEnd(
    box,
    "exit 4",
    ...options,
    "--restart-limit=2/1h",
  );
  assert(first > 0);
  await box.until("it runs again", () => pids(box) === 2);
  end(box, "exit 4");
  await logged(
    box,
    /ERR\|2 crashes: pid \d+ died, exit status 4, 2 ends within 3600 seconds, giving up\n/,
  );
  await box.until("tend has ended", () => box.processes().length === 0);
  assertEquals(box.runFiles(), ["web.pid.monitor"]);
  // A process that ends has no environment any more while it has its locks.
  const file = await box.until("nobody holds its file", () => {
    const file = readMonitorFile(box.runPath("web.pid"));
    return file.kind === "stale" && file;
  });
  assertEquals(file.record?.gaveUp, "2 ends within 3600 seconds");
});

Deno.test("tend --restart-limit ends with COMMAND's own status in the foreground", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.tend(
    "--restart=on-failure",
    "--restart-delay=0",
    "--restart-limit=3/1h",
    "--",
    "sh",
    "-c",
    "exit 9",
  );
  assertEquals(code, 9);
  assertMatch(stderr, /3 ends within 3600 seconds, giving up\n$/);
});

Deno.test("tend --on-crash runs a script that knows what has happened", async () => {
  await using box = await Sandbox.create();
  const script = 'env | grep ^TEND_ | sort >"$OUT.new"; mv "$OUT.new" "$OUT"';
  const out = box.path("facts");
  await box.run(
    [TEND, ...LOGGED, `--on-crash=${script}`, "--", "sleep", "600"],
    { env: { OUT: out } },
  );
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  Deno.kill(daemon, "SIGSEGV");
  const text = await box.until("it has run", () => box.read(out));
  const facts = new Map(
    text.trim().split("\n").map((line) => line.split("=") as [string, string]),
  );
  assertEquals(
    ["NAME", "PID", "END", "CRASHES", "PIDFILE"].map((name) =>
      facts.get(`TEND_${name}`)
    ),
    [
      "web",
      `${daemon}`,
      "killed (Segmentation fault)",
      "1",
      box.runPath("web.pid"),
    ],
  );
  assertMatch(facts.get("TEND_UPTIME")!, /^\d+(\.\d+)?$/);
  await box.until(
    "nothing is left of it",
    () => childrenOf(monitor).length === 1,
  );
});

Deno.test("tend --on-crash tells its script nothing of another daemon", async () => {
  await using box = await Sandbox.create();
  const script = 'env | grep ^TEND_ >"$OUT.new"; mv "$OUT.new" "$OUT"';
  const out = box.path("facts");
  // As the script of another tend would find them.
  const env = {
    OUT: out,
    TEND_GAVE_UP: "3 ends within 10 seconds",
    TEND_NAME: "other",
    TEND_HOME: "mine",
  };
  const options = ["--monitor", "--detach", `--on-crash=${script}`];
  await box.run(
    [TEND, ...options, "--pidfile=web.pid", "--", "sleep", "600"],
    { env },
  );
  Deno.kill(box.pidfile("web.pid")!, "SIGSEGV");
  const text = await box.until("it has run", () => box.read(out));
  const lines = text.trim().split("\n");
  const isTold = (name: string) =>
    lines.filter((line) => line.startsWith(`TEND_${name}=`));
  assertEquals(isTold("GAVE_UP"), []);
  assertEquals(isTold("NAME").length, 1);
  assertEquals(isTold("NAME")[0] === "TEND_NAME=other", false);
  // What else begins like that is the caller's.
  assertEquals(isTold("HOME"), ["TEND_HOME=mine"]);
  assertEquals(isTold("RUNDIR").length, 1);
});

Deno.test("tend --on-crash does not wait for its script", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--on-crash=sleep 600", "--", "sleep", "599");
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  Deno.kill(daemon, "SIGSEGV");
  await box.until("another runs", () => {
    const other = box.pidfile("web.pid");
    return other !== daemon && other === box.holder("web.pid");
  });
  // An end of the script is none of the daemon's.
  const hook = await box.until(
    "the script runs",
    () => childrenOf(monitor).find((pid) => pid !== box.pidfile("web.pid")),
  );
  Deno.kill(hook, "SIGKILL");
  await box.until("it is gone", () => !childrenOf(monitor).includes(hook));
  assertEquals(logOf(box).match(/crashes: /g)?.length, 1);
});

Deno.test("tend --on-crash says that its script could not be started, and goes on", async () => {
  await using box = await Sandbox.create();
  const options = ["--on-crash=true", "--sleep-after=never"];
  await box.run(
    [
      "unshare",
      "-rm",
      "sh",
      "-c",
      'mount --bind /dev/null /bin/sh && exec "$@"',
      "sh",
    ]
      .concat(TEND, ...LOGGED, ...options, "--", "sleep", "600"),
  );
  const daemon = box.pidfile("web.pid")!;
  Deno.kill(daemon, "SIGSEGV");
  await logged(
    box,
    "WARN|--on-crash: /bin/sh: posix_spawn failed (Permission denied)",
  );
});
