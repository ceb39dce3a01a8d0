import { close } from "../../ffi/descriptor.ts";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { O_RDWR, open } from "../../ffi/file.ts";
import { fcntlSetlk } from "../../ffi/lock.ts";
import { successorOf, untilShown } from "../monitored.ts";
import { isAlive, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

/** A place for mounts; a user without privileges needs one of users too. */
const UNSHARE = [
  "unshare",
  ...(Deno.uid() === 0 ? [] : ["--user", "--map-root-user"]),
  "--mount",
];

const cannotMount = Deno.env.get("CI") === undefined && !canUnshare();

function canUnshare(): boolean {
  const args = [...UNSHARE.slice(1), "true"];
  return new Deno.Command("unshare", { args, stderr: "null" })
    .outputSync().success;
}

/** The calls of one process that name the pidfile, in their order. */
async function callsOf(box: Sandbox, ...options: string[]): Promise<string[]> {
  const strace = ["strace", "-ff", "-qq", "-o", box.path("trace")];
  // Its end is strace's end.
  const script = 'echo $$ >"$1"; until [ -e "$2" ]; do sleep 0.01; done';
  const files = [box.path("pid"), box.path("go")];
  const command = ["sh", "-c", script, "sh", ...files];
  const running = box.start(
    [...strace, TEND, ...options, "--pidfile=web.pid", "--", ...command],
  );
  const pid = await box.until("COMMAND runs", () => {
    const text = box.read(files[0]!);
    return text?.endsWith("\n") && Number(text);
  });
  Deno.writeTextFileSync(files[1]!, "");
  await running.finished();
  return box.read(box.path(`trace.${pid}`))!.split("\n")
    .filter((line) => line.includes(`${box.runPath("web.pid")}"`));
}

for (
  const options of [[], ["--monitor"], ["--exec"], ["--overwrite-pidfile"]]
) {
  const name = ["tend", ...options, "--pidfile"].join(" ");
  Deno.test(`${name} never opens the file that the process has locked`, async () => {
    await using box = await Sandbox.create();
    const calls = await callsOf(box, ...options);
    const locked = calls.findIndex((line) => line.startsWith("rename("));
    assertEquals(locked === -1, false);
    assertEquals(
      calls.slice(locked + 1).filter((line) => /^open/.test(line)),
      [],
    );
  });
}

Deno.test({
  name: "tend --pidfile says that the disk is full, and leaves nothing",
  ignore: cannotMount,
  fn: async () => {
    await using box = await Sandbox.create();
    const dir = box.path("full");
    Deno.mkdirSync(dir);
    const script = 'mount -t tmpfs -o size=4k tmpfs "$1" && echo >"$1/fill" ' +
      '&& shift && { "$@"; code=$?; ls -A "$OLDPWD/full"; exit $code; }';
    const argv = ["--detach", `--pidfile=${dir}/web.pid`, "--", "sleep", "600"];
    const { code, stdout, stderr } = await box.run(
      [...UNSHARE, "sh", "-c", script, "sh", dir, TEND, ...argv],
      { env: { OLDPWD: box.dir } },
    );
    assertMatch(
      stderr,
      /^tend: .*web\.pid\.tmp: write failed \(No space left on device\)\n$/,
    );
    assertEquals([code, stdout], [1, "fill\n"]);
    assertEquals(box.processes(), []);
  },
});

Deno.test({
  name: "tend --pidfile says that the file system is read-only",
  ignore: cannotMount,
  fn: async () => {
    await using box = await Sandbox.create();
    const dir = box.path("frozen");
    Deno.mkdirSync(dir);
    const script = 'mount -t tmpfs -o ro tmpfs "$1" && shift && exec "$@"';
    const argv = ["--detach", `--pidfile=${dir}/web.pid`, "--", "sleep", "600"];
    const { code, stderr } = await box.run(
      [...UNSHARE, "sh", "-c", script, "sh", dir, TEND, ...argv],
    );
    assertMatch(stderr, /create failed \(Read-only file system\)\n$/);
    assertEquals(code, 1);
  },
});

for (
  const [call, error] of [
    // Linux before 5.3, and containers that do not know it.
    ["pidfd_open", "ENOSYS"],
    // Other programs of the user have them all.
    ["inotify_init1", "EMFILE"],
  ] as const
) {
  Deno.test(`tend --pidfile waits for another start when ${call} says ${error}`, async () => {
    await using box = await Sandbox.create();
    Deno.mkdirSync(box.path("run"));
    const tmpfile = box.runPath("web.pid.tmp");
    Deno.writeTextFileSync(tmpfile, "");
    const fd = open(tmpfile, O_RDWR);
    fcntlSetlk(fd);
    const trace = box.path("trace");
    const strace = ["strace", "-f", "-qq", "-o", trace];
    const inject = `--inject=${call}:error=${error}`;
    const argv = ["--pidfile=web.pid", "--", "true"];
    const tend = box.start([...strace, inject, TEND, ...argv]);
    await box.until(
      "it has found the lock",
      () => box.read(trace)?.includes("(INJECTED)"),
    );
    Deno.removeSync(tmpfile);
    close(fd);
    const { code, stderr } = await tend.finished();
    assertEquals([code, stderr], [0, ""]);
  });
}

for (const options of [[], ["--detach"], ["--detach", "--monitor"]]) {
  const title = ["tend", ...options, "--pidfile"].join(" ");
  Deno.test(`${title} refuses a .tmp that has another name`, async () => {
    await using box = await Sandbox.create();
    Deno.mkdirSync(box.path("run"));
    const [other, tmpfile] = [box.path("precious"), box.runPath("web.pid.tmp")];
    Deno.writeTextFileSync(other, "precious\n");
    Deno.linkSync(other, tmpfile);
    const argv = [...options, "--pidfile=web.pid", "--", "sleep", "600"];
    assertEquals(await box.tend(...argv), {
      code: 1,
      stdout: "",
      stderr: `tend: ${tmpfile}: create failed ` +
        "(it has another name too; remove it)\n",
    });
    assertEquals(box.read(other), "precious\n");
    assertEquals(box.pidfile("web.pid"), undefined);
    assertEquals(box.processes(), []);
  });
}

Deno.test("tend --detach --monitor leaves nothing when descriptors run out", async () => {
  await using box = await Sandbox.create();
  const script = 'ulimit -n "$1"; shift; exec "$@"';
  const argv = ["--detach", "--monitor", "--pidfile=web.pid", "--"];
  // With each one more it comes a bit farther, until it runs.
  for (let limit = 8, code = 1; code !== 0; limit++) {
    const sh = ["sh", "-c", script, "sh", `${limit}`];
    code = (await box.run([...sh, TEND, ...argv, "sleep", "600"])).code;
    const left = [...box.runFiles(), ...box.processes()];
    if (code !== 0) assertEquals([limit, ...left], [limit]);
  }
});

Deno.test("tend --pidfile starts when the pidfile goes between the look whether it is there and the look into it", async () => {
  await using box = await Sandbox.create();
  // Seen, and gone.
  const inject = "inject=access:retval=0";
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject];
  const { code } = await box.run(
    [...strace, TEND, "--pidfile=web.pid", "--", "true"],
  );
  assertEquals(code, 0);
});

