import { assertEquals } from "@std/assert/equals";
import { Sandbox } from "../sandbox.ts";
import { WAYS } from "./ways.ts";

const EVERYTHING = [
  "timer",
  "file",
  "serve and fetch",
  "socket",
  "command",
  "signal listener",
  "worker",
  "garbage collection",
];

for (const way of WAYS) {
  Deno.test({
    name: `${way.name}: async work is whole, after a crash too`,
    sanitizeResources: false,
    fn: async () => {
      await using box = await Sandbox.create();
      const report = box.path("report");
      const argv = await way.command("async_work");
      const options = ["--detach", "--monitor", "--pidfile=work.pid"];
      const { code, stderr } = await box.run([...argv, ...options, report]);
      assertEquals([code, stderr], [0, ""]);
      const expected = JSON.stringify({ done: EVERYTHING });
      for (const _ of ["first", "restarted"]) {
        const text = await box.until("it reports", () => box.read(report));
        assertEquals(text, expected);
        await Deno.remove(report);
        Deno.kill(box.pidfile("work.pid")!, "SIGSEGV");
      }
    },
  });
}
