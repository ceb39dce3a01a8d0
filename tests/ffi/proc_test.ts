import { assertEquals } from "@std/assert/equals";
import { namespacePids, procStat } from "../../ffi/proc.ts";
import { Child, endedPid } from "../children.ts";
import { childrenOf } from "../proc.ts";
import { CANNOT_UNSHARE } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("procStat() begins with the state after any name", async () => {
  await using box = await Sandbox.create();
  const program = box.path("a) R 1 (b");
  Deno.copyFileSync("/bin/sleep", program);
  using child = new Child(program, "600");
  const [state, parent] = procStat(child.pid)!;
  assertEquals(["R", "S", "D"].includes(state!), true, state);
  assertEquals(Number(parent), Deno.pid);
});

Deno.test("procStat() is undefined when the process is gone", () => {
  assertEquals(procStat(endedPid()), undefined);
});

Deno.test("namespacePids() is the pid alone in the first namespace", () => {
  assertEquals(namespacePids(Deno.pid)[0], Deno.pid);
});

Deno.test({
  name:
    "namespacePids() is the pid here and then that in the process's own namespace",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const { pid } = box.start(["unshare", "-Urpf", "sleep", "600"]);
    const inner = await box.until("sleep has begun", () => childrenOf(pid)[0]);
    assertEquals(namespacePids(inner), [inner, 1]);
  },
});

Deno.test("namespacePids() is empty when the process is gone", () => {
  assertEquals(namespacePids(endedPid()), []);
});
