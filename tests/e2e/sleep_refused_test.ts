/** Where a monitor cannot sleep: it stays awake, says so once, and works. */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { LOGGED, logged, logOf, SLEEPY, successorOf } from "../monitored.ts";
import { fdsOf, isAlive, parentOf, signalsIn } from "../proc.ts";
import { CANNOT_UNSHARE } from "../program.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const SLEEP_600 = ["--", "sleep", "600"];

/** Waits until the monitor has taken what it was sent. */
async function wakeAwake(box: Sandbox, monitor: number): Promise<void> {
  Deno.kill(monitor, "SIGCHLD");
  await box.until(
    "it has taken the signal",
    () => signalsIn(monitor, "ShdPnd").length === 0,
  );
}

/** Asserts that a monitor works which has said that it does not sleep. */
async function assertWorksAwake(box: Sandbox, why: RegExp): Promise<void> {
  await logged(box, "staying awake");
  assertMatch(logOf(box), why);
  const first = box.holder("web.pid")!;
  const monitor = parentOf(first);
  for (let i = 0; i < 3; i++) await wakeAwake(box, monitor);
  // Later than the log was open for that line.
  const fds = [...fdsOf(monitor)].sort();
  Deno.kill(first, "SIGSEGV");
  const second = await box.until("another holds web.pid", () => {
    const pid = box.holder("web.pid");
    return pid !== undefined && pid !== first && pid;
  });
  assertEquals(parentOf(second), monitor);
  await logged(box, "1 crashes: ");
  await wakeAwake(box, monitor);
  await box.until(
    "the descriptors are the same",
    () => [...fdsOf(monitor)].sort().join() === fds.join(),
  );
  assertEquals(logOf(box).match(/staying awake/g)?.length, 1);
  Deno.kill(monitor, "SIGTERM");
  await box.until("both have ended", () => !isAlive(monitor));
  assertEquals(box.runFiles(), []);
}

const CANNOT_SLEEP = "^[^\\n]*\\|00001\\|daemon_unix\\(monitor\\)\\|WARN\\|" +
  "cannot sleep: ";

for (
  const [call, errno, reason] of [
    ["memfd_create", "EPERM", "memfd_create failed (Operation not permitted)"],
    [
      "memfd_create",
      "ENOSYS",
      "memfd_create failed (Function not implemented)",
    ],
    ["memfd_create", "EMFILE", "memfd_create failed (Too many open files)"],
    ["execveat", "EACCES", "fexecve failed (Permission denied)"],
    ["execveat", "ENOEXEC", "fexecve failed (Exec format error)"],
  ] as const
) {
  Deno.test(`tend --monitor stays awake when ${call} fails with ${errno}`, async () => {
    await using box = await Sandbox.create();
    const trace = ["-f", "-qq", "-o", box.path("trace")];
    const inject = `--inject=${call}:error=${errno}`;
    box.start(["strace", ...trace, inject, TEND, ...SLEEPY, ...SLEEP_600]);
    const pattern = reason.replace(/[()]/g, "\\$&");
    await assertWorksAwake(
      box,
      // What is lacking may be there again in a while.
      new RegExp(`${CANNOT_SLEEP}${pattern}, staying awake(?: for now)?\\n$`),
    );
  });
}

/** Begins a PID namespace, which has a `vm.memfd_noexec` of its own. */
const UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

