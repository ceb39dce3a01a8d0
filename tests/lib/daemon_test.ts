import { assertEquals } from "@std/assert/equals";
import { isAlive } from "../proc.ts";
import { holdLock, ROOT, runProgram, startProgram } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

// What forks is tried end to end, on tend itself: tests/e2e.

const IMPORTS = `
  import { daemonizeComplete, daemonizeStart } from "${ROOT}/lib/daemon.ts";
  const [pidfile] = Deno.args;
  const plan = {
    detach: false,
    chdir: true,
    pidfile: undefined,
    overwritePidfile: false,
    supervise: undefined,
  };
  let prepared = 0;
  const prepare = () => { prepared++; };`;

Deno.test("daemonizeStart() returns in the same process when nothing is asked for", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await runProgram(
    box,
    `${IMPORTS}
    import { getpid } from "${ROOT}/ffi/process.ts";
    const daemon = daemonizeStart(plan, prepare);
    console.log(getpid() === Deno.pid, prepared, JSON.stringify(daemon));`,
  );
  assertEquals(stdout, 'true 1 {"notifyFd":-1,"isRestart":false,"means":{}}\n');
});

Deno.test("daemonizeStart() makes the pidfile and says on which descriptor", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await runProgram(
    box,
    `${IMPORTS}
    const { pidfileFd } = daemonizeStart({ ...plan, pidfile }, prepare);
    console.log(
      Deno.readLinkSync("/proc/self/fd/" + pidfileFd) === pidfile,
      Deno.readTextFileSync(pidfile) === Deno.pid + "\\n",
    );`,
    { args: [box.path("pid")] },
  );
  assertEquals(stdout, "true true\n");
});

Deno.test("daemonizeStart() prepares for signals before there is a pidfile", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await runProgram(
    box,
    `${IMPORTS}
    const there = () => [...Deno.readDirSync(Deno.args[1])]
      .map(({ name }) => name).filter((name) => name.startsWith("pid"));
    daemonizeStart({ ...plan, pidfile }, () => console.log(there().join()));
    console.log(there().join());`,
    { args: [box.path("pid"), box.dir] },
  );
  assertEquals(stdout, "\npid\n");
});

Deno.test("daemonizeStart() holds the fatal signals back in the daemon", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await runProgram(
    box,
    `${IMPORTS}
    import { fatalSignalBlock } from "${ROOT}/lib/fatal_signal.ts";
    daemonizeStart(plan, fatalSignalBlock);
    const status = Deno.readTextFileSync("/proc/thread-self/status");
    console.log(/^SigBlk:\\t(\\w+)$/m.exec(status)[1]);`,
    { under: ["env", "--default-signal"] },
  );
  // 1, 2, 14 and 15.
  assertEquals(stdout, "0000000000006003\n");
});

Deno.test("daemonizeStart() ends the process before any fork when the daemon runs", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const pid = await holdLock(box, path, (pid) => `${pid}\n`);
  const { code, stderr } = await runProgram(
    box,
    `${IMPORTS}
    daemonizeStart({ ...plan, detach: true, pidfile }, prepare);
    console.log("not reached");`,
    { args: [path] },
  );
  assertEquals(
    [code, stderr],
    [1, `tend: ${path}: already running as pid ${pid}, aborting\n`],
  );
});

Deno.test("daemonizeStart() starts a program of several threads again, as the daemon", async () => {
  await using box = await Sandbox.create();
  const path = box.path("answer");
  const { code, stderr } = await runProgram(
    box,
    `${IMPORTS}
    import { getppid, threadCount } from "${ROOT}/ffi/process.ts";
    import { environment } from "${ROOT}/ffi/environment.ts";
    const [, caller] = Deno.args;
    const daemon = daemonizeStart({ ...plan, detach: true, pidfile }, prepare);
    Deno.writeTextFileSync("${path}", JSON.stringify({
      ...daemon,
      pid: Deno.pid,
      args: Deno.args,
      severalThreads: threadCount() > 1,
      environment: environment().map((entry) => new TextDecoder().decode(entry)),
      pidfile: Number(Deno.readTextFileSync(pidfile)),
    }));
    daemonizeComplete({ ...plan, detach: true }, daemon.notifyFd);`,
    { args: [box.path("pid"), "second"] },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  // Written before the caller was told.
  const answer = JSON.parse(box.read(path)!);
  assertEquals(answer.args, [box.path("pid"), "second"]);
  assertEquals(answer.pidfile, answer.pid);
  assertEquals([answer.severalThreads, answer.isRestart], [true, false]);
  assertEquals(answer.environment.join().includes("TEND_STAGE"), false);
  assertEquals(answer.notifyFd >= 100, true);
});

Deno.test("daemonizeStart() conveys the status of a daemon of several threads that fails", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await runProgram(
    box,
    `${IMPORTS}
    import { exitNow } from "${ROOT}/ffi/process.ts";
    daemonizeStart({ ...plan, detach: true }, prepare);
    exitNow(42);`,
  );
  assertEquals({ code, stderr }, { code: 42, stderr: "" });
});

Deno.test("daemonizeComplete() tells who waits, when all is as it will stay", async () => {
  await using box = await Sandbox.create();
  const path = box.path("answer");
  await runProgram(
    box,
    `${IMPORTS}
    import { pipe2, read } from "${ROOT}/ffi/descriptor.ts";
    const { readFd, writeFd } = pipe2();
    daemonizeComplete({ ...plan, detach: true }, writeFd);
    const bytes = [1, 2].map(() => read(readFd, new Uint8Array(9)));
    Deno.writeTextFileSync(Deno.args[0], JSON.stringify([Deno.cwd(), bytes]));`,
    { args: [path] },
  );
  assertEquals(JSON.parse(box.read(path)!), ["/", [1, 0]]);
});

Deno.test("daemonizeComplete() does nothing when nobody waits and nothing is detached", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await runProgram(
    box,
    `${IMPORTS}
    daemonizeComplete(plan, -1);
    console.log("goes on");`,
  );
  assertEquals([code, stdout], [0, "goes on\n"]);
});

Deno.test("daemonizeStart() ends a daemon that is started again when its caller is killed before it is ready", async () => {
  await using box = await Sandbox.create();
  const path = box.path("pid");
  const caller = startProgram(
    box,
    `${IMPORTS}
    daemonizeStart({ ...plan, detach: true, pidfile }, prepare);
    await new Promise((resolve) => setTimeout(resolve, 600_000));`,
    { args: [path] },
  );
  const daemon = await box.until(
    "the daemon has its pidfile",
    () => box.pidIn(path) || false,
  );
  Deno.kill(caller.pid, "SIGKILL");
  await box.until("the daemon has ended", () => !isAlive(daemon));
});
