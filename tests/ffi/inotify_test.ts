import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { close, readIfAny } from "../../ffi/descriptor.ts";
import { O_WRONLY } from "../../ffi/file.ts";
import {
  inotifyAddWrites,
  inotifyArrivals,
  inotifyChanges,
  inotifyCloses,
  inotifyOpens,
  inotifyRemove,
  inotifyWrites,
} from "../../ffi/inotify.ts";
import { LibcError } from "../../ffi/libc.ts";
import { waitReadable } from "../../ffi/wait.ts";
import { disposable, opened, openFdCount } from "../descriptors.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("inotifyChanges() can be read when a name has gone", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "");
  using watch = disposable(inotifyChanges(box.dir, box.path("file")));
  Deno.removeSync(box.path("file"));
  assertEquals(waitReadable([watch.number]), [watch.number]);
});

Deno.test("inotifyChanges() can be read when a file is renamed", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "");
  using watch = disposable(inotifyChanges(box.dir, box.path("file")));
  Deno.renameSync(box.path("file"), box.path("other"));
  assertEquals(waitReadable([watch.number]), [watch.number]);
});

for (
  const [what, change] of [
    ["written", (path: string) => Deno.writeTextFileSync(path, "2")],
    ["cut", (path: string) => Deno.truncateSync(path, 0)],
  ] as const
) {
  Deno.test(`inotifyChanges() can be read when the file is ${what}`, async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path("file"), "1");
    using watch = disposable(inotifyChanges(box.dir, box.path("file")));
    change(box.path("file"));
    assertEquals(waitReadable([watch.number]), [watch.number]);
  });
}

Deno.test("inotifyChanges() cannot be read when the file is read, or another written", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "1");
  using watch = disposable(inotifyChanges(box.dir, box.path("file")));
  Deno.readTextFileSync(box.path("file"));
  Deno.writeTextFileSync(box.path("other"), "1");
  assertEquals(waitReadable([watch.number], 0), undefined);
});

Deno.test("inotifyChanges() cannot be read before anything changes", async () => {
  await using box = await Sandbox.create();
  using watch = disposable(inotifyChanges(box.dir, box.path("file")));
  assertEquals(waitReadable([watch.number], 0), undefined);
});

Deno.test("inotifyChanges() leaves no descriptor when the directory is not there", () => {
  const before = openFdCount();
  const error = assertThrows(
    () => inotifyChanges("/no/such", "/no/such/file"),
    LibcError,
  );
  assertEquals([error.code, openFdCount()], ["ENOENT", before]);
});

Deno.test("inotifyChanges() refuses a NUL", () => {
  assertThrows(
    () => inotifyChanges("/tmp\0junk", "/tmp/file"),
    TypeError,
    "NUL byte",
  );
});

Deno.test("inotifyWrites() can be read when that file is written, and no other", async () => {
  await using box = await Sandbox.create();
  const [file, other] = [box.path("file"), box.path("other")];
  for (const path of [file, other]) Deno.writeTextFileSync(path, "");
  const fd = inotifyWrites(file);
  Deno.writeTextFileSync(other, "x");
  Deno.removeSync(other);
  assertEquals(waitReadable([fd], 0), undefined);
  Deno.writeTextFileSync(file, "x");
  assertEquals(waitReadable([fd], 0), [fd]);
  close(fd);
});

Deno.test("inotifyWrites() keeps no descriptor when there is no such file", async () => {
  await using box = await Sandbox.create();
  const before = openFdCount();
  assertThrows(() => inotifyWrites(box.path("none")), LibcError);
  assertEquals(openFdCount(), before);
});

/** Whether it is told of something; reads what. */
function isTold(fd: number): boolean {
  let isTold = false;
  while (readIfAny(fd, new Uint8Array(4096)) !== undefined) isTold = true;
  return isTold;
}

for (
  const [what, change, isTelling] of [
    ["is made", (box) => Deno.writeTextFileSync(box.path("dir/c"), ""), true],
    [
      "is renamed",
      (box) => Deno.renameSync(box.path("dir/a"), box.path("dir/c")),
      true,
    ],
    ["is removed", (box) => Deno.removeSync(box.path("dir/a")), false],
    [
      "is written",
      (box) => Deno.writeTextFileSync(box.path("dir/a"), "x"),
      false,
    ],
    [
      "'s directory is renamed",
      (box) => Deno.renameSync(box.path("dir"), box.path("old")),
      true,
    ],
    [
      "'s directory is removed",
      (box) => Deno.removeSync(box.path("dir"), { recursive: true }),
      true,
    ],
  ] satisfies [string, (box: Sandbox) => void, boolean][]
) {
  Deno.test(
    `inotifyArrivals() ${
      isTelling ? "can" : "cannot"
    } be read when a file ${what}`,
    async () => {
      await using box = await Sandbox.create();
      Deno.mkdirSync(box.path("dir"));
      Deno.writeTextFileSync(box.path("dir/a"), "");
      using watch = disposable(inotifyArrivals(box.path("dir")));
      assertEquals(isTold(watch.number), false);
      change(box);
      assertEquals(isTold(watch.number), isTelling);
    },
  );
}

Deno.test("inotifyAddWrites() adds a file, until inotifyRemove()", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  const write = () => Deno.writeTextFileSync(file, "x", { append: true });
  write();
  using watch = disposable(inotifyArrivals(box.dir));
  const added = inotifyAddWrites(watch.number, file);
  write();
  assertEquals(isTold(watch.number), true);
  inotifyRemove(watch.number, added);
  // It says that it has gone.
  isTold(watch.number);
  write();
  assertEquals(isTold(watch.number), false);
  // A second time it does nothing.
  inotifyRemove(watch.number, added);
});

Deno.test("inotifyCloses() can be read when one that could write closes the file", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  Deno.writeTextFileSync(file, "");
  using watch = disposable(inotifyCloses(file));
  const writer = opened(file, O_WRONLY);
  Deno.readTextFileSync(file);
  assertEquals(isTold(watch.number), false);
  writer[Symbol.dispose]();
  assertEquals(isTold(watch.number), true);
});

Deno.test("inotifyOpens() can be read when a file there is executed, not when one is renamed", async () => {
  await using box = await Sandbox.create();
  Deno.copyFileSync("/bin/true", box.path("program"));
  using watch = disposable(inotifyOpens(box.dir));
  Deno.renameSync(box.path("program"), box.path("other"));
  assertEquals(isTold(watch.number), false);
  await box.run([box.path("other")]);
  assertEquals(isTold(watch.number), true);
});
