import { assertEquals } from "@std/assert/equals";
import { close } from "../../ffi/descriptor.ts";
import { Signal } from "../../ffi/signal.ts";
import { ancestor, holdDescendants, ourselves } from "../../lib/descendants.ts";
import { hold, sendSignal } from "../../lib/proven_process.ts";
import { openFdCount } from "../descriptors.ts";
import { childrenOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** A process with two children, one of which has one. */
const SCRIPT = "sh -c 'sleep 600; :' & exec sleep 600";

/** All processes below one, parents before their children, by many looks. */
function below(pid: number): number[] {
  const children = childrenOf(pid);
  return [...children, ...children.flatMap(below)];
}

Deno.test("holdDescendants() finds all below a process, parents first", async () => {
  await using box = await Sandbox.create();
  const running = box.start(["sh", "-c", `${SCRIPT} & ${SCRIPT}; :`]);
  const expected = await box.until("all are there", () => {
    const pids = below(running.pid);
    return pids.length === 5 && pids;
  });
  const top = hold(running.pid)!;
  const found = holdDescendants(ancestor(top), () => true);
  const pids = found.map(({ pid }) => pid);
  assertEquals([...pids].sort(), [...expected].sort());
  for (const pid of pids) {
    for (const child of childrenOf(pid)) {
      assertEquals(pids.indexOf(child) > pids.indexOf(pid), true);
    }
  }
  for (const process of [top, ...found]) sendSignal(process, Signal.SIGKILL);
  await box.until("all have ended", () => box.processes().length === 0);
  for (const { pidfd } of [top, ...found]) close(pidfd);
});

Deno.test("holdDescendants() leaves out children of our own that are not meant", async () => {
  await using box = await Sandbox.create();
  const [one, other] = [SCRIPT, SCRIPT].map((script) =>
    box.start(["sh", "-c", script])
  );
  await box.until("all are there", () => box.processes().length === 6);
  const found = holdDescendants(ourselves(), (pid) => pid === one!.pid);
  const pids = found.map(({ pid }) => pid);
  assertEquals(pids, [one!.pid, ...below(one!.pid)]);
  assertEquals(pids.includes(other!.pid), false);
  found.forEach(({ pidfd }) => close(pidfd));
});

Deno.test("holdDescendants() finds nothing below a process that has ended", async () => {
  await using box = await Sandbox.create();
  const running = box.start(["sh", "-c", SCRIPT]);
  await box.until("all are there", () => box.processes().length === 3);
  const top = hold(running.pid)!;
  Deno.kill(running.pid, "SIGKILL");
  await running.finished();
  const before = openFdCount();
  assertEquals(holdDescendants(ancestor(top), () => true), []);
  assertEquals(openFdCount(), before);
  close(top.pidfd);
});
