import { assertEquals } from "@std/assert/equals";
import { freeze } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { NAME, Sleeper, wake } from "../sleepers.ts";
import "../open_libc.ts";

/** An expression of a descriptor of the shell. */
const SHELL = `open("/bin/sh", O_PATH)`;
const PATH = `PATH=${Deno.env.get("PATH")}`;

/** Has the shell write a file of its own in `/proc`, each byte in hexadecimal. */
function dump(file: string): string {
  // The colon: or else `od` may be in the shell's place.
  return `od -An -v -tx1 /proc/$$/${file}; :`;
}

/** What `od` writes of strings that end in NUL. */
function dumped(...strings: (string | Uint8Array)[]): string[] {
  const encoder = new TextEncoder();
  return strings.flatMap((string) => [
    ...typeof string === "string" ? encoder.encode(string) : string,
    0,
  ]).map((byte) => byte.toString(16).padStart(2, "0"));
}

Deno.test("sleeperImage() starts a program with its arguments as they are", async () => {
  await using box = await Sandbox.create();
  const rest = ["", "a b", Uint8Array.of(0xff, 0x0a, 0xc3), "ü", ""];
  const argv = ["a name", "-c", dump("cmdline"), ...rest];
  const sleeper = await Sleeper.start(box, { argv, env: [PATH] });
  wake(box);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout.trim().split(/\s+/), dumped(...argv));
});

Deno.test("sleeperImage() starts a program with its environment as it is, and no more", async () => {
  await using box = await Sandbox.create();
  const env = [PATH, "EMPTY=", "no variable", Uint8Array.of(0x41, 0x3d, 0xff)];
  const argv = ["sh", "-c", dump("environ")];
  const sleeper = await Sleeper.start(box, { argv, env });
  wake(box);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout.trim().split(/\s+/), dumped(...env));
});

Deno.test("sleeperImage() starts a program with no environment", async () => {
  await using box = await Sandbox.create();
  const argv = ["sh", "-c", "read -r line </proc/$$/environ; echo $? $line"];
  const sleeper = await Sleeper.start(box, { argv, env: [] });
  wake(box);
  assertEquals((await sleeper.finished()).stdout, "1\n");
});

Deno.test("sleeperImage() starts a program with a long environment", async () => {
  await using box = await Sandbox.create();
  const env = [
    `LONGEST=${"x".repeat(131_000)}`,
    ...Array.from({ length: 3000 }, (_, i) => `V${i}=${"y".repeat(i % 100)}`),
  ];
  const argv = ["env", "-0"];
  const sleeper = await Sleeper.start(box, { path: "/usr/bin/env", argv, env });
  wake(box);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout.split("\0").slice(0, -1), env);
});

Deno.test("sleeperImage() starts a program whose path is no UTF-8", async () => {
  await using box = await Sandbox.create();
  const name = Uint8Array.of(0x2e, 0x2f, 0xff, 0xfe);
  // Deno has no such names.
  const { code } = await box.run(
    ["sh", "-c", `ln -s /bin/sh "$(printf '\\377\\376')"`],
  );
  assertEquals(code, 0);
  const sleeper = await Sleeper.start(box, { path: name });
  wake(box);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}\n`);
});

for (
  const [what, make] of [
    ["is not there", () => {}],
    [
      "is no program",
      (path) => Deno.writeTextFileSync(path, "text\n", { mode: 0o755 }),
    ],
    ["is a directory", (path) => Deno.mkdirSync(path)],
  ] as [string, (path: string) => void][]
) {
  Deno.test(`sleeperImage() starts the program of the descriptor when the path ${what}`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("program");
    make(path);
    const argv = ["sh", "-c", 'echo "$0 $1 $V as $$"', "a", "b"];
    const sleeper = await Sleeper.start(box, {
      path,
      keptFd: SHELL,
      argv,
      env: ["V=c"],
    });
    wake(box);
    const { stdout } = await sleeper.finished();
    assertEquals(stdout, `a b c as ${sleeper.pid}\n`);
  });
}

Deno.test("sleeperImage() starts the program of the descriptor when that was removed since", async () => {
  await using box = await Sandbox.create();
  const path = box.path("program");
  await Deno.copyFile("/bin/sh", path);
  const keptFd = `open("program", O_PATH)`;
  const sleeper = await Sleeper.start(box, { path, keptFd });
  await Deno.remove(path);
  wake(box);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}\n`);
});

Deno.test("sleeperImage() starts the program that is at its path when it wakes up", async () => {
  await using box = await Sandbox.create();
  const path = box.path("program");
  await Deno.symlink("/bin/false", path);
  const sleeper = await Sleeper.start(box, { path, keptFd: SHELL });
  await Deno.remove(path);
  await Deno.symlink("/bin/echo", path);
  wake(box);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, "-c echo awake as $$\n");
});

for (const keptFd of ["-1", `open("/dev/null", O_RDONLY)`]) {
  Deno.test(`sleeperImage() waits for a program at its path when ${keptFd} is none either`, async () => {
    await using box = await Sandbox.create();
    const path = box.path("program");
    const sleeper = await Sleeper.start(box, { path, keptFd });
    wake(box);
    await sleeper.isHelpless();
    assertEquals(sleeper.status("Name"), NAME);
    await Deno.symlink("/bin/sh", path);
    const { stdout } = await sleeper.finished();
    assertEquals(stdout, `awake as ${sleeper.pid}\n`);
  });
}

Deno.test("sleeperImage() tries again as often as it takes", async () => {
  await using box = await Sandbox.create();
  const path = box.path("program");
  const sleeper = await Sleeper.start(box, {
    path,
    // As fast as it can: a second each would be the time of this test.
    under: ["strace", "-qq", "-o", "trace", "-e", "inject=nanosleep:retval=0"],
  });
  wake(box);
  const calls = () => box.read(box.path("trace")) ?? "";
  await box.until("it has tried a hundred times", () => {
    return (calls().match(/^nanosleep\(/gm)?.length ?? 0) >= 100;
  });
  await Deno.symlink("/bin/sh", path);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}\n`);
  const wait = /^nanosleep\(\{tv_sec=1, tv_nsec=0\}, NULL\)/m;
  assertEquals(wait.test(calls()), true);
});

Deno.test("sleeperImage() waits for a program after SIGSTOP and SIGCONT, too", async () => {
  await using box = await Sandbox.create();
  const path = box.path("program");
  const sleeper = await Sleeper.start(box, { path });
  wake(box);
  await sleeper.isHelpless();
  await freeze(box, sleeper.pid);
  Deno.kill(sleeper.pid, "SIGCONT");
  await Deno.symlink("/bin/sh", path);
  const { stdout } = await sleeper.finished();
  assertEquals(stdout, `awake as ${sleeper.pid}\n`);
});
