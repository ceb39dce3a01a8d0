import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { Sandbox } from "../sandbox.ts";
import { runStaged } from "../staged.ts";
import { makeApp, WAYS } from "./ways.ts";

/** Evaluates code of a user's with `deno run`, and returns what it says. */
async function evaluate(
  code: string,
  flags: string[] = ["--allow-ffi", "--allow-env"],
): Promise<{ code: number; stdout: string; stderr: string }> {
  await using box = await Sandbox.create();
  const app = await makeApp();
  const file = `${app}/${crypto.randomUUID()}.ts`;
  await Deno.writeTextFile(file, code);
  const argv = [Deno.execPath(), "run", "--quiet", "--no-prompt", ...flags];
  return await box.run([...argv, file], { env: { NO_COLOR: "1" } });
}

function apiTest(name: string, body: () => Promise<void>): void {
  Deno.test({ name, sanitizeResources: false, fn: body });
}

apiTest("importing the package needs no permission", async () => {
  const { code, stderr } = await evaluate('import "@tend/daemon";', []);
  assertEquals([code, stderr], [0, ""]);
});

apiTest("daemonizeStart() needs no more than ffi and env", async () => {
  const { code, stderr } = await evaluate(
    'import { daemonize } from "@tend/daemon";\n' +
      'daemonize({ detach: true, pidfile: "it.pid" });',
  );
  assertEquals([code, stderr], [0, ""]);
});

apiTest("daemonizeStart() throws when it is called twice", async () => {
  const { stderr } = await evaluate(
    'import { daemonizeStart } from "@tend/daemon";\n' +
      "daemonizeStart();\ndaemonizeStart();",
  );
  assertStringIncludes(stderr, "Error: daemonizeStart: called already");
});

apiTest("daemonizeComplete() throws before daemonizeStart()", async () => {
  const { stderr } = await evaluate(
    'import { daemonizeComplete } from "@tend/daemon";\ndaemonizeComplete();',
  );
  assertStringIncludes(
    stderr,
    "Error: daemonizeComplete: daemonizeStart was not called",
  );
});

apiTest("daemonizeComplete() does nothing the second time", async () => {
  const { code, stderr } = await evaluate(
    'import { daemonize, daemonizeComplete } from "@tend/daemon";\n' +
      "daemonize();\ndaemonizeComplete();",
  );
  assertEquals([code, stderr], [0, ""]);
});

apiTest("daemonizeStart() throws in a Worker", async () => {
  const app = await makeApp();
  const worker = `${app}/worker.ts`;
  await Deno.writeTextFile(
    worker,
    'import { daemonizeStart } from "@tend/daemon";\n' +
      "try { daemonizeStart(); } catch (error) { console.log(error.message); }\n" +
      "close();",
  );
  const { stdout } = await evaluate(
    `new Worker("file://${worker}", { type: "module" });`,
    ["--allow-all"],
  );
  assertEquals(stdout, "daemonizeStart: a Worker cannot become a daemon\n");
});

apiTest(
  "daemonizeStart(), addFileToUnlink() and addExitHook() throw in a worker of Node",
  async () => {
    const app = await makeApp();
    const worker = `${app}/node_worker.ts`;
    await Deno.writeTextFile(
      worker,
      'import * as tend from "@tend/daemon";\n' +
        'import { parentPort } from "node:worker_threads";\n' +
        "const said = [tend.daemonizeStart, tend.addFileToUnlink,\n" +
        "  tend.addExitHook].map((call) => {\n" +
        "    try { call('x'); } catch (error) { return error.message; }\n" +
        "  });\n" +
        "parentPort.postMessage(said.join());",
    );
    const { stdout } = await evaluate(
      'import { Worker } from "node:worker_threads";\n' +
        `new Worker(new URL("file://${worker}")).on("message", (said) => {\n` +
        "  console.log(said);\n  Deno.exit();\n});",
      ["--allow-all"],
    );
    assertEquals(
      stdout,
      "daemonizeStart: a Worker cannot become a daemon," +
        "addFileToUnlink: a Worker does not end the process," +
        "addExitHook: a Worker does not end the process\n",
    );
  },
);

