import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { closesOnExec, read, writeFully } from "../../ffi/descriptor.ts";
import {
  O_APPEND,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  open,
  openIfThere,
  readFile,
  rename,
} from "../../ffi/file.ts";
import { LibcError } from "../../ffi/libc.ts";
import { opened, openFdCount } from "../descriptors.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("open() makes descriptors that are closed on exec", () => {
  using fd = opened("/dev/null", O_RDONLY);
  assertEquals(closesOnExec(fd.number), true);
});

Deno.test("open() follows no symbolic link with O_NOFOLLOW", async () => {
  await using box = await Sandbox.create();
  Deno.symlinkSync("/etc/passwd", box.path("link"));
  const error = assertThrows(
    () => open(box.path("link"), O_RDONLY | O_NOFOLLOW),
    LibcError,
  );
  assertEquals(error.code, "ELOOP");
});

Deno.test("open() appends with O_APPEND", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "a");
  using fd = opened(box.path("file"), O_WRONLY | O_APPEND);
  writeFully(fd.number, "b");
  assertEquals(box.read(box.path("file")), "ab");
});

Deno.test("open() does not wait for a FIFO's writer with O_NONBLOCK", async () => {
  await using box = await Sandbox.create();
  await box.run(["mkfifo", box.path("fifo")]);
  using fd = opened(box.path("fifo"), O_RDONLY | O_NONBLOCK);
  assertEquals(read(fd.number, new Uint8Array(1)), 0);
});

Deno.test("readFile() reads a file of /proc, which has no size", () => {
  const text = new TextDecoder().decode(readFile("/proc/self/maps"));
  assertEquals(text.endsWith("\n") && text.length > 4096, true);
});

for (const length of [0, 1, 4095, 4096, 4097, 100_000]) {
  Deno.test(`readFile() reads a file of ${length} bytes whole`, async () => {
    await using box = await Sandbox.create();
    const bytes = Uint8Array.from({ length }, (_, i) => i);
    Deno.writeFileSync(box.path("file"), bytes);
    assertEquals(readFile(box.path("file")), bytes);
  });
}

Deno.test("readFile() leaves no descriptor open when reading fails", () => {
  const before = openFdCount();
  const error = assertThrows(() => readFile("/"), LibcError);
  assertEquals([error.message, error.code, openFdCount()], [
    "read failed (Is a directory)",
    "EISDIR",
    before,
  ]);
});

Deno.test("openIfThere() is undefined without a file, and throws for others", async () => {
  await using box = await Sandbox.create();
  const before = openFdCount();
  assertEquals(openIfThere(box.path("none"), O_RDONLY), undefined);
  Deno.symlinkSync("loop", box.path("loop"));
  assertThrows(() => openIfThere(box.path("loop"), O_RDONLY), LibcError);
  assertEquals(openFdCount(), before);
});

Deno.test("rename() replaces a file of the new name", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("a"), "new");
  Deno.writeTextFileSync(box.path("b"), "old");
  rename(box.path("a"), box.path("b"));
  assertEquals([box.read(box.path("a")), box.read(box.path("b"))], [
    undefined,
    "new",
  ]);
});
