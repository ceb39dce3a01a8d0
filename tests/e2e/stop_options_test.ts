/** By which signal a command is told to end, and how long it has for that. */
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { insist, leaving, PLACES, startLeaving } from "../leftovers.ts";
import {
  LOGGED,
  logged,
  MONITORED,
  request,
  shown,
  successorOf,
  untilAsleep,
} from "../monitored.ts";
import { isAlive } from "../proc.ts";
import { freePort } from "../ready.ts";
import { type Running, Sandbox, TEND } from "../sandbox.ts";
import { isThere, stubborn } from "../verb_calls.ts";

const DONE = { code: 0, stdout: "", stderr: "" };
const QUIET = ["-v=console:off", "-v=syslog:off"];

/** A shell that says when it is there, and by which signal it is told to end. */
function telling(box: Sandbox): string[] {
  const traps = ["TERM", "INT", "QUIT", "HUP"]
    .map((name) => `trap "echo ${name} >>told; exit" ${name}; `).join("");
  const script = `cd "$2"; ${traps}echo >>"$1"; ` +
    "while :; do sleep 0.01; done";
  return ["--", "sh", "-c", script, "sh", box.path("there"), box.dir];
}

/** In the foreground, with the pidfile web.pid. */
function startHere(
  box: Sandbox,
  command: readonly string[],
  ...options: string[]
): Running {
  return box.start([TEND, "--pidfile=web.pid", ...options, ...command]);
}

for (const sleep of ["0", "never"]) {
  const options = [...MONITORED, `--sleep-after=${sleep}`];

  for (const [mode, told] of [["process", "QUIT"], ["tree", "HUP"]] as const) {
    const title =
      `tend --stop-signal=${told} --kill-mode=${mode} --sleep-after=${sleep}`;
    Deno.test(`${title} tells COMMAND to end by that, whoever wants it`, async () => {
      await using box = await Sandbox.create();
      for (const wish of ["SIGTERM", "SIGINT", "stop", "restart"] as const) {
        Deno.writeTextFileSync(box.path("told"), "");
        Deno.writeTextFileSync(box.path("there"), "");
        const how = [`--stop-signal=${told}`, `--kill-mode=${mode}`];
        await box.tend(...options, ...how, ...telling(box));
        await isThere(box);
        const { monitor } = shown(box)!;
        if (sleep === "0") await untilAsleep(box, monitor);
        if (wish === "stop" || wish === "restart") {
          assertEquals(await box.tend(wish, "web"), DONE);
        } else {
          Deno.kill(monitor, wish);
          await box.until("all has ended", () => box.processes().length === 0);
        }
        assertEquals(box.read(box.path("told")), `${told}\n`, wish);
        assertEquals((await box.tend("stop", "-s", "TERM", "web")).code, 0);
      }
    });
  }

  Deno.test(`tend --stop-timeout --sleep-after=${sleep} kills a COMMAND that does not end of SIGTERM to its monitor`, async () => {
    await using box = await Sandbox.create();
    const log = ["--name=web", "--log-file", "--stop-timeout=50ms"];
    await box.tend(...options, ...log, ...stubborn(box));
    await isThere(box);
    const { pid, monitor } = shown(box)!;
    if (sleep === "0") await untilAsleep(box, monitor);
    Deno.kill(monitor, "SIGTERM");
    await box.until("all has ended", () => box.processes().length === 0);
    await logged(box, `WARN|pid ${pid} does not end by SIGTERM, killing it\n`);
    await logged(box, `INFO|pid ${pid} died, killed (Killed), exiting\n`);
    assertEquals(box.runFiles(), []);
  });
}

Deno.test("tend stop has the time of --stop-timeout, if none is given", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--stop-timeout=50ms", ...stubborn(box));
  await isThere(box);
  const pid = box.pidfile("web.pid");
  assertEquals(await box.tend("stop", "web"), {
    ...DONE,
    stderr: `tend: web: pid ${pid} has not ended within 0.05 s of SIGTERM, ` +
      "killed (SIGKILL)\n",
  });
});