for (
  const [options, said] of [
    ["{ pidfile: null }", "pidfile: null is no value of it"],
    ["{ pidfile: '' }", 'pidfile: "" is no value of it'],
    ["{ sleepAfter: 1000 }", "sleepAfter: 1000 is no value of it"],
    ["{ detach: 1 }", "detach: 1 is no value of it"],
    ["{ programName: 'a/b' }", 'not a program name: "a/b"'],
  ]
) {
  apiTest(
    `daemonizeStart() throws for ${options}, and can be called again`,
    async () => {
      const { code, stdout } = await evaluate(
        'import { daemonize } from "@tend/daemon";\n' +
          `try { daemonize(${options}); } catch (e) { console.log(e.message); }\n` +
          "daemonize();",
      );
      assertEquals([code, stdout], [0, `${said}\n`]);
    },
  );
}

apiTest(
  "parseDaemonOptions() ends with status 2 for an empty pidfile",
  async () => {
    const { code, stderr } = await evaluate(
      'import { parseDaemonOptions } from "@tend/daemon";\n' +
        'parseDaemonOptions(["--pidfile="]);',
    );
    assertEquals(code, 2);
    assertStringIncludes(stderr, "option --pidfile has an empty value");
  },
);

apiTest("daemonizeStart() makes a daemon of deno eval", async () => {
  await using box = await Sandbox.create();
  const app = await makeApp();
  const code = 'import { daemonize } from "@tend/daemon";\n' +
    'daemonize({ detach: true, monitor: true, pidfile: "eval.pid" });\n' +
    "setInterval(() => {}, 1000);";
  const { code: status, stderr } = await box.run(
    [Deno.execPath(), "eval", code],
    { cwd: app },
  );
  assertEquals([status, stderr], [0, ""]);
  assertEquals(box.holder("eval.pid"), box.pidfile("eval.pid"));
});

apiTest("daemonizeStart() makes a daemon of deno task", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.run(
    [Deno.execPath(), "task", "--quiet", "--config", "task.json", "serve"],
    { cwd: await makeApp() },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(box.holder("task.pid"), box.pidfile("task.pid"));
});

apiTest("daemonizeStart() refuses a script from standard input", async () => {
  await using box = await Sandbox.create();
  const script = 'import { daemonize } from "@tend/daemon"; ' +
    "daemonize({ detach: true });";
  const { code, stderr } = await box.run(
    ["sh", "-c", 'echo "$1" | "$2" run -A -', "sh", script, Deno.execPath()],
    { cwd: await makeApp() },
  );
  assertEquals(code, 1);
  assertEquals(
    stderr,
    "deno: a script from standard input cannot become a daemon: " +
      "put it into a file, or compile it\n",
  );
});

apiTest("a stage that is nobody's is refused", async () => {
  await using box = await Sandbox.create();
  const [way] = WAYS;
  const argv = await way!.command("server");
  for (
    const [stage, message] of [
      ["{", /TEND_STAGE is not valid: it is not JSON/],
      ['{"version":2}', /its version is 2, and this program knows 1/],
      [
        '{"version":1,"from":1,"role":"daemon","notifyFd":-1,"coreDumped":false}',
        /TEND_STAGE is from pid 1, which is not the parent of pid \d+/,
      ],
    ] as const
  ) {
    const { code, stderr } = await runStaged(box, stage, [...argv, "exit"]);
    assertEquals(code, 1);
    assertMatch(stderr, message);
  }
});

apiTest("parseDaemonOptions() leaves what is not its own", async () => {
  const { stdout } = await evaluate(
    'import { parseDaemonOptions } from "@tend/daemon";\n' +
      'const args = ["--port=80", "--detach", "x", "--pidfile=a.pid", "--", "--monitor"];\n' +
      "console.log(JSON.stringify(parseDaemonOptions(args)));",
  );
  assertEquals(JSON.parse(stdout), {
    options: {
      detach: true,
      chdir: true,
      pidfile: "a.pid",
      overwritePidfile: false,
      monitor: false,
    },
    rest: ["--port=80", "x", "--", "--monitor"],
  });
});

apiTest("parseDaemonOptions() refuses a value that is none", async () => {
  const { code, stderr } = await evaluate(
    'import { parseDaemonOptions, setProgramName } from "@tend/daemon";\n' +
      'setProgramName("web");\nparseDaemonOptions(["--detach=yes"]);',
  );
  assertEquals(code, 2);
  assertEquals(stderr, "web: option --detach takes no value, and has yes\n");
});
