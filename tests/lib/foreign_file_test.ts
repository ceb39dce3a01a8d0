import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { close, read } from "../../ffi/descriptor.ts";
import { fromBytes } from "../../ffi/c_string.ts";
import { O_APPEND, O_CREAT, O_RDONLY, O_WRONLY } from "../../ffi/file.ts";
import { lstatFile } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import {
  ForeignFileError,
  foreignness,
  openOwnWay,
} from "../../lib/foreign_file.ts";
import { pidfileState } from "../../lib/pidfile_state.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { setLogFile } from "../../lib/vlog_sinks.ts";
import { openFdCount } from "../descriptors.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const NOBODY = 65534;
/** Nobody else can give a file away. */
const ignore = Deno.uid() !== 0;

/** A sandbox with a directory where anybody can put files, and one with none. */
async function shared(): Promise<{ box: Sandbox; dir: string }> {
  const box = await Sandbox.create();
  const dir = box.path("shared");
  Deno.mkdirSync(dir);
  Deno.chmodSync(dir, 0o1777);
  Deno.writeTextFileSync(box.path("precious"), "precious\n");
  return { box, dir };
}

async function giveAway(path: string): Promise<void> {
  await new Deno.Command("chown", { args: ["-h", `${NOBODY}`, path] }).output();
}

function textOf(fd: number): string {
  const bytes = new Uint8Array(99);
  const text = fromBytes(bytes.subarray(0, read(fd, bytes)));
  close(fd);
  return text;
}

for (const target of ["../precious", "absolute"]) {
  Deno.test(`openOwnWay() follows our own link to ${target}`, async () => {
    const { box, dir } = await shared();
    await using _box = box;
    const path = `${dir}/link`;
    const to = target === "absolute" ? box.path("precious") : target;
    Deno.symlinkSync(to, path);
    assertEquals(textOf(openOwnWay(path, O_RDONLY)), "precious\n");
  });
}

Deno.test({
  name:
    "openOwnWay() does not follow another user's link, and leaves no descriptor",
  ignore,
  fn: async () => {
    const { box, dir } = await shared();
    await using _box = box;
    for (const to of [box.path("precious"), box.path("new")]) {
      const path = `${dir}/link`;
      Deno.symlinkSync(to, path);
      await giveAway(path);
      const count = openFdCount();
      const flags = O_WRONLY | O_CREAT | O_APPEND;
      assertThrows(
        () => openOwnWay(path, flags, 0o600),
        ForeignFileError,
        "open failed (it is a symbolic link of user 65534; remove it)",
      );
      assertEquals(openFdCount(), count);
      Deno.removeSync(path);
    }
    assertEquals(box.exists(box.path("new")), false);
  },
});

Deno.test({
  name:
    "openOwnWay() follows another user's link where only that user can put it",
  ignore,
  fn: async () => {
    const { box, dir } = await shared();
    await using _box = box;
    Deno.chmodSync(dir, 0o755);
    Deno.symlinkSync(box.path("precious"), `${dir}/link`);
    await giveAway(`${dir}/link`);
    assertEquals(textOf(openOwnWay(`${dir}/link`, O_RDONLY)), "precious\n");
  },
});

Deno.test("openOwnWay() says that a link leads to itself", async () => {
  const { box, dir } = await shared();
  await using _box = box;
  Deno.symlinkSync("link", `${dir}/link`);
  const error = assertThrows(
    () => openOwnWay(`${dir}/link`, O_RDONLY),
    LibcError,
  );
  assertEquals(error.code, "ELOOP");
});

Deno.test("foreignness() is a second name where anybody can make one, and nothing elsewhere", async () => {
  const { box, dir } = await shared();
  await using _box = box;
  const path = `${dir}/link`;
  Deno.linkSync(box.path("precious"), path);
  const file = lstatFile(path);
  assertEquals(foreignness(path, file), "it has another name too; remove it");
  assertEquals(foreignness(box.path("precious"), file), undefined);
});

Deno.test({
  name:
    "pidfileState() leaves another user's stale file where anybody can put one",
  ignore,
  fn: async () => {
    const { box, dir } = await shared();
    await using _box = box;
    setLevels("off");
    const path = `${dir}/web.pid`;
    Deno.writeTextFileSync(path, "1\n");
    await giveAway(path);
    assertEquals(pidfileState(path, true), { kind: "error", errno: 1 });
    assertEquals(box.read(path), "1\n");
    setLevels("info");
  },
});

Deno.test("setLogFile() does not wait for the reader of a FIFO", async () => {
  await using box = await Sandbox.create();
  await box.run(["mkfifo", box.path("fifo")]);
  const error = assertThrows(() => setLogFile(box.path("fifo")), LibcError);
  assertEquals(error.code, "ENXIO");
});

Deno.test("setLogFile() refuses a second name of a file where anybody can make one", async () => {
  const { box, dir } = await shared();
  await using _box = box;
  Deno.linkSync(box.path("precious"), `${dir}/log`);
  assertThrows(
    () => setLogFile(`${dir}/log`),
    ForeignFileError,
    "open failed (it has another name too; remove it)",
  );
});
