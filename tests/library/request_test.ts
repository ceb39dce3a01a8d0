/** What is asked of the monitors of Deno programs, and what they show. */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { request, shown, untilAsleep, untilShown } from "../monitored.ts";
import { fdsOf, isAlive } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { WAYS } from "./ways.ts";

const DETACHED = ["--detach", "--monitor", "--pidfile=web.pid"];
const FOREGROUND = ["--monitor", "--pidfile=web.pid"];

for (const way of WAYS) {
  for (const sleepAfter of ["0", "never"]) {
    for (const options of [DETACHED, FOREGROUND]) {
      const argv = [...options, `--sleep-after=${sleepAfter}`];
      Deno.test({
        name: `${way.name}: ${argv.join(" ")} restarts and stops on request`,
        // libc stays loaded once the sandbox has looked at a lock.
        sanitizeResources: false,
        fn: async () => {
          await using box = await Sandbox.create();
          const settled = async (monitor: number) => {
            if (sleepAfter === "0") await untilAsleep(box, monitor);
          };
          const server = box.start([...await way.command("server"), ...argv]);
          const first = await untilShown(
            box,
            "a daemon that runs",
            ({ phase }) => phase === "running",
          );
          assertEquals(first.policy, "on-crash");
          assertMatch(first.name, /^server/);
          assertEquals(first.command.slice(-argv.length), argv);
          await settled(first.monitor);
          request(box, "restart");
          const second = await untilShown(
            box,
            "another that runs",
            ({ phase, pid }) => phase === "running" && pid !== first.pid,
          );
          assertEquals(
            [second.monitor, second.crashes, second.restarts],
            [first.monitor, 0, 1],
          );
          assertEquals(second.lastEnd?.text, "killed (Terminated)");
          assertEquals(second.lastStart?.count, 2);
          assertEquals(isAlive(first.pid), false);
          assertEquals(box.holder("web.pid"), second.pid);
          await settled(first.monitor);
          const file = box.runPath("web.pid.monitor");
          const holds = (pid: number) =>
            [...fdsOf(pid).values()].filter((name) => name === file).length;
          assertEquals(
            [second.monitor, second.pid].map(holds),
            [1, 0],
          );
          assertEquals(shown(box), second);
          request(box, "stop");
          await box.until(
            "both have ended",
            () => !isAlive(second.monitor) && !isAlive(second.pid),
          );
          assertEquals(box.runFiles(), []);
          const { code } = await server.finished();
          assertEquals(code, options === DETACHED ? 0 : 143);
        },
      });
    }
  }
}
