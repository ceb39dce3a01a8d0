import { assertEquals } from "@std/assert/equals";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import {
  bind,
  checked,
  clearErrno,
  Errno,
  errno,
  LibcError,
  strerror,
  uninterrupted,
} from "../../ffi/libc.ts";
import "../open_libc.ts";
import { ask, ROOT, runProgram } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

const libc = bind({
  close: { parameters: ["i32"], result: "i32" },
  tend_has_no_such_function: { parameters: [], result: "void" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i64" },
  __errno_location: { parameters: [], result: "pointer" },
});

Deno.test("LibcError says in its message which call failed, and why", () => {
  const error = new LibcError("fcntl(F_SETLK)", Errno.EACCES);
  assertEquals(error.message, "fcntl(F_SETLK) failed (Permission denied)");
  assertEquals(error.call, "fcntl(F_SETLK)");
  assertEquals(error.errno, 13);
  assertEquals(error.reason, "Permission denied");
  assertEquals(error.name, "LibcError");
  assertInstanceOf(error, Error);
});

Deno.test("LibcError.code is the name of each errno that has one, as Deno's is", () => {
  for (const [name, number] of Object.entries(Errno)) {
    assertEquals(new LibcError("open", number).code, name);
  }
});

Deno.test("LibcError.code is the number of an errno without a name", () =>
  assertEquals(new LibcError("open", 4095).code, "4095"));

Deno.test("Errno has the numbers of this machine's kernel headers", () => {
  // libc itself is the header at hand: it has words for each number.
  const words = {
    EPERM: "Operation not permitted",
    ENOENT: "No such file or directory",
    ESRCH: "No such process",
    EINTR: "Interrupted system call",
    EIO: "Input/output error",
    ENXIO: "No such device or address",
    E2BIG: "Argument list too long",
    ENOEXEC: "Exec format error",
    EBADF: "Bad file descriptor",
    ECHILD: "No child processes",
    EAGAIN: "Resource temporarily unavailable",
    ENOMEM: "Cannot allocate memory",
    EACCES: "Permission denied",
    EEXIST: "File exists",
    ENOTDIR: "Not a directory",
    EISDIR: "Is a directory",
    EINVAL: "Invalid argument",
    ENFILE: "Too many open files in system",
    EMFILE: "Too many open files",
    EFBIG: "File too large",
    ENOSPC: "No space left on device",
    EROFS: "Read-only file system",
    EPIPE: "Broken pipe",
    ERANGE: "Numerical result out of range",
    ENAMETOOLONG: "File name too long",
    ENOSYS: "Function not implemented",
    ELOOP: "Too many levels of symbolic links",
    EREMOTE: "Object is remote",
    EAFNOSUPPORT: "Address family not supported by protocol",
    EALREADY: "Operation already in progress",
    EDQUOT: "Disk quota exceeded",
    EINPROGRESS: "Operation now in progress",
  } satisfies Record<keyof typeof Errno, string>;
  const said = Object.entries(Errno).map(([name, n]) => [name, strerror(n)]);
  assertEquals(Object.fromEntries(said), words);
});

Deno.test("strerror() has words for a number that is no errno", () =>
  assertEquals(strerror(4095), "Unknown error 4095"));

Deno.test("checked() throws the errno of a call that returned -1", () => {
  const error = assertThrows(
    () => checked("close", libc.close(-1)),
    LibcError,
    "close failed (Bad file descriptor)",
  );
  assertEquals(error.errno, Errno.EBADF);
});

Deno.test("checked() takes a 64-bit -1 for a failure too", () => {
  assertThrows(
    () => checked("write", libc.write(-1, null, 0n)),
    LibcError,
    "write failed (Bad file descriptor)",
  );
});

Deno.test("checked() returns the result of a call that went well", () => {
  assertEquals(checked("read", 7n), 7);
  assertEquals(checked("getpriority", -2), -2);
});

Deno.test("uninterrupted() calls again for as long as a signal interrupts", () => {
  let calls = 0;
  const result = uninterrupted("read", () => {
    if (++calls === 3) return 5n;
    setErrno(Errno.EINTR);
    return -1n;
  });
  assertEquals({ result, calls }, { result: 5, calls: 3 });
});

Deno.test("uninterrupted() throws any other errno at once", () => {
  let calls = 0;
  const call = () => {
    calls++;
    return libc.close(-1);
  };
  assertThrows(() => uninterrupted("close", call), LibcError, "close failed");
  assertEquals(calls, 1);
});

Deno.test("bind() says which function a libc lacks, when it is called", () => {
  assertThrows(
    () => libc.tend_has_no_such_function(),
    Error,
    "tend needs glibc, and this libc has no tend_has_no_such_function",
  );
});

Deno.test("errno() is right at the very first failure of a process", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { statFile } from "${ROOT}/ffi/file_stat.ts";
    try { statFile("/no/such/file"); } catch (error) { console.log(error.code); }
    `,
  );
  assertEquals(answer, "ENOENT");
});

Deno.test("errno() is right however much garbage is collected meanwhile", () => {
  const wrong: number[] = [];
  for (let i = 0; i < 20_000; i++) {
    const rubbish = new Array(100).fill(i);
    const result = libc.close(-1 - rubbish[0]!);
    const why = errno();
    if (result !== -1 || why !== Errno.EBADF) wrong.push(why);
  }
  assertEquals(wrong, []);
});

Deno.test("clearErrno() leaves errno 0 until a call fails", () => {
  setErrno(Errno.EBADF);
  clearErrno();
  assertEquals(errno(), 0);
});

Deno.test("bind() asks for --allow-ffi, and for nothing else", async () => {
  await using box = await Sandbox.create();
  const source = `
    import { getpid } from "${ROOT}/ffi/process.ts";
    console.log(getpid() === Deno.pid);`;
  assertEquals(await ask(box, source, { deno: ["--allow-ffi"] }), "true");

  const { code, stderr } = await runProgram(box, source, { deno: [] });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "NotCapable: Requires ffi access");
});

function setErrno(value: number): void {
  const address = libc.__errno_location()!;
  const bytes = Deno.UnsafePointerView.getArrayBuffer(address, 4);
  new Int32Array(bytes)[0] = value;
}
