import { close, ftruncate } from "../../ffi/descriptor.ts";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertThrows } from "@std/assert/throws";
import {
  chdir,
  checkExecutable,
  getcwd,
  isDirectory,
  isRegularFile,
  isSameFile,
  isSymbolicLink,
  lstatFile,
  mkdir,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  readFile,
  rename,
  statFile,
  umask,
  unlink,
} from "../../ffi/file.ts";
import { LibcError } from "../../ffi/libc.ts";
import { opened } from "../descriptors.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const MISSING = "/no/such/file";

/** Every function that takes a path. */
const TAKE_PATH: Record<string, (path: string) => unknown> = {
  open: (path) => open(path, O_RDONLY),
  readFile,
  statFile,
  unlink,
  chdir,
  checkExecutable,
  "rename from": (path) => rename(path, "/no/such/other"),
  mkdir: (path) => mkdir(path, 0o700),
};

for (const [name, call] of Object.entries(TAKE_PATH)) {
  Deno.test(`${name}() throws ENOENT when there is no such file`, () => {
    const error = assertThrows(() => call(MISSING), LibcError);
    assertEquals(error.code, "ENOENT");
  });

  Deno.test(`${name}() refuses a NUL in the path`, () => {
    assertThrows(() => call("/etc/passwd\0junk"), TypeError, "NUL byte");
  });
}

Deno.test("rename() leaves a file alone when the name has a NUL", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("a"), "");
  const moves = [["a\0junk", "b"], ["a", "b\0junk"]] as const;
  for (const [from, to] of moves) {
    assertThrows(() => rename(box.path(from), box.path(to)), TypeError);
  }
  assertEquals([...Deno.readDirSync(box.dir)].map(({ name }) => name), ["a"]);
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

Deno.test("unlink() removes a file whose name is not UTF-8", async () => {
  await using box = await Sandbox.create();
  const path = new TextEncoder().encode(box.path("?"));
  path[path.length - 1] = 0xff;
  close(open(path, O_WRONLY | O_CREAT, 0o600));
  unlink(path);
  assertEquals([...Deno.readDirSync(box.dir)], []);
});

for (
  const path of ["/etc/passwd", "/dev/null", "/etc", "/proc/self/exe", "/proc"]
) {
  Deno.test(`statFile() sees what Deno.stat() sees of ${path}`, () => {
    const { dev, ctime, ...ours } = statFile(path);
    const theirs = Deno.statSync(path);
    const { ino, mode, nlink, uid, gid, size } = theirs;
    // Deno 2.4 has whole seconds of it.
    const seconds = Math.floor(theirs.ctime!.getTime() / 1000);
    assertEquals(ctime / 1_000_000_000n, BigInt(seconds));
    assertEquals(
      { ...ours, dev: makedev(dev) },
      {
        dev: theirs.dev,
        ino: BigInt(ino!),
        mode: mode!,
        // Of /proc it is a number that changes with each process.
        nlink: path === "/proc" ? ours.nlink : nlink!,
        uid: uid!,
        gid: gid!,
        size: BigInt(size),
      },
    );
  });
}

Deno.test("statFile() sees sizes above 4 GiB", async () => {
  await using box = await Sandbox.create();
  using fd = opened(box.path("sparse"), O_RDWR | O_CREAT);
  ftruncate(fd.number, 2 ** 33 + 1);
  assertEquals(statFile(box.path("sparse")).size, 2n ** 33n + 1n);
});

Deno.test("isSameFile() is false for two devices with the same inode", () => {
  const stat = statFile("/etc/passwd");
  assertFalse(isSameFile(stat, { ...stat, dev: "1:99999" }));
});

Deno.test("isSymbolicLink() tells a link from what it leads to", () => {
  const link = "/proc/self/exe";
  assertEquals(
    [lstatFile(link), statFile(link)].map(isSymbolicLink),
    [true, false],
  );
});

Deno.test("isRegularFile() and isDirectory() tell what a file is", () => {
  const kinds = ["/etc/passwd", "/etc", "/dev/null"].map(statFile)
    .map((stat) => [isRegularFile(stat), isDirectory(stat)]);
  assertEquals(kinds, [[true, false], [false, true], [false, false]]);
});

Deno.test("mkdir() leaves out the bits of the umask, which umask() returns", async () => {
  await using box = await Sandbox.create();
  const before = umask(0o027);
  mkdir(box.path("made"), 0o777);
  assertEquals(umask(before), 0o027);
  assertEquals(statFile(box.path("made")).mode & 0o7777, 0o750);
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

/** The number that `struct stat` has for a device, as glibc makes it. */
function makedev(dev: string): number {
  const [major, minor] = dev.split(":").map(Number) as [number, number];
  return (major & 0xfff) * 0x100 + (minor & 0xff) + (minor >> 8) * 0x100000;
}
