import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { mkdir } from "../../ffi/directory.ts";
import { isDirectory, statFile } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import { chdir, getcwd } from "../../ffi/working_directory.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("chdir() is where getcwd() and relative paths are then", async () => {
  await using box = await Sandbox.create();
  const before = getcwd();
  try {
    chdir(box.dir);
    assertEquals(
      new TextDecoder().decode(getcwd()),
      Deno.realPathSync(box.dir),
    );
    mkdir("made", 0o700);
  } finally {
    chdir(before);
  }
  assertEquals(isDirectory(statFile(box.path("made"))), true);
});

Deno.test("getcwd() throws ENOENT when the directory was removed", async () => {
  await using box = await Sandbox.create();
  const before = getcwd();
  try {
    mkdir(box.path("gone"), 0o700);
    chdir(box.path("gone"));
    Deno.removeSync(box.path("gone"));
    assertEquals(assertThrows(getcwd, LibcError).code, "ENOENT");
  } finally {
    chdir(before);
  }
});
