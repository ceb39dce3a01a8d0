import { close, O_CLOEXEC } from "../../ffi/descriptor.ts";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertNotEquals } from "@std/assert/not-equals";
import { O_NOCTTY, O_RDWR, open } from "../../ffi/file.ts";
import { fdsOf, isAlive, look, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

/** All with a pidfile, which says who is COMMAND. */
const MODES = [
  ["--detach", "--pidfile=x.pid", "--exec"],
  ["--detach", "--pidfile=x.pid"],
  ["--detach", "--pidfile=x.pid", "--monitor"],
];
const SLEEP = ["--", "sleep", "600"];

/** Makes a terminal that is no session's own. */
function openTerminal(): Disposable & { readonly path: string } {
  const TIOCSPTLCK = 0x40045431n;
  const TIOCGPTN = 0x80045430n;
  const libc = Deno.dlopen("libc.so.6", {
    ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  });
  const { ioctl } = libc.symbols;
  const fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  const number = new Int32Array(1);
  assertEquals(ioctl(fd, TIOCSPTLCK, number), 0);
  assertEquals(ioctl(fd, TIOCGPTN, number), 0);
  libc.close();
  return {
    path: `/dev/pts/${number[0]}`,
    [Symbol.dispose]: () => close(fd),
  };
}

/** COMMAND, and the tend process above it where one stays. */
function daemonAndMonitor(box: Sandbox, mode: readonly string[]): number[] {
  const daemon = box.pidfile("x.pid")!;
  return mode.includes("--exec") ? [daemon] : [daemon, parentOf(daemon)];
}

for (const mode of MODES) {
  const title = ["tend", ...mode].join(" ");

  Deno.test(`${title} runs COMMAND in a process group of its own, in a new session that it does not lead`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...mode, ...SLEEP);
    for (const pid of daemonAndMonitor(box, mode)) {
      assertNotEquals(look(pid)!.session, look(Deno.pid)!.session);
      assertNotEquals(look(pid)!.pgrp, look(Deno.pid)!.pgrp);
    }
    const daemon = box.pidfile("x.pid")!;
    assertNotEquals(look(daemon)!.session, daemon);
    assertEquals(look(daemon)!.pgrp, daemon);
  });

  Deno.test(`${title} leaves the caller's terminal`, async () => {
    await using box = await Sandbox.create();
    const command = [TEND, ...mode, ...SLEEP].join(" ");
    // tend's own terminal first, for the test to have teeth.
    const shell = `cut -d" " -f7 /proc/self/stat >tty; exec ${command}`;
    const { code } = await box.run(["script", "-qec", shell, "/dev/null"]);
    assertEquals(code, 0);
    assertNotEquals(box.read(box.path("tty")), "0\n");
    for (const pid of daemonAndMonitor(box, mode)) {
      assertEquals(look(pid)!.tty, 0);
      assert(
        [...fdsOf(pid).values()].every((file) => !/tty|pts|ptmx/.test(file)),
        "a descriptor of the terminal is open",
      );
    }
  });

  Deno.test(`${title} outlives the terminal it was started from`, async () => {
    await using box = await Sandbox.create();
    // The shell goes on after tend, and dies with its terminal.
    const shell = [TEND, ...mode, ...SLEEP].join(" ") + "; kill -HUP 0";
    await box.run(["script", "-qec", shell, "/dev/null"]);
    const pids = daemonAndMonitor(box, mode);
    assert(pids.every(isAlive));
  });

  Deno.test(`${title} gains no terminal that COMMAND opens`, async () => {
    await using box = await Sandbox.create();
    using terminal = openTerminal();
    // Whoever leads a session has it then.
    const opens = 'exec 3<>"$1"; cut -d" " -f7 /proc/$$/stat >"$2.part"; ' +
      'mv "$2.part" "$2"; exec sleep 600';
    const opened = async (name: string, argv: string[]) => {
      const file = box.path(name);
      box.start([...argv, "sh", "-c", opens, "sh", terminal.path, file]);
      return await box.until("it has opened it", () => box.read(file));
    };
    assertEquals(await opened("tends", [TEND, ...mode, "--"]), "0\n");
    // For the test to have teeth.
    assertNotEquals(await opened("own", ["setsid"]), "0\n");
  });

  Deno.test(`${title} changes to the root directory`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...mode, ...SLEEP);
    for (const pid of daemonAndMonitor(box, mode)) {
      assertEquals(Deno.readLinkSync(`/proc/${pid}/cwd`), "/");
    }
  });

  Deno.test(`${title} --no-chdir stays in its directory`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...mode, "--no-chdir", ...SLEEP);
    for (const pid of daemonAndMonitor(box, mode)) {
      assertEquals(Deno.readLinkSync(`/proc/${pid}/cwd`), box.dir);
    }
  });

  Deno.test(`${title} has its standard descriptors on /dev/null`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...mode, ...SLEEP);
    for (const pid of daemonAndMonitor(box, mode)) {
      const fds = fdsOf(pid);
      assertEquals(
        [0, 1, 2].map((fd) => fds.get(fd)),
        ["/dev/null", "/dev/null", "/dev/null"],
      );
    }
  });

  Deno.test(`${title} keeps no file of its caller open`, async () => {
    await using box = await Sandbox.create();
    await Deno.writeTextFile(box.path("in"), "");
    const script = 'exec 5>five 9>nine; exec "$@" <in';
    await box.run(["sh", "-c", script, "sh", TEND, ...mode, ...SLEEP]);
    for (const pid of daemonAndMonitor(box, mode)) {
      const files = [...fdsOf(pid).values()].filter((file) =>
        file.startsWith(box.dir)
      );
      const others = files.filter((file) =>
        !file.startsWith(box.runPath("x.pid"))
      );
      assertEquals(others, []);
    }
  });

  Deno.test(`${title} gives up a lock that its caller holds`, async () => {
    await using box = await Sandbox.create();
    const script = 'exec 9>lock; flock 9; "$@"; exec 9>&-; flock -n lock true';
    const argv = ["sh", "-c", script, "sh", TEND, ...mode, ...SLEEP];
    assertEquals((await box.run(argv)).code, 0);
  });

  Deno.test(`${title} lets go of the pipe that it reads`, async () => {
    await using box = await Sandbox.create();
    const script = '{ env --default-signal=PIPE yes; echo $? >end; } | "$@"';
    box.start(["sh", "-c", script, "sh", TEND, ...mode, ...SLEEP]);
    const end = await box.until(
      "yes has ended",
      () => box.read(box.path("end")) || undefined,
    );
    assertEquals(end, "141\n");
  });

  Deno.test(`${title} lets go of the pipe that it writes`, async () => {
    await using box = await Sandbox.create();
    const script = '"$@" 2>&1 | cat; echo end >end';
    box.start(["sh", "-c", script, "sh", TEND, ...mode, ...SLEEP]);
    await box.until("cat has ended", () => box.read(box.path("end")));
    assert(isAlive(box.pidfile("x.pid")!));
  });

  Deno.test(`${title} starts with its standard descriptors closed`, async () => {
    await using box = await Sandbox.create();
    const script = 'exec "$@" <&- >&- 2>&-';
    const argv = ["sh", "-c", script, "sh", TEND, ...mode, ...SLEEP];
    assertEquals((await box.run(argv)).code, 0);
    for (const pid of daemonAndMonitor(box, mode)) {
      const fds = fdsOf(pid);
      assertEquals(
        [0, 1, 2].map((fd) => fds.get(fd)),
        ["/dev/null", "/dev/null", "/dev/null"],
      );
    }
  });

  Deno.test(`${title} prints nothing when all goes well`, async () => {
    await using box = await Sandbox.create();
    const finished = await box.tend(...mode, ...SLEEP);
    assertEquals(finished, { code: 0, stdout: "", stderr: "" });
  });
}

Deno.test("tend --detach without a pidfile never leads a session", async () => {
  await using box = await Sandbox.create();
  await box.tend("--detach", ...SLEEP);
  const [daemon, ...others] = box.processes();
  assertEquals(others, []);
  assertNotEquals(look(daemon!)!.session, daemon);
  assertNotEquals(look(daemon!)!.session, look(Deno.pid)!.session);
});

Deno.test("tend --no-chdir without --detach changes nothing", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await box.tend("--no-chdir", "--monitor", "pwd");
  assertEquals(stdout, `${box.dir}\n`);
});

Deno.test("tend --monitor without --detach keeps its caller's terminal", async () => {
  await using box = await Sandbox.create();
  const shell = `${TEND} --monitor -- cut -d" " -f7 /proc/self/stat >tty`;
  await box.run(["script", "-qec", shell, "/dev/null"]);
  assertNotEquals(box.read(box.path("tty")), "0\n");
});