for (const sleep of ["--sleep-after=never", "--sleep-after=0"]) {
  Deno.test(`tend --monitor ${sleep} makes the run directory and its file there anew for a restart, and leaves another directory to its user`, async () => {
    await using box = await Sandbox.create();
    const other = box.path("other/web.pid");
    Deno.mkdirSync(box.path("other"));
    for (const [pidfile, name] of [["web.pid", "web"], [other, "other"]]) {
      const { code, stderr } = await box.tend(
        ...["--detach", "--monitor", "--restart-delay=10ms", sleep],
        ...[`--pidfile=${pidfile}`, `--log-file=${box.path(`${name}.log`)}`],
        ...["--", "sleep", "600"],
      );
      assertEquals([code, stderr], [0, ""]);
    }
    const [first, second] = [box.pidfile("web.pid")!, box.pidIn(other)!];
    for (const directory of [box.path("run"), box.path("other")]) {
      Deno.removeSync(directory, { recursive: true });
    }
    for (const pid of [first, second]) Deno.kill(pid, "SIGSEGV");
    const next = await successorOf(first, box);
    assertEquals(isAlive(next), true);
    const { monitor } = await untilShown(
      box,
      "the crash",
      ({ pid, crashes }) => pid === next && crashes === 1,
    );
    assertEquals(monitor, parentOf(next));
    const why = `${other}.tmp: create failed (No such file or directory)`;
    await box.until(
      "the monitor says what is missing",
      () => box.read(box.path("other.log"))?.includes(why),
    );
    assertEquals(box.exists(box.path("other")), false);
    assertEquals((await box.tend("stop", "web")).code, 0);
    assertEquals(box.runFiles(), []);
  });
}

Deno.test("tend --detach --monitor that starts leaves its caller's output, however few descriptors there are", async () => {
  const codes = new Set<number>();
  // From too few for a start to enough for anything.
  for (let limit = 12; limit <= 24; limit++) {
    await using box = await Sandbox.create();
    const { code, stderr } = await box.run([
      ...["sh", "-c", 'ulimit -n "$1"; shift; exec "$@"', "sh", `${limit}`],
      ...[TEND, "--detach", "--monitor", "--", "sleep", "600"],
    ]);
    codes.add(code === 0 ? 0 : 1);
    if (code !== 0) continue;
    assertEquals(stderr, "");
    assertEquals(box.processes().length, 2);
    await box.until(
      "nobody has the caller's output",
      () =>
        box.processes().every((pid) =>
          filesOf(pid).every((file) => !/\.(out|err)$/.test(file))
        ),
    );
  }
  assertEquals(codes, new Set([1, 0]));
});

/** The files that a process has open. */
function filesOf(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
    } catch (error) {
      // Closed since.
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  });
}
