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
