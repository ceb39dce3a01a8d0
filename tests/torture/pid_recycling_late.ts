/**
 * Turns of `pid_recycling.ts` in which not the first signal is the one that might
 * hit another: SIGKILL to what has not ended in time, and what a monitor sends.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { Signal } from "../../ffi/signal.ts";
import { MONITORED, request } from "../monitored.ts";
import { childrenOf, isAlive, parentOf, titleOf } from "../proc.ts";
import type { Sandbox } from "../sandbox.ts";
import { holdMonitor, isThere, recycledUnder, replace } from "./bystander.ts";

/** Ends by SIGKILL alone. */
const DEAF = 'trap "" TERM; : >"$1"; exec sleep 600';
/** The same with a child, which it waits for. */
const PARENT = 'trap "" TERM; sleep 601 & : >"$1"; wait; exec sleep 600';
/** The same as what a daemon leaves behind. */
const LEAVING = `bash -c '${PARENT}' bash "$1" & exec sleep 602`;

const KILL = Signal.SIGKILL;

async function start(
  box: Sandbox,
  script: string,
  ...options: string[]
): Promise<number> {
  const { code, stderr } = await box.tend(
    ...[...options, "--pidfile=web.pid", "--"],
    ...["bash", "-c", script, "bash", box.path("deaf")],
  );
  assertEquals([code, stderr], [0, ""]);
  await box.until("it is deaf", () => box.exists(box.path("deaf")));
  return box.pidfile("web.pid")!;
}

/** The child of one that is deaf. */
function childOf(box: Sandbox, pid: number): Promise<number> {
  return box.until(
    "it has its child",
    () => childrenOf(pid).find((child) => titleOf(child) === "sleep 601"),
  );
}

/** Each leads to signals where a pid is another's. */
export const LATE_TURNS: Record<
  string,
  (box: Sandbox, sleep: string) => Promise<void>
> = {
  "the SIGKILL of tend stop to a daemon that ends just then": async (box) => {
    const daemon = await start(box, DEAF, "--detach", "--exec");
    const verb = ["stop", "--timeout=20ms", "web"];
    await recycledUnder(box, [daemon], verb, { signal: KILL, nth: 2 });
  },
  "the SIGKILL of tend stop to a daemon with a monitor": async (box, sleep) => {
    const options = [...MONITORED, `--sleep-after=${sleep}`];
    const daemon = await start(box, DEAF, ...options);
    const verb = ["stop", "--timeout=20ms", "web"];
    // The first one is the request.
    const moment = { signal: KILL, nth: 2 };
    await recycledUnder(box, [parentOf(daemon), daemon], verb, moment);
  },
  "the SIGKILL of tend stop --kill-group to a group": async (box) => {
    const daemon = await start(box, PARENT, "--detach", "--exec");
    const verb = ["stop", "--kill-group", "--timeout=20ms", "web"];
    // Before the first one: the members are known by then.
    const moment = { signal: Signal.SIGTERM, nth: 1 };
    await recycledUnder(
      box,
      [daemon, await childOf(box, daemon)],
      verb,
      moment,
    );
  },
  "SIGTERM of a monitor to a tree": async (box, sleep) => {
    const options = ["--kill-mode=tree", `--sleep-after=${sleep}`];
    const daemon = await start(box, PARENT, ...MONITORED, ...options);
    const monitor = parentOf(daemon);
    const child = await childOf(box, daemon);
    const stop = () => request(box, "stop");
    await goesOn(box, { monitor, child, deaf: daemon }, stop);
  },
  "SIGTERM of a monitor to what a daemon has left": async (box, sleep) => {
    const options = ["--kill-mode=tree", `--sleep-after=${sleep}`];
    const daemon = await start(box, LEAVING, ...MONITORED, ...options);
    const monitor = parentOf(daemon);
    const deaf = childrenOf(daemon)[0]!;
    const child = await childOf(box, deaf);
    const crash = () => Deno.kill(daemon, "SIGKILL");
    await goesOn(box, { monitor, child, deaf }, crash);
  },
  "a monitor that is about to kill a daemon that says nothing": async (
    box,
    sleep,
  ) => {
    const options = ["--watchdog=1s", `--sleep-after=${sleep}`];
    const daemon = await start(box, DEAF, ...MONITORED, ...options);
    const release = await holdMonitor(box, parentOf(daemon), () => {});
    Deno.kill(daemon, "SIGKILL");
    await box.until("the daemon has ended", () => !isAlive(daemon));
    // It was not waited for: nobody else gets its pid before the signal.
    assertEquals(isThere(`/proc/${daemon}`), true);
    release();
  },
};

/** Has a monitor signal a child that is another by then; in the end all end. */
async function goesOn(
  box: Sandbox,
  { monitor, child, deaf }: {
    readonly monitor: number;
    readonly child: number;
    readonly deaf: number;
  },
  cause: () => void,
): Promise<void> {
  const release = await holdMonitor(box, monitor, cause);
  const bystanders = await replace(box, monitor, [child]);
  // Who is deaf would keep it waiting.
  Deno.kill(deaf, "SIGKILL");
  release();
  await box.until("the monitor has ended", () => !isAlive(monitor));
  bystanders.forEach((bystander) => bystander.assertUnharmed());
}
