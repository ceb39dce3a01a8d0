import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import {
  pageSize,
  readProcess,
  readProcesses,
} from "../../ffi/process_table.ts";
import { bootTime } from "../../ffi/wait.ts";
import { look } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("readProcess() says what /proc does", () => {
  const { pid, ppid, group, hasEnded, isCopy, usage } = readProcess(Deno.pid)!;
  const process = look(Deno.pid)!;
  assertEquals(
    [pid, ppid, group, hasEnded, isCopy],
    [Deno.pid, process.ppid, process.pgrp, false, false],
  );
  assert(usage.startedAt > 0 && usage.startedAt <= bootTime());
  assert(usage.cpuSeconds > 0);
  const resident = Number(/\d+/.exec(process.status.get("VmRSS")!)![0]) * 1024;
  const memory = usage.residentPages * pageSize();
  // The kernel counts it a little later in one place than in the other.
  assert(memory > resident / 2 && memory < resident * 2);
});

Deno.test("readProcess() is undefined of one that is not there", () => {
  assertEquals(readProcess(0x7fff_fff0), undefined);
});

Deno.test("readProcess() reads a name with parentheses and blanks", async () => {
  await using box = await Sandbox.create();
  const program = box.path("a) R 1 (b");
  Deno.copyFileSync("/bin/sleep", program);
  const { pid } = box.start([program, "600"]);
  await box.until(
    "it runs",
    () => look(pid)?.status.get("Name") === "a) R 1 (b",
  );
  assertEquals(readProcess(pid)?.ppid, Deno.pid);
});

Deno.test("readProcess() sees that one is stopped, and that one has ended", async () => {
  await using box = await Sandbox.create();
  const running = box.start(["sleep", "600"]);
  Deno.kill(running.pid, "SIGSTOP");
  await box.until("it is", () => readProcess(running.pid)?.isStopped === true);
  Deno.kill(running.pid, "SIGKILL");
  await running.finished();
  assertEquals(readProcess(running.pid), undefined);
});

Deno.test("readProcesses() has this process and its parent", () => {
  const all = readProcesses();
  assertEquals(all.get(Deno.pid)?.ppid, Deno.ppid);
});
