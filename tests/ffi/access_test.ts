import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { checkExecutable, checkMayMakeFiles } from "../../ffi/access.ts";
import { LibcError } from "../../ffi/libc.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("checkMayMakeFiles() throws for what is no directory, and where it may not", async () => {
  await using box = await Sandbox.create();
  checkMayMakeFiles(box.dir);
  const codeOf = (path: string) =>
    assertThrows(() => checkMayMakeFiles(path), LibcError).code;
  assertEquals(codeOf(box.path("none")), "ENOENT");
  Deno.writeTextFileSync(box.path("file"), "");
  assertEquals(codeOf(`${box.path("file")}/`), "ENOTDIR");
  if (Deno.uid() !== 0) assertEquals(codeOf("/etc"), "EACCES");
});

Deno.test("checkExecutable() throws EACCES when nobody may execute the file", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "", { mode: 0o644 });
  const error = assertThrows(
    () => checkExecutable(box.path("file")),
    LibcError,
  );
  assertEquals(error.code, "EACCES");
  Deno.chmodSync(box.path("file"), 0o755);
  checkExecutable(box.path("file"));
});
