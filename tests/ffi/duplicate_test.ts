import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { close, closesOnExec, O_CLOEXEC } from "../../ffi/descriptor.ts";
import { dup3, dupFrom } from "../../ffi/duplicate.ts";
import { O_RDONLY } from "../../ffi/file.ts";
import { fstat, isSameFile, statFile } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import { opened } from "../descriptors.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("makeRoomFor() enlarges the kernel's table, and leaves no descriptor", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { closesOnExec } from "${ROOT}/ffi/descriptor.ts";
    import { makeRoomFor } from "${ROOT}/ffi/duplicate.ts";
    const room = () =>
      Number(/^FDSize:\\s*(.*)$/m.exec(Deno.readTextFileSync("/proc/self/status"))[1]);
    const before = room();
    makeRoomFor(500);
    console.log(before < 500, room() > 500, closesOnExec(500));`,
  );
  assertEquals(answer, "true true undefined");
});

Deno.test("makeRoomFor() does nothing above the limit of open files", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { makeRoomFor } from "${ROOT}/ffi/duplicate.ts";
    makeRoomFor(100);
    console.log("went on");`,
    { under: ["prlimit", "--nofile=100"] },
  );
  assertEquals(answer, "went on");
});

for (const closeOnExec of [true, false]) {
  Deno.test(`dupFrom() takes no number below the given when close-on-exec is ${closeOnExec}`, () => {
    using fd = opened("/dev/null", O_RDONLY);
    const high = dupFrom(fd.number, 120, closeOnExec);
    assertEquals([high >= 120, closesOnExec(high)], [true, closeOnExec]);
    assertEquals(isSameFile(fstat(high), fstat(fd.number)), true);
    close(high);
  });
}

Deno.test("dupFrom() throws EINVAL when the number is above the limit", () => {
  const error = assertThrows(() => dupFrom(0, 0x7fff_0000, true), LibcError);
  assertEquals(error.message, "fcntl(F_DUPFD) failed (Invalid argument)");
});

for (const [flags, closed] of [[0, false], [O_CLOEXEC, true]] as const) {
  Deno.test(`dup3() replaces a descriptor when its flags are ${flags}`, () => {
    using from = opened("/dev/null", O_RDONLY);
    using onto = opened("/dev/zero", O_RDONLY);
    dup3(from.number, onto.number, flags);
    const same = isSameFile(fstat(onto.number), statFile("/dev/null"));
    assertEquals([same, closesOnExec(onto.number)], [true, closed]);
  });
}
