import { assertEquals } from "@std/assert/equals";
import { assertExists } from "@std/assert/exists";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { LOGGED, logged, logOf, successorOf } from "../monitored.ts";
import { isAlive, parentOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";

/** Those that are followed by a restart, and the C's words for them. */
const ERROR_SIGNALS = {
  SIGABRT: "Aborted",
  SIGALRM: "Alarm clock",
  SIGBUS: "Bus error",
  SIGFPE: "Floating point exception",
  SIGILL: "Illegal instruction",
  SIGPIPE: "Broken pipe",
  SIGSEGV: "Segmentation fault",
  SIGXCPU: "CPU time limit exceeded",
  SIGXFSZ: "File size limit exceeded",
} as const satisfies Partial<Record<Deno.Signal, string>>;

/** All others that end a process, and the C's words for them. */
const OTHER_SIGNALS = {
  SIGHUP: "Hangup",
  SIGINT: "Interrupt",
  SIGIO: "I/O possible",
  SIGKILL: "Killed",
  SIGPROF: "Profiling timer expired",
  SIGPWR: "Power failure",
  SIGQUIT: "Quit",
  SIGSTKFLT: "Stack fault",
  SIGSYS: "Bad system call",
  SIGTERM: "Terminated",
  SIGTRAP: "Trace/breakpoint trap",
  SIGUSR1: "User defined signal 1",
  SIGUSR2: "User defined signal 2",
  SIGVTALRM: "Virtual timer expired",
} as const satisfies Partial<Record<Deno.Signal, string>>;

for (const [signal, text] of Object.entries(ERROR_SIGNALS)) {
  Deno.test(`tend --monitor restarts a daemon that ${signal} killed`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, "--", "sleep", "600");
    // No waiting: the pidfile has to be right when the caller gets its prompt.
    const first = box.pidfile("web.pid");
    assertExists(first);
    const monitor = parentOf(first);

    Deno.kill(first, signal as Deno.Signal);
    const second = await successorOf(first, box);
    assertEquals(parentOf(second), monitor);
    const status = `pid ${first} died, killed \\(${text}\\)(, core dumped)?`;
    await logged(box, new RegExp(`ERR\\|1 crashes: ${status}, restarting\n`));
  });
}

for (const [signal, text] of Object.entries(OTHER_SIGNALS)) {
  Deno.test(`tend --monitor exits when ${signal} killed the daemon`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...LOGGED, "--", "sleep", "600");
    const daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);

    Deno.kill(daemon, signal as Deno.Signal);
    await box.until("the monitor has ended", () => !isAlive(monitor));
    const status = `pid ${daemon} died, killed \\(${text}\\)(, core dumped)?`;
    assertMatch(logOf(box), new RegExp(`INFO\\|${status}, exiting\n`));
    assertEquals(box.runFiles(), []);
  });
}

for (const status of [0, 1, 139]) {
  Deno.test(`tend --monitor exits when the daemon exits with ${status}`, async () => {
    await using box = await Sandbox.create();
    const go = box.path("go");
    const script = `until [ -e ${go} ]; do sleep 0.01; done; exit ${status}`;
    await box.tend(...LOGGED, "--", "sh", "-c", script);
    const daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);

    Deno.writeTextFileSync(go, "");
    await box.until("the monitor has ended", () => !isAlive(monitor));
    assertStringIncludes(
      logOf(box),
      `INFO|pid ${daemon} died, exit status ${status}, exiting\n`,
    );
    assertEquals(box.runFiles(), []);
  });
}
