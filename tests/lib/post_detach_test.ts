import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { lacks } from "../binutils.ts";
import { ask, ROOT, runProgram } from "../program.ts";
import { type Finished, Sandbox } from "../sandbox.ts";

/** Runs a program that says in a file what is left of its caller's things. */
async function detach(
  source: string,
  under: readonly string[] = [],
): Promise<Finished & { answer: { cwd: string; fds: string[] }; dir: string }> {
  await using box = await Sandbox.create();
  const path = box.path("answer");
  const finished = await runProgram(
    box,
    `
    import { daemonizePostDetach } from "${ROOT}/lib/post_detach.ts";
    import { dropConsole, writeConsole } from "${ROOT}/lib/vlog_sinks.ts";
    import { vlogModule } from "${ROOT}/lib/vlog.ts";
    ${source}
    Deno.writeTextFileSync(Deno.args[0], JSON.stringify({
      cwd: Deno.cwd(),
      fds: [0, 1, 2].map((fd) => Deno.readLinkSync("/proc/self/fd/" + fd)),
    }));`,
    { args: [path], under },
  );
  const answer = JSON.parse(box.read(path)!);
  return { ...finished, answer, dir: Deno.realPathSync(box.dir) };
}

const NULLS = Array(3).fill("/dev/null");

Deno.test("daemonizePostDetach() leaves the directory and the standard descriptors", async () => {
  const { answer } = await detach(
    `daemonizePostDetach({ detach: true, chdir: true });`,
  );
  assertEquals(answer, { cwd: "/", fds: NULLS });
});

Deno.test({
  name:
    "daemonizePostDetach() leaves the standard descriptors where it cannot leave the directory",
  ignore: await lacks(["strace"]),
  fn: async () => {
    const inject = ["-e", "trace=chdir", "-e", "inject=chdir:error=ENOMEM"];
    const { answer, dir } = await detach(
      `const error = daemonizePostDetach({ detach: true, chdir: true });
       if (error?.message !== "chdir failed (Cannot allocate memory)") throw error;`,
      ["strace", "-qq", "-o", "/dev/null", ...inject],
    );
    assertEquals(answer, { cwd: dir, fds: NULLS });
  },
});

Deno.test("daemonizePostDetach() stays in the directory without chdir", async () => {
  const { answer, dir } = await detach(
    `daemonizePostDetach({ detach: true, chdir: false });`,
  );
  assertEquals(answer, { cwd: dir, fds: NULLS });
});

Deno.test("daemonizePostDetach() changes nothing when the process does not detach", async () => {
  const { answer, dir } = await detach(
    `daemonizePostDetach({ detach: false, chdir: true });`,
  );
  assertEquals(answer.cwd, dir);
  assertEquals(answer.fds.slice(1).map((fd) => fd.startsWith(dir)), [
    true,
    true,
  ]);
});

Deno.test("daemonizePostDetach() keeps the console, until dropConsole()", async () => {
  const { stderr } = await detach(`
    daemonizePostDetach({ detach: true, chdir: true });
    writeConsole("kept\\n");
    vlogModule("tend").warn("logged");
    dropConsole();
    writeConsole("dropped\\n");`);
  assertMatch(stderr, /^kept\n\S+\|WARN\|logged\n$/);
});

Deno.test("daemonizePostDetach() returns what failed when no descriptor is to be had", async () => {
  await using box = await Sandbox.create();
  // So the console cannot be kept. The limit is below what is open.
  const answer = await ask(
    box,
    `
    import { daemonizePostDetach } from "${ROOT}/lib/post_detach.ts";
    import { LibcError } from "${ROOT}/ffi/libc.ts";
    import { setrlimit } from "${ROOT}/ffi/limit.ts";
    setrlimit(7, { soft: 3n, hard: 1024n });
    const error = daemonizePostDetach({ detach: true, chdir: true });
    console.log(error instanceof LibcError, error.message);`,
  );
  assertEquals(answer, "true fcntl(F_DUPFD) failed (Invalid argument)");
});

Deno.test("leaveCallersOutput() needs no descriptor that is not there", async () => {
  await using box = await Sandbox.create();
  const path = box.path("answer");
  await ask(
    box,
    `
    import {
      daemonizePostDetach,
      leaveCallersOutput,
    } from "${ROOT}/lib/post_detach.ts";
    import { O_RDONLY, open } from "${ROOT}/ffi/file.ts";
    import { setrlimit } from "${ROOT}/ffi/limit.ts";
    setrlimit(7, { soft: 64n, hard: 1024n });
    try {
      for (;;) open("/dev/null", O_RDONLY);
    } catch {}
    const failed = daemonizePostDetach({ detach: true, chdir: true });
    const held = Deno.readLinkSync("/proc/self/fd/1");
    const error = leaveCallersOutput();
    const now = Deno.readLinkSync("/proc/self/fd/1");
    setrlimit(7, { soft: 1024n, hard: 1024n });
    Deno.writeTextFileSync(
      Deno.args[0],
      [failed.message, held, String(error), now].join("\\n"),
    );`,
    { args: [path] },
  );
  const [failed, held, error, now] = box.read(path)!.split("\n");
  assertEquals([failed, held?.startsWith(box.dir), error, now], [
    "fcntl(F_DUPFD) failed (Too many open files)",
    true,
    "undefined",
    "/dev/null",
  ]);
});

Deno.test("daemonizePostDetach() returns nothing when all went well, or nothing was to do", async () => {
  for (const detach of [true, false]) {
    const { answer } = await detachAndSay(detach);
    assertEquals(answer, "undefined");
  }
});

async function detachAndSay(detach: boolean): Promise<{ answer: string }> {
  await using box = await Sandbox.create();
  const path = box.path("answer");
  await ask(
    box,
    `
    import { daemonizePostDetach } from "${ROOT}/lib/post_detach.ts";
    const error = daemonizePostDetach({ detach: ${detach}, chdir: true });
    Deno.writeTextFileSync(Deno.args[0], String(error));`,
    { args: [path] },
  );
  return { answer: box.read(path)! };
}
