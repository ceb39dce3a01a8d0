import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { close, closesOnExec } from "../../ffi/descriptor.ts";
import { readFile } from "../../ffi/file.ts";
import { LibcError } from "../../ffi/libc.ts";
import { fexecve, memfdProgram } from "../../ffi/memfd.ts";
import { run } from "../../scripts/command.ts";
import { Child } from "../children.ts";
import { disposable } from "../descriptors.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const SHELL = Deno.readFileSync("/bin/sh");

Deno.test("memfdProgram() makes a program that runs", () => {
  using fd = disposable(memfdProgram("program", SHELL));
  using child = new Child(
    `/proc/${Deno.pid}/fd/${fd.number}`,
    ...["-c", "exit 7"],
  );
  assertEquals(child.wait(), { kind: "exited", code: 7 });
});

Deno.test("memfdProgram() makes a file that has its bytes and its name", () => {
  using fd = disposable(memfdProgram("a name", SHELL));
  const path = `/proc/self/fd/${fd.number}`;
  assertEquals(Deno.readLinkSync(path), "/memfd:a name (deleted)");
  assertEquals(readFile(path), SHELL);
});

Deno.test("memfdProgram() makes a descriptor that is closed on exec", () => {
  using fd = disposable(memfdProgram("program", SHELL));
  assertEquals(closesOnExec(fd.number), true);
});

Deno.test("memfdProgram() throws EINVAL for a name that is too long", () => {
  const { code, message } = assertThrows(
    () => memfdProgram("x".repeat(250), SHELL),
    LibcError,
  );
  assertEquals(code, "EINVAL");
  assertEquals(message, "memfd_create failed (Invalid argument)");
});

Deno.test("memfdProgram() throws a TypeError for a name that holds a NUL", () => {
  assertThrows(() => memfdProgram("a\0b", SHELL), TypeError);
});

/** A program's beginning, which says how a call fails. */
const TRY = `
  import { pipe2 } from "${ROOT}/ffi/descriptor.ts";
  import { readLink } from "${ROOT}/ffi/file.ts";
  import { setrlimit } from "${ROOT}/ffi/limit.ts";
  import { LibcError } from "${ROOT}/ffi/libc.ts";
  import { fexecve, memfdProgram } from "${ROOT}/ffi/memfd.ts";
  const shell = Deno.readFileSync("/bin/sh");
  function fails(call) {
    try {
      call();
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      console.log(error.call, error.code);
    }
  }
`;

Deno.test("memfdProgram() throws EMFILE when there are too many descriptors", async () => {
  await using box = await Sandbox.create();
  const source = `${TRY}
    fails(() => { for (;;) pipe2(); });
    fails(() => { for (;;) memfdProgram("program", shell); });`;
  const under = ["prlimit", "--nofile=100"];
  assertEquals(
    await ask(box, source, { under }),
    "pipe2 EMFILE\nmemfd_create EMFILE",
  );
});

Deno.test("memfdProgram() leaves no descriptor when there is no room for the program", async () => {
  await using box = await Sandbox.create();
  // The size of files; what this program writes has to fit.
  const source = `${TRY}
    const RLIMIT_FSIZE = 1;
    setrlimit(RLIMIT_FSIZE, { soft: 4096n, hard: 4096n });
    fails(() => memfdProgram("program", shell));
    for (let fd = 0; fd < 100; fd++) {
      const path = "/proc/self/fd/" + fd;
      try {
        console.log(readLink(path));
      } catch (error) {
        if (!(error instanceof LibcError)) throw error;
      }
    }`;
  const under = ["env", "--ignore-signal=XFSZ"];
  const [failure, ...open] = (await ask(box, source, { under })).split("\n");
  assertMatch(failure!, / EFBIG$/);
  assertEquals(open.filter((file) => file.startsWith("/memfd:")), []);
});

Deno.test("memfdProgram() makes a program on a Linux that does not know MFD_EXEC", async () => {
  await using box = await Sandbox.create();
  const source = `${TRY}
    fexecve(memfdProgram("program", shell), ["sh", "-c", "echo runs"]);`;
  const inject = "inject=memfd_create:error=EINVAL:when=1";
  const trace = box.path("trace");
  const under = ["strace", "-f", "-qq", "-o", trace, "-e", inject];
  assertEquals(await ask(box, source, { under }), "runs");
  // Not every strace knows the flag by its name either.
  const calls = box.read(trace)!.matchAll(/memfd_create\("program", ([^ )]+)/g);
  assertEquals(
    Array.from(calls, ([, flags]) => flags!.replace("MFD_EXEC", "0x10")),
    ["MFD_CLOEXEC|0x10", "MFD_CLOEXEC"],
  );
});

/** In PID namespaces of its own. */
const FORBID = ["unshare", "-pf", "--mount-proc", "sh", "-c"]
  .concat('echo 2 >/proc/sys/vm/memfd_noexec && exec "$@"', "sh");

Deno.test({
  name: "memfdProgram() throws EACCES where such programs are forbidden",
  // By root alone, and not before Linux 6.3.
  ignore: !(await run(FORBID[0]!, [...FORBID.slice(1), "true"])).success,
  fn: async () => {
    await using box = await Sandbox.create();
    const source = `${TRY} fails(() => memfdProgram("program", shell));`;
    const answer = await ask(box, source, { under: FORBID });
    assertEquals(answer, "memfd_create EACCES");
  },
});

Deno.test("fexecve() becomes a program with these arguments and our environment as it is now", async () => {
  await using box = await Sandbox.create();
  const source = `${TRY}
    Deno.env.set("TEND_TEST_MEMFD", "a value");
    const script = 'echo "$$ $0 $1 $TEND_TEST_MEMFD"';
    console.log(Deno.pid);
    fexecve(memfdProgram("program", shell), ["sh", "-c", script, "a b", ""]);`;
  const [pid, said] = (await ask(box, source)).split("\n");
  assertEquals(said, `${pid} a b  a value`);
});

Deno.test("fexecve() hands over arguments that are no UTF-8", async () => {
  await using box = await Sandbox.create();
  const source = `${TRY}
    const script = "od -An -v -tx1 /proc/$$/cmdline; :";
    const fd = memfdProgram("program", shell);
    fexecve(fd, ["s", "-c", script, Uint8Array.of(255, 10)]);`;
  assertMatch(await ask(box, source), / 00 ff 0a 00$/);
});

Deno.test("fexecve() throws ENOEXEC for what is no program, and the process goes on", () => {
  using fd = disposable(memfdProgram("program", new Uint8Array(100)));
  const { code, message } = assertThrows(
    () => fexecve(fd.number, ["program"]),
    LibcError,
  );
  assertEquals(code, "ENOEXEC");
  assertEquals(message, "fexecve failed (Exec format error)");
});

Deno.test("fexecve() throws EBADF for a descriptor that is not open", () => {
  const fd = memfdProgram("program", SHELL);
  close(fd);
  const { code } = assertThrows(() => fexecve(fd, ["program"]), LibcError);
  assertEquals(code, "EBADF");
});

Deno.test("fexecve() throws a TypeError for an argument that holds a NUL", () => {
  using fd = disposable(memfdProgram("program", SHELL));
  assertThrows(() => fexecve(fd.number, ["sh", "-c", "a\0b"]), TypeError);
});

Deno.test("memfdProgram() takes no memory for pages of zeros", () => {
  const image = new Uint8Array(1 << 20);
  image.set(SHELL.subarray(0, 100));
  using fd = disposable(memfdProgram("program", image));
  assertEquals(Deno.statSync(`/proc/self/fd/${fd.number}`).blocks, 8);
});