for (const kind of ["stop", "restart"] as const) {
  Deno.test(`tend --stop-timeout kills COMMAND when tend ${kind} is gone by then`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, "--stop-timeout=50ms", ...stubborn(box));
    await isThere(box);
    const { pid } = shown(box)!;
    request(box, kind);
    await logged(box, `WARN|pid ${pid} does not end by SIGTERM, killing it\n`);
    await box.until("it has ended", () => !isAlive(pid));
    if (kind === "restart") await successorOf(pid, box);
    else await box.until("all has ended", () => box.processes().length === 0);
    await box.tend("stop", "--timeout=0", "web");
  });
}

Deno.test("tend --stop-signal passes other signals on as they are", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--stop-signal=QUIT", ...telling(box));
  await isThere(box);
  Deno.kill(shown(box)!.monitor, "SIGHUP");
  await box.until("all has ended", () => box.processes().length === 0);
  assertEquals(box.read(box.path("told")), "HUP\n");
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`tend in the foreground kills COMMAND when ${signal} comes twice`, async () => {
    await using box = await Sandbox.create();
    const tend = startHere(box, stubborn(box), ...["-v=syslog:off"]);
    await isThere(box);
    const pid = box.pidfile("web.pid");
    const { code, stderr } = await insist(box, tend, signal);
    assertEquals(code, 137);
    assertStringIncludes(stderr, `told to end once more, killing pid ${pid}\n`);
    assertEquals([box.processes().length > 1, box.runFiles()], [false, []]);
  });
}

Deno.test("tend --kill-mode=tree in the foreground kills what COMMAND has left when SIGTERM comes twice", async () => {
  await using box = await Sandbox.create();
  const command = leaving(box, freePort(), {
    place: PLACES[1],
    isStubborn: true,
  });
  const options = ["--kill-mode=tree", ...QUIET];
  const { tend } = await startLeaving(box, options, command);
  const { code } = await insist(box, tend, "SIGTERM");
  assertEquals([code, box.processes()], [143, []]);
});

Deno.test("tend in the background goes on waiting when SIGTERM comes twice", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...stubborn(box));
  await isThere(box);
  const { monitor, pid } = shown(box)!;
  for (let i = 0; i < 20; i++) {
    Deno.kill(monitor, "SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assertEquals(shown(box)!.phase, "stopping");
  assertEquals(shown(box)!.pid, pid);
  assertEquals((await box.tend("stop", "--timeout=0", "web")).code, 0);
});

for (const option of [[], ["--sleep-after=0"]]) {
  Deno.test(
    `tend ${option} gives COMMAND its time when timeout signals it and its group`
      .replace("  ", " "),
    async () => {
      await using box = await Sandbox.create();
      const script = 'trap "sleep 0.3; echo; exit 5" TERM; : >"$0"; ' +
        "while :; do sleep 0.01; done";
      const options = ["--pidfile=web.pid", ...option, ...QUIET];
      const there = box.path("there");
      const running = box.start(
        ["timeout", "--preserve-status", "600", TEND, ...options]
          .concat("--", "sh", "-c", script, there),
      );
      await box.until("COMMAND is there", () => box.exists(there));
      if (option.length > 0) await untilAsleep(box, shown(box)!.monitor);
      // It does then what it does when its time is over.
      Deno.kill(running.pid, "SIGTERM");
      const { code, stdout } = await running.finished();
      assertEquals([code, stdout], [5, "\n"]);
    },
  );
}

for (
  const [options, message] of [
    [
      ["--kill-mode=group"],
      "option --kill-mode=group needs --detach: in the " +
      "foreground COMMAND is in the process group of tend and whoever has " +
      "started it",
    ],
    [
      ["--detach", "--kill-mode=all"],
      "option --kill-mode=all: none of " +
      "process, group, tree",
    ],
    [
      ["--stop-signal=STOP"],
      "option --stop-signal=STOP: it ends nothing, and " +
      "cannot be handled",
    ],
    [
      ["--stop-signal=NONE"],
      "option --stop-signal=NONE: not a signal, as " +
      "TERM, SIGTERM and 15 are",
    ],
    [["--stop-timeout=soon"], "option --stop-timeout=soon: "],
    [
      ["--detach", "--pidfile", "--exec", "--kill-mode=tree"],
      "options --exec and --kill-mode exclude each other: a tend stays, to end " +
      "COMMAND",
    ],
  ] as const
) {
  Deno.test(`tend ${options.join(" ")} is refused`, async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.tend(...options, "--", "true");
    assertEquals(code, 2);
    assertStringIncludes(stderr, `tend: ${message}`);
    assertEquals(box.runFiles(), []);
  });
}
