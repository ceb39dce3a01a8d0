import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { fromBytes, toBytes } from "../../../ffi/c_string.ts";
import { Errno, LibcError } from "../../../ffi/libc.ts";
import { CommandError, findCommand } from "../../../lib/cli/find_command.ts";
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
