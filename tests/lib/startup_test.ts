import { passOn, STOP_SIGNALS } from "../../lib/pass_on.ts";
import { waitpid } from "../../ffi/child.ts";
import { close, pipe2, read, writeFully } from "../../ffi/descriptor.ts";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Signal } from "../../ffi/signal.ts";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import { waitReadable } from "../../ffi/wait.ts";
import {
  forkNotifyStartup,
  readStartup,
  type Startup,
} from "../../lib/startup.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { Child } from "../children.ts";
import { openFdCount } from "../descriptors.ts";
import {
  CANNOT_COMPILE,
  compileSingleThreaded,
  ROOT,
  runProgram,
} from "../program.ts";
import { type Finished, Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

setLevels("console:off");

Deno.test("forkNotifyStartup() writes one byte and closes the pipe", () => {
  const before = openFdCount();
  const { readFd, writeFd } = pipe2();
  assertEquals(forkNotifyStartup(writeFd), true);
  const into = new Uint8Array(9);
  assertEquals([read(readFd, into), read(readFd, into)], [1, 0]);
  close(readFd);
  assertEquals(openFdCount(), before);
});

Deno.test("forkNotifyStartup() says that nobody waits any more", () => {
  const before = openFdCount();
  const { readFd, writeFd } = pipe2();
  close(readFd);
  assertEquals(forkNotifyStartup(writeFd), false);
  assertEquals(openFdCount(), before);
});

Deno.test("forkNotifyStartup() ends the process when it cannot tell", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await runProgram(
    box,
    `
    import { forkNotifyStartup } from "${ROOT}/lib/startup.ts";
    forkNotifyStartup(99999);`,
  );
  assertEquals(
    [code, stderr],
    [1, "tend: pipe write failed (Bad file descriptor)\n"],
  );
});

Deno.test("readStartup() is ready after a byte, and closes the pipe", () => {
  using child = new Child("sleep", "600");
  const before = openFdCount();
  const { readFd, writeFd } = pipe2();
  forkNotifyStartup(writeFd);
  assertEquals(readStartup(child.pid, readFd, true), { kind: "ready" });
  assertEquals(openFdCount(), before);
});

Deno.test("readStartup() is ready at the end of the pipe when the child is another program", () => {
  using child = new Child("sleep", "600");
  const { readFd, writeFd } = pipe2();
  close(writeFd);
  assertEquals(readStartup(child.pid, readFd, true), { kind: "ready" });
});

Deno.test("readStartup() is ended at the end of the pipe for a fresh image that has not said it is ready", () => {
  // Not disposed: readStartup() waits for it.
  const { pid } = new Child("sh", "-c", "exit 7");
  const { readFd, writeFd } = pipe2();
  close(writeFd);
  assertEquals(readStartup(pid, readFd, false), {
    kind: "ended",
    status: { kind: "exited", code: 7 },
  });
});

/** What is heard of a child that has written so many bytes and ended, where another has its pipe too. */
function endedBeside(bytes: number): Startup {
  const { readFd, writeFd } = pipe2();
  const { pid } = new Child("sh", "-c", "exit 7");
  waitReadable([pidfdOpen(pid)]);
  writeFully(writeFd, new Uint8Array(bytes));
  const startup = readStartup(pid, readFd, false);
  close(writeFd);
  if (startup.kind === "ready") waitpid(pid);
  return startup;
}

Deno.test("readStartup() is ended for a child that has ended, also when the pipe has not", () => {
  const status = { kind: "exited", code: 7 } as const;
  assertEquals(endedBeside(0), { kind: "ended", status });
});

Deno.test("readStartup() is ready for a child that was so before it ended, when the pipe has not", () => {
  assertEquals(endedBeside(1), { kind: "ready" });
});

Deno.test("STOP_SIGNALS are SIGTERM and SIGINT", () => {
  assertEquals(STOP_SIGNALS, [Signal.SIGTERM, Signal.SIGINT]);
});

Deno.test("passOn() sends the signal", () => {
  using child = new Child("sleep", "600");
  passOn(Signal.SIGTERM, child.pid);
  const signal = Signal.SIGTERM;
  assertEquals(child.wait(), { kind: "signaled", signal, coreDumped: false });
});

Deno.test("passOn() takes it that the child has ended meanwhile", () => {
  using child = new Child("true");
  child.wait();
  passOn(Signal.SIGTERM, child.pid);
});

async function failed(status: unknown): Promise<Finished> {
  await using box = await Sandbox.create();
  return await runProgram(
    box,
    `
    import { startupFailed } from "${ROOT}/lib/startup.ts";
    startupFailed(${JSON.stringify(status)}, "could not start");`,
  );
}

Deno.test("startupFailed() ends with the child's exit status, without a word", async () => {
  const { code, stderr } = await failed({ kind: "exited", code: 42 });
  assertEquals([code, stderr], [42, ""]);
});

for (
  const [status, words] of [
    [{ kind: "exited", code: 0 }, "exit status 0"],
    [
      { kind: "signaled", signal: 9, coreDumped: false },
      String.raw`killed \(Killed\)`,
    ],
    [
      { kind: "signaled", signal: 11, coreDumped: true },
      String.raw`killed \(Segmentation fault\), core dumped`,
    ],
  ] as const
) {
  Deno.test(`startupFailed() ends with 1 and says how the child died for ${JSON.stringify(status)}`, async () => {
    const { code, stderr } = await failed(status);
    assertEquals(code, 1);
    assertMatch(
      stderr,
      RegExp(
        String.raw`^\S+\|ERR\|fork child died before signaling startup ` +
          String.raw`\(${words}\)\ntend: could not start\n$`,
      ),
    );
  });
}

/** What the child does, and what the parent hears. */
const STARTUPS = {
  "notifies": { kind: "ready" },
  "execs": { kind: "ready" },
  "execs and exits": { kind: "ready" },
  "exits with 7": { kind: "ended", status: { kind: "exited", code: 7 } },
  "exits with 0": { kind: "ended", status: { kind: "exited", code: 0 } },
  "is killed": {
    kind: "ended",
    status: { kind: "signaled", signal: 9, coreDumped: false },
  },
  "is killed by a signal passed on": {
    kind: "ended",
    status: { kind: "signaled", signal: 10, coreDumped: false },
  },
} as const;

Deno.test({
  name: "forkAndWaitForStartup() in a process of one thread",
  ignore: CANNOT_COMPILE,
  fn: async (t) => {
    await using box = await Sandbox.create();
    const program = await compileSingleThreaded(
      box,
      new URL("startup_program.ts", import.meta.url).pathname,
    );
    const lines = async (...args: string[]) => {
      const { code, stdout, stderr } = await box.run([program, ...args]);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      return stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    };
    const ask = async (...args: string[]) => (await lines(...args))[0];
    for (const [name, startup] of Object.entries(STARTUPS)) {
      await t.step(`is ${startup.kind} when the child ${name}`, async () => {
        assertEquals(await ask(name), startup);
      });
    }
    await t.step(
      "forkAndCleanUp() leaves the exit hooks to the child",
      async () => {
        assertEquals(await ask("hook"), "child's");
      },
    );
    await t.step("Deno.pid is each process's own", async () => {
      assertEquals(await lines("pid"), [true, true]);
    });
    await t.step(
      "a child does not take its parent's pidfile for its own",
      async () => {
        assertEquals(await ask("pidfile", box.path("pid")), true);
      },
    );
  },
});
