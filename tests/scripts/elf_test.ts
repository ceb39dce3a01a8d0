import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { elfLength } from "../../scripts/elf.ts";

Deno.test("elfLength() finds the end of an image and not what follows it", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.copyFile("/proc/self/exe", path);
    const length = await elfLength(path);
    assert(length !== undefined && length <= (await Deno.stat(path)).size);
    await Deno.truncate(path, length);
    await Deno.writeTextFile(path, "a program's data", { append: true });

    assertEquals(await elfLength(path), length);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("elfLength() is undefined for what is no ELF image", async () => {
  assertEquals(await elfLength(`${import.meta.filename}`), undefined);
  assertEquals(await elfLength("/dev/null"), undefined);
});