for (
  const [value, sleeps] of [["0", true], ["1", true], ["2", false]] as const
) {
  Deno.test({
    name: `tend --monitor ${
      sleeps ? "sleeps" : "stays awake"
    } where vm.memfd_noexec is ${value}`,
    // Not to be set by the root of a user namespace.
    ignore: CANNOT_UNSHARE || Deno.uid() !== 0 ||
      !exists("/proc/sys/vm/memfd_noexec"),
    fn: async () => {
      await using box = await Sandbox.create();
      const script = `echo ${value} >/proc/sys/vm/memfd_noexec && "$@" &&
        : >ready && exec sleep 600`;
      const argv = ["sh", "-c", script, "sh", TEND, ...SLEEPY, ...SLEEP_600];
      box.start([...UNSHARE, ...argv]);
      await box.until("tend has returned", () => box.exists(box.path("ready")));
      const monitor = parentOf(box.holder("web.pid")!);
      if (!sleeps) {
        return await assertWorksAwake(
          box,
          new RegExp(
            `${CANNOT_SLEEP}memfd_create failed \\(Permission denied\\), `,
          ),
        );
      }
      await box.until(
        "the monitor sleeps",
        () => Deno.readLinkSync(`/proc/${monitor}/exe`).startsWith("/memfd:"),
      );
      assertEquals(logOf(box), "");
    },
  });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

for (
  const [what, script] of [
    ["a long argument", 'exec "$@" "$(head -c 131000 /dev/zero | tr "\\0" x)"'],
    // In the record each of these takes more.
    [
      "control characters",
      'exec "$@" "$(head -c 30000 /dev/zero | tr "\\0" "\\1")"',
    ],
    ["many arguments", 'exec "$@" $(yes xxxxxxxxx | head -n 12000)'],
  ] as const
) {
  Deno.test(`tend --monitor stays awake when ${what} would make its record too long`, async () => {
    await using box = await Sandbox.create();
    const argv = [TEND, ...SLEEPY, "--", "sh", "-c", "sleep 600 & wait", "sh"];
    const { code, stderr } = await box.run(["sh", "-c", script, "sh", ...argv]);
    assertEquals([code, stderr], [0, ""]);
    await assertWorksAwake(
      box,
      new RegExp(
        `${CANNOT_SLEEP}exec of \\S+ failed \\(Argument list too long\\), ` +
          "staying awake\\n$",
      ),
    );
  });
}

Deno.test("tend --monitor sleeps with a long command that leaves room for its record", async () => {
  await using box = await Sandbox.create();
  const script = 'exec "$@" "$(head -c 100000 /dev/zero | tr "\\0" x)"';
  const argv = [TEND, ...SLEEPY, "--", "sh", "-c", "sleep 600 & wait", "sh"];
  await box.run(["sh", "-c", script, "sh", ...argv]);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  await box.until(
    "the monitor sleeps",
    () => Deno.readLinkSync(`/proc/${monitor}/exe`).startsWith("/memfd:"),
  );
  const cmdline = box.read(`/proc/${daemon}/cmdline`);
  Deno.kill(daemon, "SIGSEGV");
  const second = await successorOf(daemon, box);
  // Its name is COMMAND's a moment before its arguments are.
  await box.until(
    "it has the same arguments",
    () => box.read(`/proc/${second}/cmdline`) === cmdline,
  );
});

Deno.test({
  name: "tend says what it lacks in a root directory without /proc",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using box = await Sandbox.create();
    const root = box.path("root");
    const script = `mkdir -p "$1/bin" && cp "$2" /bin/sleep "$1/bin" &&
      for f in $(ldd "$2" /bin/sleep | grep -o '/lib[^ ]*' | sort -u); do
        mkdir -p "$1\${f%/*}" && cp -L "$f" "$1$f"; done;
      exec chroot "$1" /bin/tend --monitor -- /bin/sleep 600`;
    const { code, stderr } = await box.run(
      ["sh", "-c", script, "sh", root, TEND],
    );
    const why = "tend: /proc is not mounted here, and tend needs it\n";
    assertEquals([code, stderr], [4, why]);
  },
});

Deno.test("tend --sleep-after=never says nothing of it", async () => {
  await using box = await Sandbox.create();
  await box.tend(...LOGGED, "--sleep-after=never", ...SLEEP_600);
  const daemon = box.pidfile("web.pid")!;
  Deno.kill(daemon, "SIGSEGV");
  await successorOf(daemon, box);
  await logged(box, "1 crashes");
  assertEquals(logOf(box).split("\n").length, 2);
});
