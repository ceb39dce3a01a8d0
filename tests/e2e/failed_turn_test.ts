/** What a monitor makes good after an error that nobody has thought of. */
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { lacks } from "../binutils.ts";
import {
  LOGGED,
  logged,
  MONITORED,
  shown,
  successorOf,
  untilItWaits,
  untilShown,
} from "../monitored.ts";
import { look, parentOf } from "../proc.ts";
import { freePort } from "../ready.ts";
import { type Running, Sandbox, TEND } from "../sandbox.ts";

const WITHOUT_STRACE = await lacks(["strace"]);
const SLEEP = ["--", "sleep", "600"];

function traced(box: Sandbox, inject: string, argv: string[]): Running {
  const quiet = ["strace", "-qq", "-o", "/dev/null"];
  return box.start([...quiet, "-e", `inject=${inject}`, ...argv]);
}

Deno.test({
  name: "a monitor hears of a crash whose signal it had taken when it failed",
  ignore: WITHOUT_STRACE,
  fn: async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, "--sleep-after=never", ...SLEEP);
    const { pid, monitor } = shown(box)!;
    await untilItWaits(box, monitor);
    // The first one takes SIGCHLD.
    const inject = "read:error=EIO:when=2";
    const strace = traced(box, inject, ["-p", `${monitor}`]);
    await box.until(
      "it is traced",
      () => look(monitor)?.status.get("TracerPid") === `${strace.pid}`,
    );
    Deno.kill(pid, "SIGSEGV");
    await successorOf(pid, box);
    await logged(box, "read failed (Input/output error), going on in a second");
    assertEquals((await box.tend("stop", "web")).code, 0);
    await strace.finished();
  },
});

Deno.test({
  name: "a monitor waits for readiness after it could not begin to",
  ignore: WITHOUT_STRACE,
  fn: async () => {
    await using box = await Sandbox.create();
    const strace = traced(box, "timerfd_create:error=EMFILE:when=2", [
      ...["-f", TEND, ...MONITORED, "--ready=delay=10ms"],
      ...["--ready-timeout=20s", ...SLEEP],
    ]);
    await untilShown(
      box,
      "that it is ready",
      ({ phase }) => phase === "running",
    );
    assertEquals((await box.tend("stop", "web")).code, 0);
    const { code, stderr } = await strace.finished();
    assertEquals(code, 0);
    assertStringIncludes(
      stderr,
      "timerfd_create failed (Too many open files), going on in a second",
    );
  },
});

Deno.test("a monitor whose looks fail hears of an end before its daemon was ready", async () => {
  await using box = await Sandbox.create();
  const start = box.start([
    ...[TEND, ...MONITORED, `--ready=tcp=${freePort()}`],
    ...["--ready-timeout=20s", ...SLEEP],
  ]);
  const pid = await box.until("COMMAND runs", () => box.holder("web.pid"));
  await untilShown(box, "that it waits", ({ phase }) => phase === "notReady");
  const monitor = parentOf(pid);
  await box.run(["prlimit", `--pid=${monitor}`, "--nofile=10:1024"]);
  await box.until(
    "it goes on",
    () => start.stderr().includes("going on in a second"),
  );
  Deno.kill(pid, "SIGSEGV");
  const { code, stderr } = await start.finished();
  assertEquals(code, 1);
  assertStringIncludes(
    stderr,
    "died before it was ready, killed (Segmentation fault)",
  );
});
