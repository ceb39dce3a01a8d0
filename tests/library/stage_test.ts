/** Nothing that a program starts, however early, gets to see a stage. */
import { assertEquals } from "@std/assert/equals";
import { untilAsleep } from "../monitored.ts";
import { parentOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { WAYS } from "./ways.ts";

for (const way of WAYS) {
  Deno.test({
    name:
      `${way.name}: no stage is in the environment of a program, nor of what it starts before and after`,
    sanitizeResources: false,
    fn: async () => {
      await using box = await Sandbox.create();
      const report = box.path("report");
      const argv = await way.command("early");
      const options = ["--detach", "--monitor", "--pidfile=early.pid"];
      const { code, stderr } = await box.run([...argv, ...options, report]);
      assertEquals([code, stderr], [0, ""]);
      const expected = { seen: Array(13).fill(false), whole: true };
      for (const _ of ["first", "restarted after a sleep"]) {
        const text = await box.until("it reports", () => box.read(report));
        assertEquals(JSON.parse(text), expected);
        await Deno.remove(report);
        const daemon = box.pidfile("early.pid")!;
        await untilAsleep(box, parentOf(daemon));
        Deno.kill(daemon, "SIGSEGV");
      }
    },
  });
}
