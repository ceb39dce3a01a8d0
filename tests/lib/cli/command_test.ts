import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { fromBytes, toBytes } from "../../../ffi/c_string.ts";
import { Errno, LibcError } from "../../../ffi/libc.ts";
import { CommandError, findCommand } from "../../../lib/cli/command.ts";
import { ask, ROOT, runProgram } from "../../program.ts";
import { Sandbox } from "../../sandbox.ts";
import "../../open_libc.ts";

/** Finds a command in a PATH of its own, and returns the file. */
function find(name: string, path?: string, absolute = false): string {
  const before = Deno.env.get("PATH")!;
  if (path === undefined) Deno.env.delete("PATH");
  else Deno.env.set("PATH", path);
  try {
    return fromBytes(findCommand([toBytes(name)], absolute).path);
  } finally {
    Deno.env.set("PATH", before);
  }
}

/** Makes directories `a` and `b`, with the modes of a `web` in each. */
async function boxWith(
  modes: { a?: number; b?: number },
): Promise<{ box: Sandbox; path: string } & AsyncDisposable> {
  const box = await Sandbox.create();
  for (const name of ["a", "b"] as const) {
    Deno.mkdirSync(box.path(name));
    const mode = modes[name];
    if (mode === undefined) continue;
    Deno.writeTextFileSync(box.path(`${name}/web`), "#!/bin/sh\n", { mode });
  }
  return {
    box,
    path: `${box.path("a")}:${box.path("b")}`,
    [Symbol.asyncDispose]: () => box[Symbol.asyncDispose](),
  };
}

Deno.test("findCommand() takes the first in PATH", async () => {
  await using made = await boxWith({ a: 0o755, b: 0o755 });
  assertEquals(find("web", made.path), made.box.path("a/web"));
});

Deno.test("findCommand() passes over one that may not be executed when there is another", async () => {
  await using made = await boxWith({ a: 0o644, b: 0o755 });
  assertEquals(find("web", made.path), made.box.path("b/web"));
});

Deno.test("findCommand() passes over a directory of that name", async () => {
  await using made = await boxWith({ b: 0o755 });
  Deno.mkdirSync(made.box.path("a/web"));
  assertEquals(find("web", made.path), made.box.path("b/web"));
});

Deno.test("findCommand() passes over a file in PATH that is no directory", async () => {
  await using made = await boxWith({ b: 0o755 });
  assertEquals(
    find("web", `/etc/passwd:/no/such:${made.path}`),
    made.box.path("b/web"),
  );
});

Deno.test("findCommand() looks in /bin and /usr/bin without PATH", () => {
  assertEquals(find("sh"), "/bin/sh");
});

Deno.test("findCommand() takes an empty part of PATH for the working directory", async () => {
  await using made = await boxWith({ a: 0o755 });
  const before = Deno.cwd();
  Deno.chdir(made.box.path("a"));
  try {
    assertEquals(find("web", "/no/such:"), "./web");
    assertEquals(find("web", ":/no/such"), "./web");
  } finally {
    Deno.chdir(before);
  }
});

for (const name of ["./web", "a/../web"]) {
  Deno.test(`findCommand() makes ${name} absolute when the directory will be another`, async () => {
    await using made = await boxWith({ a: 0o755 });
    Deno.mkdirSync(made.box.path("a/a"));
    const before = Deno.cwd();
    Deno.chdir(made.box.path("a"));
    try {
      assertEquals(find(name, "/no/such"), name);
      assertEquals(find(name, "/no/such", true), `${Deno.cwd()}/${name}`);
    } finally {
      Deno.chdir(before);
    }
  });
}

Deno.test("findCommand() leaves the arguments as they are", () => {
  const argv = [toBytes("/bin/sh"), Uint8Array.of(0xff)] as const;
  assertEquals(findCommand([...argv], true).argv, [...argv]);
});

const MISSING = "exec failed (No such file or directory)";
const DENIED = "exec failed (Permission denied)";

for (
  const [what, name, status, message] of [
    ["127 when it is not in PATH", "no-such-web", 127, MISSING],
    ["127 when it is not there", "/no/such/web", 127, MISSING],
    ["127 when its name is empty", "", 127, MISSING],
    ["126 when it may not be executed", "/etc/passwd", 126, DENIED],
    ["126 when it is a directory", "/etc", 126, DENIED],
  ] as const
) {
  Deno.test(`findCommand() throws with ${what}`, () => {
    const error = assertThrows(() => find(name, "/bin"), CommandError);
    assertEquals([error.status, error.message], [
      status,
      `${name}: ${message}`,
    ]);
  });
}

Deno.test("findCommand() throws with 126 when the only one in PATH may not be executed", async () => {
  await using made = await boxWith({ a: 0o644 });
  const error = assertThrows(() => find("web", made.path), CommandError);
  assertEquals([error.status, error.message], [126, `web: ${DENIED}`]);
});

