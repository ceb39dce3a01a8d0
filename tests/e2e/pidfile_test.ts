import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { O_RDWR, open } from "../../ffi/file.ts";
import { fcntlSetlk } from "../../ffi/lock.ts";
import { fdsOf, isAlive, look, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const START = ["--detach", "--pidfile=web.pid", "--", "sleep", "600"];
const IS_ROOT = Deno.uid() === 0;

/** Makes the run directory, with a file in it. */
async function boxWith(name: string, text: string): Promise<Sandbox> {
  const box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  Deno.writeTextFileSync(box.runPath(name), text);
  return box;
}

/** Takes a file's lock, until the end of this process. */
function lockHere(path: string): void {
  fcntlSetlk(open(path, O_RDWR));
}

Deno.test("tend --pidfile has COMMAND hold the lock of the file that names it", async () => {
  await using box = await Sandbox.create();
  await box.tend(...START);
  const pid = box.pidfile("web.pid");
  assertEquals(box.holder("web.pid"), pid);
  assertEquals(box.read(`/proc/${pid}/comm`), "sleep\n");
});

Deno.test("tend --pidfile leaves the lock on a descriptor of 100 or above", async () => {
  await using box = await Sandbox.create();
  await box.tend(...START);
  const fds = [...fdsOf(box.pidfile("web.pid")!)]
    .filter(([, file]) => file === box.runPath("web.pid"));
  assertEquals(fds.length, 1);
  assertGreaterOrEqual(fds[0]![0], 100);
});

Deno.test("tend --pidfile puts a relative name below the run directory", async () => {
  await using box = await Sandbox.create();
  await box.tend(...START);
  assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
});

Deno.test("tend --pidfile takes an absolute name as it is", async () => {
  await using box = await Sandbox.create();
  const path = box.path("elsewhere.pid");
  await box.tend("--detach", `--pidfile=${path}`, "--", "sleep", "600");
  assertEquals(isAlive(box.pidIn(path)!), true);
  assertEquals(box.runFiles(), []);
});

Deno.test("tend --pidfile without a value means COMMAND's base name", async () => {
  await using box = await Sandbox.create();
  await box.tend("--detach", "--pidfile", "--", "/bin/sleep", "600");
  assertEquals(box.runFiles(), ["sleep.pid", "sleep.pid.monitor"]);
});

Deno.test("tend --pidfile without a value means NAME.pid with --name", async () => {
  await using box = await Sandbox.create();
  await box.tend("--detach", "--pidfile", "--name=web", "--", "sleep", "600");
  assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
});

Deno.test("tend --pidfile refuses to start beside a running daemon", async () => {
  await using box = await Sandbox.create();
  await box.tend(...START);
  const pid = box.pidfile("web.pid");
  assertEquals(await box.tend(...START), {
    code: 1,
    stdout: "",
    stderr: `tend: ${
      box.runPath("web.pid")
    }: already running as pid ${pid}, aborting\n`,
  });
  assertEquals(box.holder("web.pid"), pid);
});

Deno.test("tend --overwrite-pidfile replaces a locked one", async () => {
  await using box = await Sandbox.create();
  await box.tend(...START);
  const first = box.pidfile("web.pid");
  const { code } = await box.tend("--overwrite-pidfile", ...START);
  assertEquals(code, 0);
  assertEquals(box.pidfile("web.pid") !== first, true);
  assertEquals(box.holder("web.pid"), box.pidfile("web.pid"));
  assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
});

Deno.test("tend --overwrite-pidfile is safe from the daemon that it displaced", async () => {
  await using box = await Sandbox.create();
  await box.tend(...START);
  const first = box.pidfile("web.pid")!;
  const parent = parentOf(first);
  await box.tend("--overwrite-pidfile", ...START);
  Deno.kill(first, "SIGTERM");
  await box.until(
    "the first daemon's parent has ended",
    () => !isAlive(parent),
  );
  assertEquals(box.holder("web.pid"), box.pidfile("web.pid"));
});

for (
  const [kind, text] of [
    ["stale", "1\n"],
    ["stale and full of zeros", "\0\0\0\0"],
    ["another daemon's that has ended", "1\n/var/lib/db\n"],
    ["stale and empty", ""],
    ["stale and enormous", "9".repeat(100_000)],
  ] as const
) {
  Deno.test(`tend --pidfile replaces a file that is ${kind}`, async () => {
    await using box = await boxWith("web.pid", text);
    const { code, stderr } = await box.tend(...START);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(box.holder("web.pid"), box.pidfile("web.pid"));
    assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
  });
}

Deno.test("tend --pidfile leaves a file alone that no daemon has written", async () => {
  await using box = await boxWith("web.pid", "no number\n");
  await assertRefused(
    box,
    "it is no pidfile; remove it, or name another",
  );
  assertEquals(box.read(box.runPath("web.pid")), "no number\n");
});

Deno.test("tend --pidfile takes over a .tmp that a killed start left", async () => {
  await using box = await boxWith("web.pid.tmp", "1\n");
  const { code } = await box.tend(...START);
  assertEquals(code, 0);
  assertEquals(box.runFiles(), ["web.pid", "web.pid.monitor"]);
});

for (
  const [kind, text] of [
    ["corrupt", "no number\n"],
    ["empty", ""],
    ["another process's", "1\n"],
  ] as const
) {
  Deno.test(`tend --pidfile aborts at once when a locked file is ${kind}`, async () => {
    await using box = await boxWith("web.pid", text);
    lockHere(box.runPath("web.pid"));
    const { code, stderr } = await box.run(["timeout", "5", TEND, ...START]);
    assertStringIncludes(
      stderr,
      `tend: ${
        box.runPath("web.pid")
      }: pidfile check failed (No such process), aborting\n`,
    );
    assertEquals(code, 1);
    assertEquals(box.runFiles(), ["web.pid"]);
  });
}

/** Asserts that a start fails as in the C, and that the file stays. */
async function assertRefused(
  box: Sandbox,
  reason: string,
  argv: readonly string[] = [TEND, ...START],
): Promise<void> {
  const { code, stderr } = await box.run(["timeout", "5", ...argv]);
  assertStringIncludes(
    stderr,
    `tend: ${
      box.runPath("web.pid")
    }: pidfile check failed (${reason}), aborting\n`,
  );
  assertEquals(code, 1);
  assertEquals(box.runFiles(), ["web.pid"]);
  assertEquals(box.processes(), []);
}

Deno.test("tend --pidfile aborts when the file is a FIFO", async () => {
  await using box = await boxWith("x", "");
  Deno.removeSync(box.runPath("x"));
  await box.run(["mkfifo", box.runPath("web.pid")]);
  await assertRefused(box, "Invalid argument");
});

Deno.test("tend --pidfile aborts when the file is a directory", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.runPath("web.pid"), { recursive: true });
  await assertRefused(box, "Is a directory");
});

