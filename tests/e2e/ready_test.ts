import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { LOGGED, shown, untilShown } from "../monitored.ts";
import { Signal } from "../../ffi/signal.ts";
import { isAlive, parentOf, signalsIn, titleOf } from "../proc.ts";
import { freePort, READY_WAY_NAMES, readyWays } from "../ready.ts";
import { Sandbox, TEND } from "../sandbox.ts";

for (const name of READY_WAY_NAMES) {
  Deno.test(`tend --ready waits until a command is ready by ${name}`, async () => {
    await using box = await Sandbox.create();
    const { ready, command, waitingFor } = readyWays(box)[name]!;
    const running = box.start(
      [TEND, ...LOGGED, `--ready=${ready}`, "--", ...command],
    );
    const { pid } = await untilShown(
      box,
      "that the daemon is not ready",
      ({ phase }) => phase === "notReady",
    );
    assertEquals(isAlive(running.pid), true);
    assertEquals(shown(box)?.lastStart, undefined);
    const wait = `(not ready yet, waiting for ${waitingFor})`;
    const title = `tend: monitoring pid ${pid} ${wait}`;
    assertEquals(titleOf(parentOf(pid)), title);
    await Deno.writeTextFile(box.path("go"), "");
    assertEquals(await running.finished(), { code: 0, stdout: "", stderr: "" });
    // When the prompt is there, all is as it will stay.
    const { phase, lastStart } = shown(box)!;
    const outcome = { count: 1, pid, ready: true, status: 0, text: undefined };
    assertEquals([phase, lastStart], ["running", outcome]);
    assertEquals(isAlive(pid), true);
  });

  Deno.test(`tend --ready-timeout stops a command that is not ready by ${name}`, async () => {
    await using box = await Sandbox.create();
    const { ready, waitingFor, command } = readyWays(box)[name]!;
    const options = [...LOGGED, `--ready=${ready}`, "--ready-timeout=300ms"];
    assertEquals(await box.tend(...options, "--", ...command), {
      code: 1,
      stdout: "",
      stderr:
        `tend: web: not ready within 0.3 s (waiting for ${waitingFor}), stopped\n`,
    });
    assertEquals(box.runFiles(), []);
    // What a shell has started last may outlive it by a moment.
    await box.until("nothing is left", () => box.processes().length === 0);
  });

  Deno.test(`tend --ready fails as a command does that ends before it is ready by ${name}`, async () => {
    await using box = await Sandbox.create();
    const { ready } = readyWays(box)[name]!;
    const run = (script: string) =>
      box.tend(...LOGGED, `--ready=${ready}`, "--", "sh", "-c", script);
    const died = "tend: web: died before it was ready,";
    assertEquals(await run("echo no such file >&2; exit 3"), {
      code: 3,
      stdout: "",
      stderr: `no such file\n${died} exit status 3\n`,
    });
    assertEquals(await run("exit 0"), {
      code: 1,
      stdout: "",
      stderr: `${died} exit status 0\n`,
    });
    assertEquals(await run("kill -SEGV $$"), {
      code: 1,
      stdout: "",
      stderr: `${died} killed (Segmentation fault)\n`,
    });
    assertEquals(box.runFiles(), []);
    // What a shell has started last may outlive it by a moment.
    await box.until("nothing is left", () => box.processes().length === 0);
  });
}

Deno.test("tend --ready=delay is ready when a command has lived so long", async () => {
  await using box = await Sandbox.create();
  const start = (script: string) =>
    box.tend(...LOGGED, "--ready=delay=200ms", "--", "sh", "-c", script);
  const { code, stderr } = await start("exit 4");
  assertEquals(
    [code, stderr],
    [4, "tend: web: died before it was ready, exit status 4\n"],
  );
  assertEquals((await start("sleep 600")).code, 0);
  assertEquals(shown(box)?.phase, "running");
});

Deno.test("tend --ready=exec is ready when a command is executed", async () => {
  await using box = await Sandbox.create();
  const options = [...LOGGED, "--ready=exec", "--ready-timeout=1s"];
  assertEquals((await box.tend(...options, "--", "sleep", "600")).code, 0);
});

Deno.test("tend --ready makes a parent that stays where nothing else does", async () => {
  await using box = await Sandbox.create();
  const options = ["--name=web", "--ready=fd=5", "--ready-timeout=200ms"];
  const { code, stderr } = await box.tend(...options, "--", "sleep", "600");
  assertEquals(code, 1);
  assertMatch(stderr, /^tend: web: not ready within 0.2 s/);
  assertEquals(box.processes(), []);
});

Deno.test("tend --ready without --detach has the command's own status", async () => {
  await using box = await Sandbox.create();
  const script = "echo >&5; echo out; echo err >&2; exit 7";
  const finished = await box.tend("--ready=fd=5", "--", "sh", "-c", script);
  assertEquals(finished, { code: 7, stdout: "out\n", stderr: "err\n" });
});

Deno.test("tend --ready-timeout kills a command that SIGTERM does not end", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.tend(
    ...["--detach", "--name=web", "--ready=fd=5", "--ready-timeout=200ms"],
    ...["--", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"],
  );
  assertEquals(code, 1);
  assertMatch(stderr, /pid \d+ does not end by SIGTERM, killing it\n/);
  assertMatch(stderr, /\ntend: web: not ready within 0.2 s [^\n]*\n$/);
  assertEquals(box.runFiles(), []);
});

