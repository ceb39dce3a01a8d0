import {
  close,
  closesOnExec,
  dup3,
  dupFrom,
  fchown,
  ftruncate,
  O_CLOEXEC,
  pipe2,
  read,
  readAt,
  readBeginning,
  setBlocking,
  setCloseOnExec,
  setNonBlocking,
  writeFully,
} from "../../ffi/descriptor.ts";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertThrows } from "@std/assert/throws";
import {
  checkMayMakeFiles,
  fstat,
  isRegular,
  isSameFile,
  O_APPEND,
  O_CREAT,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  openIfThere,
  readFile,
  statFile,
} from "../../ffi/file.ts";
import { LibcError } from "../../ffi/libc.ts";
import { opened, openFdCount } from "../descriptors.ts";
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

Deno.test("makeRoomFor() enlarges the kernel's table, and leaves no descriptor", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { closesOnExec, makeRoomFor } from "${ROOT}/ffi/descriptor.ts";
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
    import { makeRoomFor } from "${ROOT}/ffi/descriptor.ts";
    makeRoomFor(100);
    console.log("went on");`,
    { under: ["prlimit", "--nofile=100"] },
  );
  assertEquals(answer, "went on");
});

Deno.test("fstat() sees the file of a descriptor, whatever has its name", async () => {
  await using box = await Sandbox.create();
  const path = box.path("file");
  using fd = opened(path, O_RDWR | O_CREAT);
  assertEquals(isSameFile(fstat(fd.number), statFile(path)), true);
  Deno.writeTextFileSync(box.path("other"), "");
  Deno.renameSync(box.path("other"), path);
  assertFalse(isSameFile(fstat(fd.number), statFile(path)));
  assertEquals(fstat(fd.number).nlink, 0);
});

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

Deno.test("openIfThere() is undefined without a file, and throws for others", async () => {
  await using box = await Sandbox.create();
  const before = openFdCount();
  assertEquals(openIfThere(box.path("none"), O_RDONLY), undefined);
  Deno.symlinkSync("loop", box.path("loop"));
  assertThrows(() => openIfThere(box.path("loop"), O_RDONLY), LibcError);
  assertEquals(openFdCount(), before);
});

Deno.test("isRegular() knows a file from a directory", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "");
  const fds = [box.path("file"), box.dir].map((path) => open(path, O_RDONLY));
  assertEquals(fds.map(isRegular), [true, false]);
  fds.forEach(close);
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