Deno.test("tend --pidfile aborts when the file is a link to a device", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  Deno.symlinkSync("/dev/null", box.runPath("web.pid"));
  await assertRefused(box, "Invalid argument");
});

Deno.test("tend --pidfile does not open what is no regular file", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  await box.run(["mkfifo", "fifo"]);
  Deno.symlinkSync(box.path("fifo"), box.runPath("web.pid"));
  // It waits until somebody opens the other end.
  const writer = box.start(["sh", "-c", "echo x >fifo"]);
  await box.until("it waits", () => look(writer.pid)?.state === "S");
  const { code, stderr } = await box.tend(...START);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "pidfile check failed (Invalid argument)");
  assertEquals(isAlive(writer.pid), true);
});

Deno.test("tend --pidfile aborts when the file is a link to itself", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  Deno.symlinkSync("web.pid", box.runPath("web.pid"));
  await assertRefused(box, "Too many levels of symbolic links");
});

Deno.test("tend --pidfile aborts when the file may not be read", async () => {
  await using box = await boxWith("web.pid", "1\n");
  Deno.chmodSync(box.runPath("web.pid"), 0);
  const other = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  if (IS_ROOT) {
    Deno.chownSync(box.path("run"), 65534, 65534);
    Deno.chmodSync(box.dir, 0o755);
  }
  await assertRefused(
    box,
    "Permission denied",
    [...(IS_ROOT ? ["setpriv", ...other] : []), TEND, ...START],
  );
});

Deno.test("tend --pidfile says once what is wrong with the file", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  Deno.symlinkSync("/dev/null", box.runPath("web.pid"));
  const { stderr } = await box.tend(...START);
  const lines = stderr.trimEnd().split("\n");
  assertEquals(lines.filter((line) => line.includes("|WARN|")).length, 1);
});

Deno.test("tend --pidfile leaves the target of a link alone", async () => {
  await using box = await boxWith("target", "1\n");
  Deno.symlinkSync("target", box.runPath("web.pid"));
  const { code } = await box.tend(...START);
  assertEquals(code, 0);
  assertEquals(box.read(box.runPath("target")), "1\n");
  assertEquals(Deno.lstatSync(box.runPath("web.pid")).isFile, true);
});

Deno.test("tend --pidfile does not write through a link in the .tmp's place", async () => {
  await using box = await boxWith("target", "important\n");
  Deno.symlinkSync("target", box.runPath("web.pid.tmp"));
  const { code, stderr } = await box.tend(...START);
  assertEquals(code, 1);
  assertMatch(stderr, /web\.pid\.tmp: create failed \(Too many levels/);
  assertEquals(box.read(box.runPath("target")), "important\n");
});

Deno.test("tend --pidfile says why the file cannot be made", async () => {
  await using box = await Sandbox.create();
  const path = box.path("no/such/web.pid");
  const { code, stderr } = await box.tend(`--pidfile=${path}`, "--", "true");
  assertEquals(
    [code, stderr],
    [1, `tend: ${path}.monitor: create failed (No such file or directory)\n`],
  );
});

Deno.test("tend --pidfile is removed when the daemon is killed", async () => {
  await using box = await Sandbox.create();
  await box.tend(...START);
  Deno.kill(box.pidfile("web.pid")!, "SIGKILL");
  await box.until("web.pid is gone", () => box.runFiles().length === 0);
});