for (const name of ["tcp", "unix"] as const) {
  Deno.test(`tend --ready=${name} refuses to start where somebody listens`, async () => {
    await using box = await Sandbox.create();
    const { ready, command, waitingFor } = readyWays(box)[name]!;
    await Deno.writeTextFile(box.path("go"), "");
    const options = [`--ready=${ready}`, "--", ...command];
    assertEquals((await box.tend(...LOGGED, ...options)).code, 0);
    assertEquals(await box.tend("--detach", ...options), {
      code: 1,
      stdout: "",
      stderr: `tend: ${waitingFor} is in use already\n`,
    });
    // The pidfile says more.
    const { code, stderr } = await box.tend(...LOGGED, ...options);
    assertEquals(code, 1);
    assertMatch(stderr, /already running as pid \d+, aborting\n$/);
  });
}

Deno.test("tend --ready=tcp is not ready by a listener of another address", async () => {
  await using box = await Sandbox.create();
  const port = freePort();
  using _ = Deno.listen({ hostname: "127.0.0.1", port });
  const { stderr } = await box.tend(
    ...["--detach", "--name=web", `--ready=tcp=127.0.0.2:${port}`],
    ...["--ready-timeout=200ms", "--", "sleep", "600"],
  );
  assertMatch(stderr, /^tend: web: not ready within 0.2 s/);
});

Deno.test("tend --ready=file is not ready by a file that was there before", async () => {
  await using box = await Sandbox.create();
  const file = box.path("web.ready");
  await Deno.writeTextFile(file, "old");
  const options = ["--detach", "--name=web", `--ready=file=${file}`];
  const { stderr } = await box.tend(
    ...[...options, "--ready-timeout=200ms", "--", "sleep", "600"],
  );
  assertMatch(stderr, /^tend: web: not ready within 0.2 s/);
  for (const change of [`echo new >${file}`, `mv ${file} x; mv x ${file}`]) {
    const command = ["sh", "-c", `cd ${box.dir}; ${change}; exec sleep 600`];
    const { code } = await box.tend(...options, "--", ...command);
    assertEquals([change, code], [change, 0]);
  }
});

Deno.test("tend --ready=file takes a relative name from the caller's directory", async () => {
  await using box = await Sandbox.create();
  const command = ["sh", "-c", `echo >${box.path("ok")}; exec sleep 600`];
  const options = ["--detach", "--ready=file=ok"];
  assertEquals((await box.tend(...options, "--", ...command)).code, 0);
});

const WRONG: readonly [options: string[], message: string][] = [
  [["--ready=foo"], "foo is none of exec, notify, fd, tcp, unix, file, delay"],
  [["--ready=tpc=80"], "unix, file, delay. Did you mean tcp?"],
  [["--ready="], "option --ready has an empty value"],
  [["--ready=fd"], "fd needs a value"],
  [["--ready=fd=2"], "not a descriptor from 3 to 89"],
  [["--ready=fd=100"], "not a descriptor from 3 to 89"],
  [["--ready=fd=x"], "not a descriptor from 3 to 89"],
  [["--ready=notify=1"], "notify has no value"],
  [["--ready=tcp=0"], "not a port, or"],
  [["--ready=tcp=65536"], "not a port, or"],
  [["--ready=tcp=example.org:80"], "not a port, or"],
  [["--ready=tcp=::1:80"], "not a port, or"],
  [["--ready=tcp=[127.0.0.1]:80"], "not a port, or"],
  [[`--ready=unix=/${"a".repeat(120)}`], "File name too long"],
  [["--ready=delay=soon"], "not a duration"],
  [["--ready=delay=2m"], "not shorter than --ready-timeout=60s"],
  [["--ready-timeout=1s"], "option --ready-timeout needs --ready"],
  [["--ready=notify", "--ready-timeout=0"], "no time at all"],
  [["--ready=notify", "--exec", "--pidfile"], "exclude each other"],
];

for (const [options, message] of WRONG) {
  const shownOptions = options.join(" ").slice(0, 60);
  Deno.test(`tend ${shownOptions} is wrong usage`, async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.tend(...options, "--", "touch", "made");
    assertEquals(code, 2);
    assertEquals(stderr.includes(message), true, stderr);
    assertEquals([box.exists(box.path("made")), box.runFiles()], [false, []]);
  });
}

Deno.test("tend --ready kills a command that is interrupted and does not end", async () => {
  await using box = await Sandbox.create();
  const running = box.start([
    TEND,
    ...LOGGED,
    "--ready=fd=3",
    "--",
    "sh",
    "-c",
    'trap "" INT; while :; do sleep 1; done',
  ]);
  const { pid } = await untilShown(
    box,
    "that it is not ready",
    ({ phase }) => phase === "notReady",
  );
  await box.until(
    "it does not end by that",
    () => signalsIn(pid, "SigIgn").includes(Signal.SIGINT),
  );
  Deno.kill(running.pid, "SIGINT");
  const { code } = await running.finished();
  assertEquals([code, isAlive(pid)], [137, false]);
});
