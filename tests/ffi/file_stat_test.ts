import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { close, ftruncate } from "../../ffi/descriptor.ts";
import { O_CREAT, O_RDONLY, O_RDWR, open } from "../../ffi/file.ts";
import {
  fstat,
  isDirectory,
  isRegular,
  isRegularFile,
  isSameFile,
  isSymbolicLink,
  lstatFile,
  statFile,
} from "../../ffi/file_stat.ts";
import { opened } from "../descriptors.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

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

Deno.test("isRegular() knows a file from a directory", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "");
  const fds = [box.path("file"), box.dir].map((path) => open(path, O_RDONLY));
  assertEquals(fds.map(isRegular), [true, false]);
  fds.forEach(close);
});

for (
  const path of ["/etc/passwd", "/dev/null", "/etc", "/proc/self/exe", "/proc"]
) {
  Deno.test(`statFile() sees what Deno.stat() sees of ${path}`, () => {
    const { dev, ctime, mtime, ...ours } = statFile(path);
    const theirs = Deno.statSync(path);
    const { ino, mode, nlink, uid, gid, size } = theirs;
    // Deno 2.4 has whole seconds of it.
    const seconds = Math.floor(theirs.ctime!.getTime() / 1000);
    assertEquals(ctime / 1_000_000_000n, BigInt(seconds));
    assertEquals(mtime / 1_000_000n, BigInt(theirs.mtime!.getTime()));
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

/** The number that `struct stat` has for a device, as glibc makes it. */
function makedev(dev: string): number {
  const [major, minor] = dev.split(":").map(Number) as [number, number];
  return (major & 0xfff) * 0x100 + (minor & 0xff) + (minor >> 8) * 0x100000;
}
