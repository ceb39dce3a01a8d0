import { assertEquals } from "@std/assert/equals";
import { geteuid } from "../../ffi/user.ts";
import "../open_libc.ts";

Deno.test("geteuid() is the effective user of /proc/self/status", () => {
  const status = Deno.readTextFileSync("/proc/self/status");
  const [, effective] = /^Uid:\t\d+\t(\d+)/m.exec(status)!;
  assertEquals(geteuid(), Number(effective));
});
