import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import { close } from "../../ffi/descriptor.ts";
import { mkdir, readDirectory } from "../../ffi/directory.ts";
import { O_CREAT, O_WRONLY, open, umask } from "../../ffi/file.ts";
import { statFile } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import { openFdCount } from "../descriptors.ts";
import { ROOT, runProgram } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("mkdir() leaves out the bits of the umask, which umask() returns", async () => {
  await using box = await Sandbox.create();
  const before = umask(0o027);
  mkdir(box.path("made"), 0o777);
  assertEquals(umask(before), 0o027);
  assertEquals(statFile(box.path("made")).mode & 0o7777, 0o750);
});

Deno.test("readDirectory() lists all names but . and ..", async () => {
  await using box = await Sandbox.create();
  const names = ["...", ".hidden", "é", ...Array(200).keys()].map(String);
  for (const name of names) Deno.writeTextFileSync(box.path(name), "");
  assertEquals(readDirectory(box.dir).sort(), names.sort());
});

Deno.test("readDirectory() is empty for an empty directory", async () => {
  await using box = await Sandbox.create();
  assertEquals(readDirectory(box.dir), []);
});

Deno.test("readDirectory() puts U+FFFD for what is not UTF-8 in a name", async () => {
  await using box = await Sandbox.create();
  const path = new TextEncoder().encode(box.path("a?"));
  path[path.length - 1] = 0xff;
  close(open(path, O_WRONLY | O_CREAT, 0o600));
  assertEquals(readDirectory(box.dir), ["a\ufffd"]);
});

Deno.test("readDirectory() throws ENOENT when there is no such directory", () => {
  assertThrows(
    () => readDirectory("/no/such/directory"),
    LibcError,
    "opendir failed (No such file or directory)",
  );
});

Deno.test("readDirectory() throws ENOTDIR when it is a file", () => {
  assertThrows(
    () => readDirectory("/etc/passwd"),
    LibcError,
    "opendir failed (Not a directory)",
  );
});

Deno.test("readDirectory() throws what reading fails with, and lists no part", async () => {
  await using box = await Sandbox.create();
  const said = await runProgram(
    box,
    `import { readDirectory } from "${ROOT}/ffi/directory.ts";
    console.log(readDirectory(Deno.args[0]));`,
    {
      args: [box.dir],
      under: ["strace", "-f", "-qq", "-o", box.path("trace")].concat(
        ["-P", box.dir, "-e", "trace=getdents64"],
        ["-e", "inject=getdents64:error=EIO"],
      ),
    },
  );
  assertStringIncludes(said.stderr, "readdir failed (Input/output error)");
  assertEquals([said.code, said.stdout], [1, ""]);
});

Deno.test("readDirectory() refuses a NUL", () => {
  assertThrows(() => readDirectory("/proc\0junk"), TypeError, "NUL byte");
});

Deno.test("readDirectory() leaves no descriptor open", () => {
  readDirectory("/proc/self");
  const before = openFdCount();
  readDirectory("/proc/self");
  assertEquals(openFdCount(), before);
});
