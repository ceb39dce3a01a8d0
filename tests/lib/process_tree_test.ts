import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { childrenOf, readProcess } from "../../ffi/process_table.ts";
import { treeUsages, wholeFamily } from "../../lib/process_tree.ts";
import { childrenOf as childrenBy, look } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** Starts a shell with two processes below it, one of them below the other. */
async function startTree(box: Sandbox): Promise<number> {
  const { pid } = box.start(
    ["sh", "-c", "(sleep 600 & wait) & echo there >there; wait"],
  );
  await box.until("all are there", () => {
    const [child] = look(pid) ? childrenBy(pid) : [];
    return child !== undefined && childrenBy(child).length === 1;
  });
  return pid;
}

Deno.test("treeUsages() adds up all processes below one", async () => {
  await using box = await Sandbox.create();
  const pid = await startTree(box);
  const usage = treeUsages()(pid)!;
  assertEquals(usage.processes, 3);
  const one = treeUsages()(childrenBy(childrenBy(pid)[0]!)[0]!)!;
  assertEquals(one.processes, 1);
  assert(usage.memory > one.memory && one.memory > 0);
  assert(usage.uptime >= 0 && usage.uptime < 60);
});

Deno.test("treeUsages() is undefined of one that has ended", async () => {
  await using box = await Sandbox.create();
  const running = box.start(["true"]);
  await running.finished();
  assertEquals(treeUsages()(running.pid), undefined);
});

Deno.test("wholeFamily() tells the same children as the kernel", async () => {
  await using box = await Sandbox.create();
  const pid = await startTree(box);
  const { at, below } = wholeFamily();
  const parent = readProcess(pid)!;
  assertEquals(below(at(pid)!), childrenOf(parent));
  assertEquals(below(parent), childrenBy(pid));
});

Deno.test("childrenOf() has the children of each thread", () => {
  // Deno starts its children from whichever it likes.
  const child = new Deno.Command("sleep", { args: ["600"] }).spawn();
  try {
    assert(childrenOf(readProcess(Deno.pid)!).includes(child.pid));
  } finally {
    child.kill("SIGKILL");
  }
  return child.status.then(() => {});
});
