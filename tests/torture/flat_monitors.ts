/**
 * Monitors that have restarted their daemons thousands of times: they weigh
 * what they weighed, and have no descriptor more.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { MonitorRecord } from "../../lib/monitor_file.ts";
import { shown, untilAsleep, untilItWaits } from "../monitored.ts";
import { fdsOf, look } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

/** How many restarts there are in full. */
const MANY = { never: 10_000, 0: 400 };
/** After so many all that is used is loaded, and was collected once. */
const WARM = { never: 1000, 0: 5 };
/** So many more otherwise, or as many as there is time for. */
const LEAST_MORE = { never: 200, 0: 5 };
/** KiB of garbage that may have come since the last collection. */
const SLACK = { never: 1024, 0: 8 };

/** What there is of a monitor. */
interface Weight {
  readonly restarts: number;
  readonly memory: number;
  readonly fds: readonly string[];
}

/** So long it may take in full: a monitor that does not go on fails. */
const FULL_MS = 120_000;

/**
 * Tries monitors that stay awake, and such that sleep in between.
 *
 * @param budget How long, where that is not in full.
 * @param isFull Whether there are as many restarts as are promised.
 */
export async function flatMonitors(
  { seconds }: Budget,
  isFull: boolean,
): Promise<Row[]> {
  const part = (share: number) => isFull ? FULL_MS : seconds * share * 1000;
  return [
    await flat("never", part(0.6), isFull),
    await flat("0", part(0.4), isFull),
  ];
}

async function flat(
  sleep: "never" | "0",
  milliseconds: number,
  isFull: boolean,
): Promise<Row> {
  await using box = await Sandbox.create();
  const go = box.path("go");
  const { code, stderr } = await box.run([
    ...[TEND, "--detach", "--restart=always", "--restart-delay=0"],
    ...["--log-file", `--sleep-after=${sleep}`, "--pidfile=web.pid"],
    ...["--", "sh", "-c"],
    ...['[ -e "$1" ] && exit 1; exec sleep 600', "sh", go],
  ]);
  assertEquals([code, stderr], [0, ""]);
  const deadline = Date.now() + milliseconds;
  const first = await weighAfter(box, sleep, WARM[sleep], Infinity);
  const least = first.restarts + LEAST_MORE[sleep];
  await weighAfter(box, sleep, least, Infinity);
  const last = await weighAfter(box, sleep, MANY[sleep], deadline);
  const count = last.restarts - first.restarts;
  const row = new Tally(
    `${last.restarts} restarts by a monitor that ${
      sleep === "0" ? "sleeps" : "stays awake"
    }: ${first.memory} KiB, then ${last.memory} KiB`,
  );
  await row.attempt(`from ${first.restarts} on, ${count} more`, () => {
    assert(count >= LEAST_MORE[sleep]);
    if (isFull) assert(last.restarts >= MANY[sleep], `${last.restarts}`);
    assertEquals(last.fds, first.fds);
    assert(
      last.memory <= first.memory + SLACK[sleep],
      `${first.memory} KiB of its own have become ${last.memory}`,
    );
  });
  return row;
}

/** Has the daemon crash so often, or until the deadline, and looks after that. */
async function weighAfter(
  box: Sandbox,
  sleep: "never" | "0",
  count: number,
  deadline: number,
): Promise<Weight> {
  const { pid, monitor } = await untilQuiet(box);
  Deno.writeTextFileSync(box.path("go"), "");
  Deno.kill(pid, "SIGKILL");
  while ((shown(box)?.crashes ?? 0) < count && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  Deno.removeSync(box.path("go"));
  const { crashes } = await untilQuiet(box);
  if (sleep === "0") await untilAsleep(box, monitor);
  else await untilItWaits(box, monitor);
  const fds = [...fdsOf(monitor)].map(([number, file]) =>
    `${number} ${file.replace(/\d+/g, "N")}`
  );
  return { restarts: crashes, memory: ownMemoryOf(monitor), fds: fds.sort() };
}

/** Waits until there is a daemon that stays. */
function untilQuiet(box: Sandbox): Promise<MonitorRecord> {
  return box.until("the daemon stays", () => {
    const record = shown(box);
    return record?.phase === "running" &&
      look(record.pid)?.status.get("Name") === "sleep" && record;
  });
}

/** Its own memory: what it shares is weighed by how many others there are. */
function ownMemoryOf(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Anonymous: +(\d+) kB$/m.exec(text)![1]);
}
