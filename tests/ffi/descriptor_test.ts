import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  close,
  closesOnExec,
  fchown,
  ftruncate,
  pipe2,
  read,
  readAt,
  readBeginning,
  setBlocking,
  setCloseOnExec,
  setNonBlocking,
  writeFully,
} from "../../ffi/descriptor.ts";
import { dup3, dupFrom } from "../../ffi/duplicate.ts";
import {
  O_APPEND,
  O_CREAT,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
} from "../../ffi/file.ts";
import { fstat } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import { opened } from "../descriptors.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** Every function that takes a descriptor. */
const TAKE_FD: Record<string, (fd: number) => unknown> = {
  close,
  read: (fd) => read(fd, new Uint8Array(1)),
  writeFully: (fd) => writeFully(fd, "x"),
  dupFrom: (fd) => dupFrom(fd, 3, true),
  dup3: (fd) => dup3(fd, 250, 0),
  setCloseOnExec: (fd) => setCloseOnExec(fd, true),
  ftruncate: (fd) => ftruncate(fd, 0),
  readAt: (fd) => readAt(fd, new Uint8Array(1), 0n),
  setBlocking,
  setNonBlocking,
  fchown: (fd) => fchown(fd, { uid: 0, gid: 0 }),
  fstat,
};

for (const [name, call] of Object.entries(TAKE_FD)) {
  Deno.test(`${name}() throws EBADF for a descriptor that is not open`, () => {
    const error = assertThrows(() => call(0x7fff_0000), LibcError);
    assertEquals(error.code, "EBADF");
  });
}

Deno.test("closesOnExec() is undefined for a number that is not open", () => {
  assertEquals(closesOnExec(0x7fff_0000), undefined);
});

Deno.test("read() throws EAGAIN when a non-blocking descriptor has nothing", async () => {
  await using box = await Sandbox.create();
  await box.run(["mkfifo", box.path("fifo")]);
  using reader = opened(box.path("fifo"), O_RDONLY | O_NONBLOCK);
  using _writer = opened(box.path("fifo"), O_WRONLY);
  const error = assertThrows(
    () => read(reader.number, new Uint8Array(1)),
    LibcError,
  );
  assertEquals(error.code, "EAGAIN");
});

Deno.test("writeFully() writes what a pipe takes in many parts", async () => {
  await using box = await Sandbox.create();
  // A pipe holds 64 KiB: a non-blocking write of more is cut short.
  const length = await ask(
    box,
    `
    import { writeFully } from "${ROOT}/ffi/descriptor.ts";
    writeFully(1, "x".repeat(1e6));`,
    { under: ["sh", "-c", '"$@" | wc -c', "sh"] },
  );
  assertEquals(Number(length), 1e6);
});

Deno.test("writeFully() writes bytes as they are", async () => {
  await using box = await Sandbox.create();
  using fd = opened(box.path("file"), O_WRONLY | O_CREAT);
  writeFully(fd.number, Uint8Array.of(0, 0xff));
  assertEquals(Deno.readFileSync(box.path("file")), Uint8Array.of(0, 0xff));
});

Deno.test("setCloseOnExec() sets it and takes it away", () => {
  using fd = opened("/dev/null", O_RDONLY);
  const seen = [false, true].map((on) => {
    setCloseOnExec(fd.number, on);
    return closesOnExec(fd.number);
  });
  assertEquals(seen, [false, true]);
});

Deno.test("pipe2() makes two ends that are closed on exec", () => {
  const { readFd, writeFd } = pipe2();
  writeFully(writeFd, "x");
  const into = new Uint8Array(2);
  assertEquals([read(readFd, into), into[0]], [1, 0x78]);
  assertEquals([closesOnExec(readFd), closesOnExec(writeFd)], [true, true]);
  close(writeFd);
  assertEquals(read(readFd, into), 0);
  close(readFd);
});

Deno.test("readAt() reads a part of a file, and leaves the descriptor where it stands", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "abcdef");
  using fd = opened(box.path("file"), O_RDONLY);
  const bytes = new Uint8Array(3);
  assertEquals([readAt(fd.number, bytes, 4n), bytes[0]], [2, 0x65]);
  assertEquals(readAt(fd.number, bytes, 7n), 0);
  assertEquals([readBeginning(fd.number, bytes), bytes[0]], [3, 0x61]);
});

Deno.test("setBlocking() takes back what setNonBlocking() did, and nothing else", async () => {
  await using box = await Sandbox.create();
  const flags = O_WRONLY | O_CREAT | O_APPEND;
  using fd = opened(box.path("file"), flags);
  const flagsNow = () =>
    /^flags:\t(\d+)$/m.exec(
      Deno.readTextFileSync(`/proc/self/fdinfo/${fd.number}`),
    )![1];
  const before = flagsNow();
  setNonBlocking(fd.number);
  assertEquals(flagsNow() === before, false);
  setBlocking(fd.number);
  assertEquals(flagsNow(), before);
});

Deno.test({
  name: "fchown() gives away a file, and both ends of a pipe",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using box = await Sandbox.create();
    using fd = opened(box.path("file"), O_WRONLY | O_CREAT);
    fchown(fd.number, { uid: 65534, gid: 1 });
    const { uid, gid } = Deno.statSync(box.path("file"));
    assertEquals([uid, gid], [65534, 1]);
    const { readFd, writeFd } = pipe2();
    fchown(writeFd, { uid: 65534, gid: 1 });
    assertEquals(fstat(readFd).uid, 65534);
    close(readFd);
    close(writeFd);
  },
});
