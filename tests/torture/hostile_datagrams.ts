/**
 * Daemons that say anything at all to their monitors, and never stop.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import fc from "fast-check";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import { shown, untilShown } from "../monitored.ts";
import { fdsOf, isAlive, parentOf } from "../proc.ts";
import { CONFIG } from "../program.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { Sender, socketOf } from "./datagrams.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

const PROGRAM = new URL("datagrams.ts", import.meta.url).pathname;
/** So many floods at once, and so many datagrams between two looks. */
const FLOODS = 2;
const BETWEEN_LOOKS = 50;

const PIECES = ["READY=", "STATUS=", "MAINPID=", "WATCHDOG=", "=", "\n", "1"];

/** Anything, things that nearly mean something, and such as are too long. */
const DATAGRAM = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 64 }) },
  {
    weight: 8,
    arbitrary: fc.array(
      fc.oneof(
        fc.constantFrom(...PIECES, "READY=1 ", "BARRIER=1", "\r\n", "\0"),
        fc.string({ unit: "binary", maxLength: 8 }),
        fc.nat().map(String),
      ),
      { maxLength: 8 },
    ).map((pieces) => toBytes(pieces.join(""))),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 4097, max: 300_000 }).map((length) =>
      toBytes(`READY=1\n${"x".repeat(length)}`)
    ),
  },
);

/** Tries daemons that talk. */
export async function hostileDatagrams(
  { seconds, seed }: Budget,
): Promise<Row[]> {
  const said = new Tally(
    "datagrams of any bytes, with descriptors, to a monitor",
  );
  const heeded = new Tally("what a monitor does in a flood of datagrams");
  await sayAnything(seconds / 2, seed, said);
  const deadline = Date.now() + seconds * 500;
  do {
    for (const sleep of ["0", "1s"]) {
      await heeded.attempt(
        `--sleep-after=${sleep}`,
        () => flooded(`--sleep-after=${sleep}`),
      );
    }
  } while (Date.now() < deadline);
  return [said, heeded];
}

/** Starts a daemon that is not ready until somebody says so. */
async function startTalking(
  box: Sandbox,
  ...options: string[]
): Promise<{ daemon: number; ready: () => Promise<void> }> {
  const start = box.start([
    ...[TEND, "--detach", "--ready=notify", "--ready-timeout=1h"],
    ...["--restart=always", "--restart-delay=0", "--pidfile=web.pid"],
    ...[...options, "--", "sleep", "600"],
  ]);
  const record = await untilShown(
    box,
    "that it waits",
    ({ phase }) => phase === "notReady",
  );
  const { pid: daemon } = record;
  return {
    daemon,
    ready: async () => {
      using sender = new Sender(socketOf(daemon));
      sender.say("READY=1");
      const { code, stderr } = await start.finished();
      assertEquals(code, 0, stderr);
    },
  };
}

async function sayAnything(
  seconds: number,
  seed: number,
  row: Tally,
): Promise<void> {
  await using box = await Sandbox.create();
  const { daemon, ready } = await startTalking(box);
  const monitor = parentOf(daemon);
  using sender = new Sender(socketOf(daemon));
  const before = fdsOf(monitor);
  const deadline = Date.now() + seconds * 1000;
  for (let turn = 0; turn === 0 || Date.now() < deadline; turn++) {
    const datagrams = fc.sample(DATAGRAM, {
      seed: (seed + turn) | 0,
      numRuns: BETWEEN_LOOKS,
    }).filter((bytes) => !isReady(bytes));
    for (const [i, bytes] of datagrams.entries()) {
      sender.send(Uint8Array.from(bytes), i % 5 === 0 ? [0, 1, 2] : []);
    }
    await row.attempt(`TEND_TEST_SEED=${seed + turn}`, async () => {
      const marker = `turn ${turn}`;
      assert(sender.say(`STATUS=${marker}`));
      await untilShown(box, marker, (record) => {
        const { statusText = "" } = record;
        // It is for terminals too.
        assertFalse(/\p{C}/u.test(statusText), JSON.stringify(statusText));
        return statusText === marker;
      });
      const { phase, pid } = shown(box)!;
      assertEquals([phase, pid], ["notReady", daemon]);
      assertEquals(fdsOf(monitor), before);
    });
  }
  await ready();
  assertEquals(shown(box)?.phase, "running");
  const { code, stderr } = await box.tend("stop", "web");
  assertEquals([code, stderr, isAlive(monitor)], [0, "", false]);
}

/** Whether one says that the daemon is ready: then it may be believed. */
function isReady(bytes: Uint8Array): boolean {
  return bytes.length <= 4096 &&
    fromBytes(bytes).split("\n").includes("READY=1");
}

/** Crashes are seen, and verbs are heeded, while others talk all the time. */
async function flooded(option: string): Promise<void> {
  await using box = await Sandbox.create();
  const { daemon, ready } = await startTalking(box, option);
  await ready();
  const monitor = parentOf(daemon);
  for (const what of ["crash", "restart", "stop"] as const) {
    const { pid } = await untilShown(
      box,
      "a daemon",
      ({ phase }) => phase === "running",
    );
    const floods = await flood(box, pid);
    if (what === "crash") Deno.kill(pid, "SIGSEGV");
    // It waits for READY=1 of the next one.
    const verb = what === "crash" ? undefined : box.start([TEND, what, "web"]);
    if (what !== "stop") {
      const { pid: next } = await untilShown(
        box,
        "the next daemon",
        (record) => record.phase === "notReady" && record.pid !== pid,
      );
      using sender = new Sender(socketOf(next));
      sender.say("READY=1");
    }
    const { code, stderr } = await verb?.finished() ?? { code: 0, stderr: "" };
    assertEquals([code, stderr], [0, ""], what);
    // The socket has gone with its daemon.
    for (const { finished } of floods) {
      const { code, stderr } = await finished();
      assertEquals([code, stderr], [0, ""], what);
    }
  }
  assertEquals([isAlive(monitor), box.runFiles()], [false, []]);
}

async function flood(box: Sandbox, pid: number) {
  const argv = [Deno.execPath(), "run", "--quiet", "-A", `--config=${CONFIG}`]
    .concat(PROGRAM, socketOf(pid));
  const floods = Array.from(
    { length: FLOODS },
    () => box.start(argv, { env: { NO_COLOR: "1" } }),
  );
  await box.until(
    "the flood has come",
    () => floods.every((flood) => flood.stdout().includes("very many")),
  );
  return floods;
}
