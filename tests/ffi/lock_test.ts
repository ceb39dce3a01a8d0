import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { O_CREAT, O_RDONLY, O_RDWR } from "../../ffi/file.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import { fcntlGetlk, fcntlSetlk, threadsKeepLocks } from "../../ffi/lock.ts";
import { opened } from "../descriptors.ts";
import { isAlive } from "../proc.ts";
import {
  holdLock,
  ROOT,
  startProgram,
  startUntilLine,
  STAY,
} from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("fcntlGetlk() is the process that holds the lock", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  const pid = await holdLock(box, file);
  using fd = opened(file, O_RDONLY);
  assertEquals(fcntlGetlk(fd.number), pid);
});

Deno.test("fcntlGetlk() is undefined when nobody has locked the file", async () => {
  await using box = await Sandbox.create();
  using fd = opened(box.path("file"), O_RDWR | O_CREAT);
  assertEquals(fcntlGetlk(fd.number), undefined);
});

Deno.test("fcntlGetlk() is undefined once the holder has been killed", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  const pid = await holdLock(box, file);
  using fd = opened(file, O_RDONLY);
  Deno.kill(pid, "SIGKILL");
  await box.until("the holder is gone", () => !isAlive(pid));
  await box.until("its lock is", () => fcntlGetlk(fd.number) === undefined);
});

Deno.test("fcntlGetlk() does not show the caller's own lock", async () => {
  await using box = await Sandbox.create();
  using fd = opened(box.path("file"), O_RDWR | O_CREAT);
  fcntlSetlk(fd.number);
  assertEquals(fcntlGetlk(fd.number), undefined);
});

Deno.test("fcntlGetlk() is -1 for a lock that belongs to no process", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  await startUntilLine(
    box,
    `
    const { fcntl } = Deno.dlopen("libc.so.6", {
      fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
    }).symbols;
    import { O_CREAT, O_RDWR, open } from "${ROOT}/ffi/file.ts";
    const F_OFD_SETLK = 37;
    const flock = new Uint8Array(32);
    flock[0] = 1; // F_WRLCK
    console.log(fcntl(open(Deno.args[0], O_RDWR | O_CREAT, 0o600), F_OFD_SETLK, flock));
    ${STAY}`,
    { args: [file] },
  );
  using fd = opened(file, O_RDONLY);
  assertEquals(fcntlGetlk(fd.number), -1);
});

Deno.test("fcntlGetlk() throws EBADF for a descriptor that is not open", () => {
  assertThrows(
    () => fcntlGetlk(-1),
    LibcError,
    "fcntl(F_GETLK) failed (Bad file descriptor)",
  );
});

Deno.test("fcntlSetlk() locks the whole file for writing, as /proc/locks has it", async () => {
  await using box = await Sandbox.create();
  using fd = opened(box.path("file"), O_RDWR | O_CREAT);
  fcntlSetlk(fd.number);
  const { ino } = Deno.statSync(box.path("file"));
  const line = Deno.readTextFileSync("/proc/locks").split("\n")
    .find((line) => line.includes(`${Deno.pid} `) && line.includes(`:${ino} `));
  assertMatch(line ?? "", /POSIX +ADVISORY +WRITE .* 0 EOF$/);
});

Deno.test("fcntlSetlk() throws EAGAIN when another process has the lock", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  await holdLock(box, file);
  using fd = opened(file, O_RDWR);
  const error = assertThrows(
    () => fcntlSetlk(fd.number),
    LibcError,
    "fcntl(F_SETLK) failed (",
  );
  assertEquals([Errno.EAGAIN, Errno.EACCES].includes(error.errno as 11), true);
});

Deno.test("fcntlSetlk() throws EBADF for a file that is not open for writing", async () => {
  await using box = await Sandbox.create();
  using fd = opened(box.path("file"), O_RDONLY | O_CREAT);
  const error = assertThrows(() => fcntlSetlk(fd.number), LibcError);
  assertEquals(error.code, "EBADF");
});

Deno.test("fcntlSetlk() succeeds again for whoever has the lock", async () => {
  await using box = await Sandbox.create();
  using fd = opened(box.path("file"), O_RDWR | O_CREAT);
  fcntlSetlk(fd.number);
  fcntlSetlk(fd.number);
});

for (
  const [release, keeps] of [
    ["4.18.0-553.el8_10.x86_64", false],
    ["5.10.0-32-amd64", false],
    ["5.11.0-generic", true],
    ["5.15.153.1-microsoft-standard-WSL2", true],
    ["6.1", true],
    ["10.0-rc1", true],
  ] as const
) {
  Deno.test(`threadsKeepLocks() is ${keeps} for ${release}`, () => {
    assertEquals(threadsKeepLocks(release), keeps);
  });
}

Deno.test("threadsKeepLocks() says of this kernel what it does", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  Deno.writeTextFileSync(file, "");
  const running = startProgram(
    box,
    `
    import { setCloseOnExec } from "${ROOT}/ffi/descriptor.ts";
    import { execvp } from "${ROOT}/ffi/exec.ts";
    import { O_RDWR, open } from "${ROOT}/ffi/file.ts";
    import { fcntlSetlk } from "${ROOT}/ffi/lock.ts";
    import { threadCount } from "${ROOT}/ffi/process.ts";
    const fd = open(${JSON.stringify(file)}, O_RDWR);
    setCloseOnExec(fd, false);
    fcntlSetlk(fd);
    execvp("sh", ["sh", "-c", "echo $1; exec sleep 600", "sh", String(threadCount() > 1)]);`,
  );
  await box.until("it is another program", () => running.stdout() !== "");
  assertEquals(running.stdout(), "true\n");
  using fd = opened(file, O_RDWR);
  const holder = fcntlGetlk(fd.number);
  assertEquals(holder, threadsKeepLocks() ? running.pid : undefined);
});
