/**
 * Starts, stops, restarts and crashes that come all at once, on one pidfile and
 * on several, with servers of Open vSwitch among them.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { pidfdSendSignal } from "../../ffi/pidfd.ts";
import { Signal } from "../../ffi/signal.ts";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { Random } from "../random.ts";
import { Sandbox } from "../sandbox.ts";
import type { Observation } from "./observer.ts";
import { pidRecycling } from "./pid_recycling.ts";
import { act, runTend, send, startServer, startTend } from "./race_acts.ts";
import { type Budget, leftOutRow, partOf, type Row } from "./row.ts";
import { Tally } from "./tally.ts";

const OBSERVER = new URL("observer.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** So many go on at once. */
const AT_ONCE = 6;
/** So many begin at one moment in full. */
const CROWD = 200;
/** Of which one is a server of Open vSwitch, for each of so many. */
const SERVER_OF = 10;
/** From so many seconds on there are as many as that. */
const FULL_SECONDS = 60;
/** So many of which one only can start. */
const RIVALS = 8;
/** So many after those, however long they took. */
const LEAST = 12;
/** How many begin at one moment, otherwise, for each second of a budget. */
const CROWD_A_SECOND = 4;
/** So long after that a server may still get a pidfile. */
const LATE_MS = 60_000;

/** Tries races. */
export async function races(budget: Budget): Promise<Row[]> {
  const isFull = budget.seconds >= FULL_SECONDS;
  return [
    ...await race(1, partOf(budget, 0.45), isFull),
    ...await race(5, partOf(budget, 0.45), isFull),
    ...await pidRecycling(partOf(budget, 0.1)),
    ...(WITHOUT_OVSDB
      ? [leftOutRow("ovsdb-server in the races", "is not installed")]
      : []),
  ];
}

async function race(
  count: number,
  { seconds, seed }: Budget,
  isFull: boolean,
): Promise<Row[]> {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  // No other run of this has the same commands.
  const words = Array.from(
    { length: count },
    (_, i) => `${1_000_000 + Deno.pid}.${seed % 1000}${i}`,
  );
  const where = count === 1 ? "one pidfile" : `${count} pidfiles`;
  const few = Math.ceil(Math.min(CROWD, seconds * CROWD_A_SECOND));
  const crowd = isFull ? CROWD : few;
  const rows = {
    crowd: new Tally(
      `starts, stops, restarts, statuses, ${crowd} at one moment, on ${where}`,
    ),
    done: new Tally(
      `the same and crashes, ${AT_ONCE} at once all the while, on ${where}`,
    ),
    servers: new Tally(`servers of Open vSwitch seen to hold ${where}`),
    seen: new Tally(
      `looks of an observer at ${where}: one holder, one command`,
    ),
    alone: new Tally(
      `${RIVALS} starts at one moment, and no stop, on ${where}: one succeeds`,
    ),
    after: new Tally(`a start and a stop after the races on ${where}`),
  };
  const observer = box.start(
    [
      ...[Deno.execPath(), "run", "--quiet", "-A", `--config=${CONFIG}`],
      ...[OBSERVER, box.path("run"), ...words],
    ],
    { env: { NO_COLOR: "1" } },
  );
  const servers = WITHOUT_OVSDB ? [] : await Promise.all(
    Array.from(
      { length: Math.max(AT_ONCE, Math.ceil(crowd / SERVER_OF)) },
      (_, i) => Ovsdb.create(box, `db${i}`),
    ),
  );
  const deadline = Date.now() + seconds * 800;
  const chance = new Random(seed);
  let hadServer = WITHOUT_OVSDB;
  const awaitsServer = () => {
    hadServer ||= box.exists(box.path("run/server"));
    return !hadServer && Date.now() < deadline + LATE_MS;
  };
  await Promise.all(
    Array.from(
      { length: crowd },
      async (_, i) => {
        const word = chance.pick(words);
        const server = i % SERVER_OF === 0 && servers[i / SERVER_OF];
        await (server
          ? startServer(box, chance, word, server, rows.crowd)
          : runTend(box, chance, word, rows.crowd));
      },
    ),
  );
  await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, i) => {
      const random = new Random(seed + i);
      while (
        Date.now() < deadline || rows.done.tried < LEAST || awaitsServer()
      ) {
        await act(box, random, random.pick(words), servers[i], rows.done);
      }
    }),
  );
  await untilNoServer(box);
  for (const word of words) {
    await rows.alone.attempt(word, () => rivals(box, chance, word));
    await rows.after.attempt(word, () => settle(box, word));
  }
  Deno.writeTextFileSync(box.path("run/end"), "");
  const { stdout, stderr } = await observer.finished();
  assertEquals(stderr, "");
  const { looks, daemons, servers: held, commands, violations }: Observation =
    JSON.parse(stdout);
  rows.servers.tried = rows.servers.held = held;
  rows.seen.tried = looks;
  rows.seen.held = looks - violations.length;
  rows.seen.failures.push(...violations);
  assert(daemons > 0 && commands > 0, "the observer has seen nothing");
  const { servers: serversRow, ...others } = rows;
  return [...Object.values(others), ...WITHOUT_OVSDB ? [] : [serversRow]];
}

/** Has several start at one moment: one only may say that it has. */
async function rivals(
  box: Sandbox,
  random: Random,
  word: string,
): Promise<void> {
  await untilNobody(box, word);
  const codes = await Promise.all(
    Array.from({ length: RIVALS }, () => startTend(box, random, word)),
  );
  assertEquals(codes.filter((code) => code === 0).length, 1, `${codes}`);
  const name = `${word}.pid`;
  assertEquals(box.holder(name), box.pidfile(name));
}

/**
 * Ends the servers of Open vSwitch: their monitors hold nothing, and start them
 * anew when nobody seems to be there.
 */
async function untilNoServer(box: Sandbox): Promise<void> {
  await box.until("no server of Open vSwitch runs", () => {
    const servers = box.processes()
      .filter((pid) =>
        box.read(`/proc/${pid}/cmdline`)?.startsWith("ovsdb-server")
      );
    for (const pid of servers) {
      send(() => pid, (pidfd) => pidfdSendSignal(pidfd, Signal.SIGTERM));
    }
    return servers.length === 0;
  });
}

/** Ends all of a pidfile's. */
async function untilNobody(box: Sandbox, word: string): Promise<void> {
  const name = `${word}.pid`;
  await box.until(`nobody has ${name}`, () => {
    for (const file of [`${name}.monitor`, name]) {
      send(
        () => box.holder(file),
        (pidfd) => pidfdSendSignal(pidfd, Signal.SIGTERM),
      );
    }
    return box.holder(name) === undefined &&
      box.holder(`${name}.monitor`) === undefined;
  });
}

/** Ends all of a pidfile's, and tries that it serves again. */
async function settle(box: Sandbox, word: string): Promise<void> {
  const name = `${word}.pid`;
  await untilNobody(box, word);
  const { code, stderr } = await box.tend(
    ...["--detach", "--monitor", `--pidfile=${name}`, "--", "sleep", word],
  );
  assertEquals([code, stderr], [0, ""]);
  const pid = box.pidfile(name);
  assertEquals(box.holder(name), pid);
  const stopped = await box.tend("stop", box.runPath(name));
  assertEquals([stopped.code, stopped.stdout, stopped.stderr], [0, "", ""]);
  // No waiting: stop returns when all is gone.
  assertEquals(box.runFiles().filter((file) => file.startsWith(word)), []);
}
