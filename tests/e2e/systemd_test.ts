import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { LibcError } from "../../ffi/libc.ts";
import { Signal } from "../../ffi/signal.ts";
import { abstractAddress, sendDatagram } from "../../ffi/socket.ts";
import { logOf, SLEEPY, successorOf, untilAsleep } from "../monitored.ts";
import { Listener, sayFor, variablesOf } from "../notify.ts";
import { isAlive, parentOf, signalsIn, titleOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { CANNOT_RUN_SYSTEMD, Systemd } from "../systemd.ts";

const SLEEP = ["--", "sleep", "600"];
/** {@linkcode SLEEPY} in the foreground. */
const FOREGROUND = SLEEPY.slice(1);
const AWAKE = [...FOREGROUND, "--sleep-after=never"];

/** Starts a tend that stays, below a service manager that listens. */
async function start(
  box: Sandbox,
  manager: Listener,
  options: readonly string[],
): Promise<{ tend: number; daemon: number }> {
  const env = { NOTIFY_SOCKET: manager.socket };
  const { pid } = box.start([TEND, ...options, ...SLEEP], { env });
  await manager.hears(box, "READY=1", (lines) => lines.includes("READY=1"));
  return { tend: pid, daemon: await successorOf(undefined, box) };
}

const monitoring = (pid: number, how: string) =>
  `STATUS=monitoring pid ${pid} (${how})`;

for (const [state, options] of Object.entries({ AWAKE, FOREGROUND })) {
  Deno.test(`tend tells a service manager what its daemon does, ${state}`, async () => {
    await using box = await Sandbox.create();
    using manager = new Listener();
    const { tend, daemon } = await start(box, manager, options);
    assertEquals(manager.last(), ["READY=1", monitoring(daemon, "healthy")]);
    if (options === FOREGROUND) await untilAsleep(box, tend);

    Deno.kill(daemon, "SIGSEGV");
    const crash = `1 crashes: pid ${daemon} died, killed (Segmentation fault)`;
    const successor = await successorOf(daemon, box);
    const status = monitoring(successor, crash);
    const lines = await manager.hears(
      box,
      "of the crash",
      (lines) => lines.includes(status),
    );
    assertEquals(lines, ["READY=1", status]);
    // The daemon has nothing to say to it, not even one that is launched.
    for (const pid of [daemon, successor].filter(isAlive)) {
      assertEquals(variablesOf(pid).has("NOTIFY_SOCKET"), false);
    }
    if (options === FOREGROUND) await untilAsleep(box, tend);

    const heard = manager.heard.length;
    Deno.kill(tend, "SIGTERM");
    await manager.hears(
      box,
      "STOPPING=1",
      (lines) => lines[0] === "STOPPING=1",
    );
    // Once, and nothing is said again that it knows.
    assertEquals(manager.heard.length, heard + 1);
    await box.until("all have ended", () => box.processes().length === 0);
  });
}

Deno.test("tend tells a service manager that a daemon is ready when it is", async () => {
  await using box = await Sandbox.create();
  using manager = new Listener();
  const script = 'until test -e "$1"; do sleep 0.01; done; echo >&3; sleep 600';
  box.start([
    TEND,
    ...FOREGROUND,
    "--ready=fd=3",
    ...["--", "sh", "-c", script, "sh", box.path("go")],
  ], { env: { NOTIFY_SOCKET: manager.socket } });
  const waiting = "not ready yet, waiting for a newline on descriptor 3";
  await manager.hears(
    box,
    "what is waited for",
    ([status]) => status?.endsWith(`(${waiting})`) === true,
  );
  assertEquals(manager.heard.join().includes("READY"), false);
  await Deno.writeTextFile(box.path("go"), "");
  await manager.hears(box, "READY=1", ([ready]) => ready === "READY=1");
});

Deno.test("tend tells a service manager what its daemon says of its state", async () => {
  await using box = await Sandbox.create();
  using manager = new Listener();
  const options = ["--pidfile=web.pid", "--watchdog=1000s"];
  const { daemon } = await start(box, manager, options);
  // Without a monitor there is nothing else to say.
  assertEquals(manager.last(), ["READY=1"]);
  const socket = variablesOf(daemon).get("NOTIFY_SOCKET");
  assertMatch(socket!, /^@tend\/notify\//);
  sayFor(daemon, "STATUS=at work");
  await manager.hears(box, "its status", (lines) => lines.length === 2);
  assertEquals(manager.last(), ["READY=1", "STATUS=at work"]);
});

Deno.test("tend tells a service manager that it has given up", async () => {
  await using box = await Sandbox.create();
  using manager = new Listener();
  const options = ["--monitor", "--restart-limit=1/1h"];
  const { pid } = box.start(
    [TEND, ...options, "-v=console:off", "--", "sh", "-c", "kill -SEGV $$"],
    { env: { NOTIFY_SOCKET: manager.socket } },
  );
  await box.until("it has given up", () => !isAlive(pid));
  const [stopping, status] = manager.last();
  assertEquals(stopping, "STOPPING=1");
  assertMatch(
    status!,
    /^STATUS=monitoring pid \d+ \(\d crashes: pid \d+ died, killed \(Segmentation fault\), \d ends within 3600 seconds, giving up\)$/,
  );
});

for (
  const [what, options, status, signal] of [
    [
      "was not ready in time",
      ["--ready=fd=3", "--ready-timeout=10ms"],
      "not ready within 0.01 s, told to end",
    ],
    ["is to end", [], "told to end", "SIGTERM"],
    [
      "is to end for another",
      [],
      "told to end, another is to follow",
      "restart",
    ],
  ] as const
) {
  Deno.test(`tend calls no daemon healthy that ${what}`, async () => {
    await using box = await Sandbox.create();
    using manager = new Listener();
    const script = 'trap "" TERM; echo >deaf; while :; do sleep 0.05; done';
    const tend = box.start(
      [TEND, "--monitor", "--pidfile=web.pid", ...options, "-v=console:off"]
        .concat("--", "sh", "-c", script),
      { env: { NOTIFY_SOCKET: manager.socket } },
    );
    await box.until("it is deaf", () => box.exists(box.path("deaf")));
    if (signal === "SIGTERM") Deno.kill(tend.pid, signal);
    if (signal === "restart") {
      box.start([TEND, "restart", "--timeout=1h", "web"]);
    }
    await manager.hears(
      box,
      status,
      (lines) => lines.at(-1)?.endsWith(`(${status})`) === true,
    );
    await box.until(
      "ps says so",
      () => titleOf(tend.pid).endsWith(`(${status})`),
    );
  });
}

Deno.test("tend leaves NOTIFY_SOCKET to a command that is alone, or in the background", async () => {
  await using box = await Sandbox.create();
  const env = { NOTIFY_SOCKET: "@nobody", WATCHDOG_USEC: "7" };
  const show = 'echo "$NOTIFY_SOCKET $WATCHDOG_USEC"';
  const alone = await box.run([TEND, "--", "sh", "-c", show], { env });
  assertEquals(alone, { code: 0, stdout: "@nobody 7\n", stderr: "" });
  await box.run([TEND, ...SLEEPY, ...SLEEP], { env });
  const variables = variablesOf(box.pidfile("web.pid")!);
  assertEquals(variables.get("NOTIFY_SOCKET"), "@nobody");
});

Deno.test("tend says once that a service manager cannot be reached, and goes on", async () => {
  await using box = await Sandbox.create();
  for (
    const [socket, why] of [
      ["@tend/test/nobody", "sendto failed (Connection refused)"],
      [box.path("none"), "sendto failed (No such file or directory)"],
      [
        "vsock:2:1",
        "connect failed (Address family not supported by protocol)",
      ],
    ] as const
  ) {
    const script = "test -e once || { touch once; kill -SEGV $$; }";
    const { code, stderr } = await box.run(
      [TEND, "--monitor", "-v=console:warn", "--", "sh", "-c", script],
      { env: { NOTIFY_SOCKET: socket } },
    );
    const warnings = stderr.split("\n").filter((line) =>
      line.includes("NOTIFY_SOCKET")
    );
    assertEquals([code, warnings.length], [0, 1], stderr);
    assertEquals(
      warnings[0]!.endsWith(
        `NOTIFY_SOCKET=${socket}: ${why}, the service manager hears nothing ` +
          "of the daemon",
      ),
      true,
      stderr,
    );
    await Deno.remove(box.path("once"));
  }
});

Deno.test("tend does not wait for a service manager that reads nothing, and tells it later", async () => {
  await using box = await Sandbox.create();
  using manager = new Listener();
  fill(manager);
  const tend = box.start(
    [TEND, ...FOREGROUND, ...SLEEP],
    { env: { NOTIFY_SOCKET: manager.socket } },
  );
  const first = await successorOf(undefined, box);
  const log = () => logOf(box);
  const warning = `WARN|NOTIFY_SOCKET=${manager.socket}: it reads nothing`;
  await box.until("it says so", () => log().includes(warning));
  Deno.kill(first, "SIGSEGV");
  const second = await successorOf(first, box);
  manager.last();
  const crash = `1 crashes: pid ${first} died, killed (Segmentation fault)`;
  const status = monitoring(second, crash);
  const lines = await manager.hears(
    box,
    "what is so now",
    (lines) => lines.includes(status),
  );
  assertEquals(lines, ["READY=1", status]);
  // The newest alone, and that it is no trouble is said once.
  assertEquals(manager.heard.some((text) => text.includes("healthy")), false);
  assertEquals(log().split(warning).length, 2);
  await untilAsleep(box, tend.pid);
});

/** Sends a service manager as much as it can have unread. */
function fill(manager: Listener): void {
  const address = abstractAddress(manager.socket.slice(1));
  assertThrows(
    () => {
      for (;;) sendDatagram(address, "", 0);
    },
    LibcError,
    "sendto failed (Resource temporarily unavailable)",
  );
}

const LACKS_PYTHON = !new Deno.Command("sh", {
  args: ["-c", "command -v python3"],
}).outputSync().success;

Deno.test({
  name: "tend tells a service manager whose socket is a file, as who it is",
  ignore: LACKS_PYTHON,
  fn: async () => {
    await using box = await Sandbox.create();
    const receiver = `
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(${JSON.stringify(box.path("notify"))})
open("bound", "w")
text, control, _, _ = s.recvmsg(4096, 64)
pid = int.from_bytes(control[0][2][:4], "little")
open("heard.new", "w").write(f"{pid} {text.decode()}")
os.rename("heard.new", "heard")`;
    box.start(["python3", "-c", receiver]);
    await box.until("it listens", () => box.exists(box.path("bound")));
    const env = { NOTIFY_SOCKET: box.path("notify") };
    const { pid } = box.start([TEND, "--pidfile=web.pid", ...SLEEP], { env });
    const heard = await box.until(
      "it hears",
      () => box.read(box.path("heard")),
    );
    // systemd believes the unit's main process, and no other.
    assertEquals(heard, `${pid} READY=1`);
  },
});

Deno.test("tend refuses to be watched by a service manager", async () => {
  await using box = await Sandbox.create();
  const run = (env: Record<string, string>) =>
    box.run([TEND, "--pidfile=web.pid", "--", "true"], {
      env: { NOTIFY_SOCKET: "@tend/test/nobody", ...env },
    });
  const { code, stderr } = await run({ WATCHDOG_USEC: "1000000" });
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tend: WATCHDOG_USEC is set for tend, .*: remove WatchdogSec= from the unit, and have tend watch COMMAND by --watchdog=DURATION\n$/,
  );
  assertEquals(box.runFiles(), []);
  // What is another process's affair is none of ours.
  const other = { WATCHDOG_USEC: "1000000", WATCHDOG_PID: "1" };
  assertEquals((await run(other)).code, 0);
  // It has our own pid.
  const script = 'WATCHDOG_PID=$$ exec "$@"';
  const ours = await box.run(
    ["sh", "-c", script, "sh", TEND, "--pidfile=web.pid", "--", "true"],
    { env: { NOTIFY_SOCKET: "@tend/test/nobody", WATCHDOG_USEC: "1000000" } },
  );
  assertEquals(ours.code, 1);
});

/** The unit files in README.md, by name, for a test's own programs. */
async function units(box: Sandbox): Promise<Record<string, string>> {
  const readme = await Deno.readTextFile(
    new URL("../../README.md", import.meta.url),
  );
  const reload = `trap 'echo >${box.path("reloaded")}' HUP`;
  const serve = "while :; do sleep 0.05; done";
  const ready = "systemd-notify --ready --status=serving";
  const programs = {
    web: [reload, ready, serve].join("\n"),
    db: "exec sleep 600",
  };
  for (const [name, start] of Object.entries(programs)) {
    const script = `#!/bin/sh\n${start}\n`;
    await Deno.writeTextFile(box.path(name), script, { mode: 0o755 });
  }
  const blocks = readme.matchAll(
    /```ini\n# \/etc\/systemd\/system\/(\S+)\n(.*?)```/gs,
  );
  return Object.fromEntries(
    [...blocks].map(([, name, text]) => [
      name!,
      text!.replaceAll("/usr/local/bin/tend", TEND)
        .replaceAll("/usr/local/bin", box.dir)
        .replaceAll("/run/", `${box.dir}/`),
    ]),
  );
}

Deno.test("README.md: systemd-analyze finds nothing wrong with the unit files", async () => {
  await using box = await Sandbox.create();
  const files = await units(box);
  assertEquals(Object.keys(files), ["web.service", "db.service"]);
  const verify = async (name: string, text: string) => {
    await Deno.writeTextFile(box.path(name), text);
    return await box.run(
      ["systemd-analyze", "--man=no", "verify", box.path(name)],
    );
  };
  for (const [name, text] of Object.entries(files)) {
    const clean = { code: 0, stdout: "", stderr: "" };
    assertEquals(await verify(name, text), clean);
    // It would find something.
    const wrong = await verify(name, text.replace("Restart=", "Restrat="));
    assertMatch(wrong.stderr, /Restrat/);
  }
});

Deno.test({
  name:
    "README.md: under systemd, tend restarts the command of a unit of Type=notify",
  ignore: CANNOT_RUN_SYSTEMD,
  fn: async () => {
    await using box = await Sandbox.create();
    await using systemd = await Systemd.start(box, await units(box));
    const pidfile = box.path("web.pid");
    await systemd.must("start", "web");
    const active = { ActiveState: "active", SubState: "running" };
    const { MainPID } = await systemd.shows("web", {
      ...active,
      StatusText: "serving",
    });
    const first = box.pidIn(pidfile)!;
    assertEquals(parentOf(first), Number(MainPID));

    // The command hangs: tend restarts it, and nothing of the unit.
    sayFor(first, "WATCHDOG=trigger");
    const second = await box.until("there is another", () => {
      const pid = box.pidIn(pidfile);
      return pid !== undefined && pid !== first && pid;
    });
    await systemd.shows("web", {
      ...active,
      MainPID: MainPID!,
      NRestarts: "0",
    });

    await box.until(
      "it would hear SIGHUP",
      () => signalsIn(second, "SigCgt").includes(Signal.SIGHUP),
    );
    await systemd.must("reload", "web");
    await box.until("it reloads", () => box.exists(box.path("reloaded")));

    // tend itself is killed: systemd ends what is left, and starts anew.
    const { MainPID: main } = await systemd.show("web");
    Deno.kill(Number(main), "SIGKILL");
    await systemd.shows("web", { NRestarts: "1", ...active });

    await systemd.must("stop", "web");
    await systemd.shows("web", { ActiveState: "inactive", Result: "success" });
    assertEquals(box.exists(pidfile), false);
  },
});

Deno.test({
  name: "README.md: systemd restarts the command of a unit of Type=forking",
  ignore: CANNOT_RUN_SYSTEMD,
  fn: async () => {
    await using box = await Sandbox.create();
    await using systemd = await Systemd.start(box, await units(box));
    const pidfile = box.path("db.pid");
    await systemd.must("start", "db");
    const first = box.pidIn(pidfile)!;
    const active = { ActiveState: "active", SubState: "running" };
    await systemd.shows("db", { ...active, MainPID: `${first}` });
    Deno.kill(first, "SIGSEGV");
    const { MainPID } = await systemd.shows("db", {
      ...active,
      NRestarts: "1",
    });
    assertEquals(box.pidIn(pidfile), Number(MainPID));
    await systemd.must("stop", "db");
    await systemd.shows("db", { ActiveState: "inactive", Result: "success" });
    assertEquals(box.exists(pidfile), false);
  },
});

Deno.test({
  name: "tend fails a unit whose command is not ready",
  ignore: CANNOT_RUN_SYSTEMD,
  fn: async () => {
    await using box = await Sandbox.create();
    const unit = `[Service]\nType=notify\nExecStart=${TEND} --ready=fd=3 ` +
      "--ready-timeout=200ms -- /bin/sleep 600\n";
    await using systemd = await Systemd.start(box, { "late.service": unit });
    assertEquals((await systemd.control("start", "late")).code, 1);
    await systemd.shows("late", { ActiveState: "failed", Result: "exit-code" });
  },
});
