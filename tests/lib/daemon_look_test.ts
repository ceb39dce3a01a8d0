import { assertEquals } from "@std/assert/equals";
import { lookAt, lookAtPidfile } from "../../lib/daemon_look.ts";
import { openFdCount } from "../descriptors.ts";
import { MONITORED } from "../monitored.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("lookAtPidfile() tells what there is by the lock", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  Deno.writeTextFileSync(box.runPath("old.pid"), `${Deno.pid}\n`);
  Deno.mkdirSync(box.runPath("dir.pid"));
  const before = openFdCount();
  const looks = ["web.pid", "old.pid", "none.pid", "dir.pid"]
    .map((name) => lookAtPidfile(box.runPath(name)));
  assertEquals(looks, [
    { kind: "running", pid: box.holder("web.pid")! },
    { kind: "stale" },
    { kind: "none" },
    { kind: "error", reason: `${box.runPath("dir.pid")}: Is a directory` },
  ]);
  assertEquals(openFdCount(), before);
});

Deno.test("lookAtPidfile() takes a lock whose holder is not named for another's", async () => {
  await using box = await Sandbox.create();
  await box.tend(
    "--detach",
    "--exec",
    "--pidfile=web.pid",
    "--",
    "sleep",
    "9e9",
  );
  const holder = box.holder("web.pid");
  Deno.writeTextFileSync(box.runPath("web.pid"), `${Deno.pid}\n`);
  assertEquals(lookAtPidfile(box.runPath("web.pid")), {
    kind: "busy",
    reason: `${box.runPath("web.pid")} names pid ${Deno.pid}, and pid ` +
      `${holder} has it locked`,
  });
});

Deno.test("lookAt() has both files of a daemon, and changes none", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  const { pidfile, monitor } = lookAt(box.runPath("web.pid"));
  assertEquals([pidfile.kind, monitor.kind], ["running", "held"]);
  Deno.writeTextFileSync(box.runPath("old.pid"), "1\n");
  assertEquals(lookAt(box.runPath("old.pid")), {
    pidfile: { kind: "stale" },
    monitor: { kind: "none" },
  });
  assertEquals(box.runFiles(), ["old.pid", "web.pid", "web.pid.monitor"]);
});

Deno.test({
  name:
    "lookAtPidfile() follows our own link, and not another user's where anybody can put one",
  // Nobody else can give a file away.
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using box = await Sandbox.create();
    await box.tend(...MONITORED, "--", "sleep", "600");
    const dir = box.path("shared");
    Deno.mkdirSync(dir);
    Deno.chmodSync(dir, 0o1777);
    const link = `${dir}/web.pid`;
    Deno.symlinkSync(box.runPath("web.pid"), link);
    const running = { kind: "running", pid: box.holder("web.pid")! } as const;
    assertEquals(lookAtPidfile(link), running);
    await box.run(["chown", "-h", "65534", link]);
    assertEquals(lookAtPidfile(link), {
      kind: "error",
      reason: `${link}: it is a symbolic link of user 65534; remove it`,
    });
    Deno.chmodSync(dir, 0o755);
    assertEquals(lookAtPidfile(link), running);
  },
});

Deno.test("lookAt() takes no second name of a daemon's files where anybody can make one", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, "--", "sleep", "600");
  const dir = box.path("shared");
  Deno.mkdirSync(dir);
  const path = `${dir}/web.pid`;
  for (const name of ["web.pid", "web.pid.monitor"]) {
    Deno.linkSync(box.runPath(name), `${dir}/${name}`);
  }
  const kinds = () => {
    const { pidfile, monitor } = lookAt(path);
    return [pidfile, monitor];
  };
  assertEquals(kinds().map(({ kind }) => kind), ["running", "held"]);
  Deno.chmodSync(dir, 0o1777);
  const before = openFdCount();
  const why = "it has another name too; remove it";
  assertEquals(kinds(), [
    { kind: "error", reason: `${path}: ${why}` },
    { kind: "error", reason: why },
  ]);
  assertEquals(openFdCount(), before);
});
