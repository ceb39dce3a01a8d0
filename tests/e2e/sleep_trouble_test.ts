/** What a monitor meets that sleeps in surroundings out of the ordinary. */
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  LOGGED,
  logged,
  logOf,
  startAsleep,
  successorOf,
} from "../monitored.ts";
import { isAlive, isAsleep, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

Deno.test("tend --monitor restarts out of sleep what its script cannot launch", async () => {
  await using box = await Sandbox.create();
  // Without an interpreter it is for sh, and that is for the ordinary way.
  const program = box.path("program");
  await Deno.writeTextFile(program, "exec sleep 600\n", { mode: 0o755 });
  const { daemon } = await startAsleep(
    box,
    [TEND, ...LOGGED, "--sleep-after=0", "--", program],
  );
  Deno.kill(daemon, "SIGSEGV");
  await successorOf(daemon, box);
  await logged(box, "1 crashes: ");
  assertEquals(logOf(box).includes("before signaling startup"), false);
});

Deno.test("tend --monitor stays awake under a limit of file sizes", async () => {
  await using box = await Sandbox.create();
  const script = 'ulimit -f 1; exec "$@"';
  const { code, stderr } = await box.run(
    ["sh", "-c", script, "sh", TEND, ...["--monitor", "--sleep-after=0"]]
      .concat("--", "sh", "-c", "sleep 0.5; exit 3"),
  );
  assertEquals(code, 3);
  assertStringIncludes(stderr, "cannot sleep: ");
});

Deno.test("tend --sleep-after takes longer than poll() can wait", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--sleep-after=3650d", "--", "sleep", "600");
  const monitor = parentOf(box.pidfile("web.pid")!);
  // It has come to its second wait then.
  Deno.kill(monitor, "SIGUSR1");
  await logged(box, "killed (User defined signal 1), exiting");
  assertEquals(logOf(box).includes("EMER"), false);
});

Deno.test("tend --monitor runs nothing of / when its directory was removed in its sleep", async () => {
  await using box = await Sandbox.create();
  await Deno.mkdir(box.path("d"));
  await Deno.copyFile("/bin/sleep", box.path("d/c"));
  const argv = ["--monitor", "--pidfile=web.pid", "--sleep-after=0"];
  const tend = box.start([TEND, ...argv, "--", "./c", "600"], {
    cwd: box.path("d"),
  });
  const daemon = await box.until("it runs", () => box.pidfile("web.pid"));
  await box.until("it sleeps", () => isAsleep(tend.pid));
  await Deno.remove(box.path("d"), { recursive: true });
  Deno.kill(daemon, "SIGSEGV");
  await box.until(
    "the command is not found",
    () =>
      tend.stderr().includes("./c: exec failed (No such file or directory)"),
  );
  assertEquals(isAlive(tend.pid), true);
});

Deno.test("tend passes Ctrl-C on to a command that has left its process group", async () => {
  await using box = await Sandbox.create();
  const command = `exec ${TEND} --pidfile=web.pid -- setsid sleep 600`;
  // A terminal of its own, and ^C typed once the command is there.
  const pidfile = box.runPath("web.pid");
  const typed = `until grep -q "^sleep" /proc/$(cat ${pidfile})/cmdline; ` +
    `do sleep 0.1; done 2>/dev/null; printf "\\003"; ` +
    `while test -e ${pidfile}; do sleep 0.1; done`;
  const { code } = await box.run([
    "sh",
    "-c",
    `{ ${typed}; } | script -qec '${command}' /dev/null`,
  ]);
  assertEquals(code, 128 + 2);
});

Deno.test("tend --pidfile leaves a symbolic link that it refuses", async () => {
  await using box = await Sandbox.create();
  await Deno.mkdir(box.path("run"));
  await Deno.writeTextFile(box.path("target"), "text");
  await Deno.symlink(box.path("target"), box.runPath("web.pid.tmp"));
  const { code } = await box.tend("--pidfile=web.pid", "--", "true");
  assertEquals(code, 1);
  assertEquals(
    Deno.readLinkSync(box.runPath("web.pid.tmp")),
    box.path("target"),
  );
});