Deno.test("findCommand() throws with 126 below a file", () => {
  const error = assertThrows(() => find("/etc/passwd/web"), CommandError);
  assertEquals([error.status, error.message], [
    126,
    "/etc/passwd/web: exec failed (Not a directory)",
  ]);
});

Deno.test("CommandError has 126 for all but ENOENT", () => {
  const statuses = [Errno.ENOENT, Errno.EACCES, Errno.E2BIG, Errno.ENOEXEC]
    .map((errno) => new CommandError(toBytes("web"), new LibcError("x", errno)))
    .map(({ status }) => status);
  assertEquals(statuses, [127, 126, 126, 126]);
});

/** Becomes `sh -c SCRIPT`, with what stands before it done to the process. */
function become(script: string, callerIgnored: number[], before = ""): string {
  return `
    import { toBytes } from "${ROOT}/ffi/c_string.ts";
    import { becomeCommand } from "${ROOT}/lib/cli/command.ts";
    const plan = { detach: false, chdir: true };
    const daemon = { notifyFd: -1, pidfileFd: undefined, means: {} };
    const command = { path: toBytes("/bin/sh"),
      argv: ["sh", "-c", ${JSON.stringify(script)}].map(toBytes),
      ignored: ${JSON.stringify(callerIgnored)} };
    ${before}
    becomeCommand(command, plan, daemon);`;
}

/** Not sh, which takes SIGCHLD for itself. */
const SAY_SIGNALS = `
  import { fatalSignalBlock } from "${ROOT}/lib/fatal_signal.ts";
  command.path = toBytes("/bin/grep");
  command.argv = ["grep", "^Sig[BI]", "/proc/self/status"].map(toBytes);
  fatalSignalBlock();`;

for (
  const [what, ignored, mask] of [
    ["no signal ignored when the caller had none", [], 0n],
    ["SIGPIPE ignored when the caller had", [13], 1n << 12n],
    ["SIGCHLD ignored when the caller had", [17], 1n << 16n],
  ] as const
) {
  Deno.test(`becomeCommand() has ${what}, and none blocked`, async () => {
    await using box = await Sandbox.create();
    const answer = await ask(box, become("", [...ignored], SAY_SIGNALS), {
      under: ["env", "--default-signal"],
    });
    const masks = answer.split("\n").map((line) => {
      const bits = BigInt(`0x${line.split("\t")[1]}`);
      // 32 and 33 are glibc's own, and none of ours to set.
      return bits & ~(3n << 31n);
    });
    assertEquals(masks, [0n, mask]);
  });
}

Deno.test("becomeCommand() hands the pidfile's descriptor down, and no other of tend's", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    become(
      "readlink /proc/self/fd/* | grep -cE '/dev/zero|inotify|eventpoll'; " +
        "readlink /proc/self/fd/120",
      [],
      `
      import { dupFrom } from "${ROOT}/ffi/descriptor.ts";
      import { open } from "${ROOT}/ffi/file.ts";
      open("/dev/zero", 0);
      daemon.pidfileFd = dupFrom(open("/dev/full", 0), 120, true);`,
    ),
  );
  assertEquals(answer, "0\n/dev/full");
});

Deno.test("becomeCommand() dies of a fatal signal that is pending", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await runProgram(
    box,
    become(
      "echo not reached",
      [],
      `
      import { fatalSignalBlock } from "${ROOT}/lib/fatal_signal.ts";
      import { raise } from "${ROOT}/ffi/signal.ts";
      fatalSignalBlock();
      raise(15);`,
    ),
    { under: ["sh", "-c", '"$@"; exit $?', "sh"] },
  );
  assertEquals([code, stdout], [143, ""]);
});

Deno.test("becomeCommand() ends with 127 when the command has gone meanwhile", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await runProgram(
    box,
    become("", [], `command.path = toBytes("/no/such/sh");`),
  );
  assertEquals([code, stderr], [127, `tend: sh: ${MISSING}\n`]);
});

Deno.test("findCommand() looks into another PATH, and takes what is relative from another directory", async () => {
  await using made = await boxWith({ a: 0o755, b: 0o755 });
  const directory = toBytes(made.box.dir);
  const find = (name: string, path: string) =>
    fromBytes(
      findCommand([toBytes(name)], true, { path: toBytes(path), directory })
        .path,
    );
  assertEquals(find("./a/web", "/no"), made.box.path("./a/web"));
  assertEquals(find("web", "/no:b"), made.box.path("b/web"));
  assertEquals(find("/bin/sh", "/no"), "/bin/sh");
});

Deno.test("findCommand() looks in /bin and /usr/bin where it is told that there is no PATH", () => {
  const { path } = findCommand([toBytes("sh")], false, { path: undefined });
  assertEquals(fromBytes(path), "/bin/sh");
});
