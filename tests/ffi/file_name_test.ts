import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { checkExecutable } from "../../ffi/access.ts";
import { close } from "../../ffi/descriptor.ts";
import { mkdir } from "../../ffi/directory.ts";
import {
  O_CREAT,
  O_RDONLY,
  O_WRONLY,
  open,
  readFile,
  rename,
  unlink,
} from "../../ffi/file.ts";
import { statFile } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import { chdir } from "../../ffi/working_directory.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const MISSING = "/no/such/file";

/** Every function that takes a path. */
const TAKE_PATH: Record<string, (path: string) => unknown> = {
  open: (path) => open(path, O_RDONLY),
  readFile,
  statFile,
  unlink,
  chdir,
  checkExecutable,
  "rename from": (path) => rename(path, "/no/such/other"),
  mkdir: (path) => mkdir(path, 0o700),
};

for (const [name, call] of Object.entries(TAKE_PATH)) {
  Deno.test(`${name}() throws ENOENT when there is no such file`, () => {
    const error = assertThrows(() => call(MISSING), LibcError);
    assertEquals(error.code, "ENOENT");
  });

  Deno.test(`${name}() refuses a NUL in the path`, () => {
    assertThrows(() => call("/etc/passwd\0junk"), TypeError, "NUL byte");
  });
}

Deno.test("rename() leaves a file alone when the name has a NUL", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("a"), "");
  const moves = [["a\0junk", "b"], ["a", "b\0junk"]] as const;
  for (const [from, to] of moves) {
    assertThrows(() => rename(box.path(from), box.path(to)), TypeError);
  }
  assertEquals([...Deno.readDirSync(box.dir)].map(({ name }) => name), ["a"]);
});

Deno.test("unlink() removes a file whose name is not UTF-8", async () => {
  await using box = await Sandbox.create();
  const path = new TextEncoder().encode(box.path("?"));
  path[path.length - 1] = 0xff;
  close(open(path, O_WRONLY | O_CREAT, 0o600));
  unlink(path);
  assertEquals([...Deno.readDirSync(box.dir)], []);
});
