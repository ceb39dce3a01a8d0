import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { waitpid } from "../../ffi/child.ts";
import { LibcError } from "../../ffi/libc.ts";
import {
  groupOf,
  isGroup,
  signalGroupFromWithin,
} from "../../ffi/process_group.ts";
import { Signal } from "../../ffi/signal.ts";
import { Launcher } from "../../lib/launch.ts";
import { Child } from "../children.ts";
import { LaunchedChild, SLEEP } from "../launched.ts";
import { look, signalsIn } from "../proc.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const LEADS = new Launcher(SLEEP, undefined, [], true);

Deno.test("groupOf() is the group of a process, and of none undefined", () => {
  using child = new LaunchedChild(LEADS);
  assertEquals(groupOf(child.pid), child.pid);
  assertEquals(groupOf(0), look(Deno.pid)!.pgrp);
  assertEquals(groupOf(0x7fff_fff0), undefined);
});

Deno.test("leaveProcessGroup() makes a process the leader of its own", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { procStat } from "${ROOT}/ffi/proc.ts";
    import { leaveProcessGroup } from "${ROOT}/ffi/process_group.ts";
    const isLeader = () => Number(procStat("self")[2]) === Deno.pid;
    const before = isLeader();
    leaveProcessGroup();
    console.log(before, isLeader());`,
  );
  assertEquals(answer, "false true");
});

Deno.test("isGroup() tells whether there is a group to signal", () => {
  const child = new LaunchedChild(LEADS);
  assertEquals(isGroup(child.pid), true);
  child[Symbol.dispose]();
  assertEquals(isGroup(child.pid), false);
});

for (const signal of [Signal.SIGTERM, Signal.SIGQUIT, Signal.SIGKILL]) {
  Deno.test(`signalGroupFromWithin() sends signal ${signal} to all of a group`, () => {
    const child = new LaunchedChild(LEADS);
    const before = signalsIn(Deno.pid, "SigBlk");
    assertEquals(signalGroupFromWithin(child.pid, signal), true);
    const status = waitpid(child.pid);
    assertEquals(status.kind === "signaled" && status.signal, signal);
    assertEquals(signalsIn(Deno.pid, "SigBlk"), before);
    // And leaves us no child.
    assertThrows(() => waitpid(-1), LibcError, "No child processes");
  });
}

Deno.test("signalGroupFromWithin() reaches a group whose leader has ended", async () => {
  await using box = await Sandbox.create();
  const script = "set -m; sh -c 'sleep 600 & echo $! >&3' 3>&1 &";
  const running = box.start(["bash", "-c", `${script} wait`]);
  const pid = await box.until(
    "it is left",
    () => Number(running.stdout()) || undefined,
  );
  await running.finished();
  const group = look(pid)!.pgrp;
  assertEquals(look(group), undefined);
  assertEquals(signalGroupFromWithin(group, Signal.SIGTERM), true);
  await box.until("it has ended", () => look(pid) === undefined);
});

Deno.test("signalGroupFromWithin() leaves a group of another session alone, and none", async () => {
  await using box = await Sandbox.create();
  const running = box.start(["setsid", "sleep", "600"]);
  const other = await box.until(
    "it has a session",
    () => look(running.pid)?.session === running.pid && running.pid,
  );
  assertEquals(signalGroupFromWithin(other, Signal.SIGKILL), false);
  assertEquals(look(other)?.state, "S");
  using ended = new Child("true");
  ended.wait();
  assertEquals(signalGroupFromWithin(ended.pid, Signal.SIGKILL), false);
});
