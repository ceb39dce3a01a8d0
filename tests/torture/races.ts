/**
 * Starts, stops, restarts and crashes that come all at once, on one pidfile and
 * on several, with servers of Open vSwitch among them.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { close } from "../../ffi/descriptor.ts";
import { LibcError } from "../../ffi/libc.ts";
import { pidfdOpen, pidfdSendSignal } from "../../ffi/pidfd.ts";
import { Signal } from "../../ffi/signal.ts";
import { sendRequest } from "../../lib/request.ts";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { Random } from "../random.ts";
import { type Finished, Sandbox, TEND } from "../sandbox.ts";
import type { Observation } from "./observer.ts";
import { pidRecycling } from "./pid_recycling.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

const OBSERVER = new URL("observer.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** So many go on at once. */
const AT_ONCE = 6;

const KINDS: readonly (readonly string[])[] = [
  ["--monitor"],
  ["--restart=always", "--restart-delay=0"],
  ["--monitor", "--restart-delay=50ms"],
  [],
  ["--exec"],
];
const SLEEPS = ["--sleep-after=0", "--sleep-after=30ms", "--sleep-after=never"];

/** What a start may say that has lost, or was ended by somebody. */
const REFUSALS: readonly RegExp[] = [
  /^tend: \S+: already running as pid \d+, aborting$/,
  /^tend: \S+: already monitored by pid \d+(?: \(.*\))?, aborting$/,
  // Killed by another's signal before it was ready.
  /\|ERR\|fork child died before signaling startup \(killed \(\w+(?: \w+)?\)\)$/,
  /^tend: could not (?:initiate process monitoring|start the daemon|detach)/,
];

/** Tries races. */
export async function races({ seconds, seed }: Budget): Promise<Row[]> {
  const share = { seconds: seconds / 3, seed };
  return [
    ...await race(1, share),
    ...await race(5, share),
    ...await pidRecycling(share),
  ];
}

async function race(count: number, { seconds, seed }: Budget): Promise<Row[]> {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  // No other run of this has the same commands.
  const words = Array.from(
    { length: count },
    (_, i) => `${1_000_000 + Deno.pid}.${seed % 1000}${i}`,
  );
  const where = count === 1 ? "one pidfile" : `${count} pidfiles`;
  const rows = {
    done: new Tally(`starts, stops, restarts and crashes at once on ${where}`),
    seen: new Tally(
      `looks of an observer at ${where}: one holder, one command`,
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
  const servers = WITHOUT_OVSDB
    ? []
    : await Promise.all([0, 1].map((i) => Ovsdb.create(box, `db${i}`)));
  const deadline = Date.now() + seconds * 800;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, i) => {
      const random = new Random(seed + i);
      while (Date.now() < deadline) {
        await act(box, random, random.pick(words), servers[i], rows.done);
      }
    }),
  );
  for (const word of words) {
    await rows.after.attempt(word, () => settle(box, word));
  }
  Deno.writeTextFileSync(box.path("run/end"), "");
  const { stdout, stderr } = await observer.finished();
  assertEquals(stderr, "");
  const { looks, daemons, commands, violations }: Observation = JSON.parse(
    stdout,
  );
  rows.seen.tried = looks;
  rows.seen.held = looks - violations.length;
  rows.seen.failures.push(...violations);
  assert(daemons > 0 && commands > 0, "the observer has seen nothing");
  return Object.values(rows);
}

/** Does something at random. */
async function act(
  box: Sandbox,
  random: Random,
  word: string,
  ovsdb: Ovsdb | undefined,
  row: Tally,
): Promise<void> {
  const name = `${word}.pid`;
  const monitor = () => box.holder(`${name}.monitor`);
  const daemon = () => box.holder(name);
  const signal = (number: number) => (pidfd: number) =>
    pidfdSendSignal(pidfd, number);
  switch (random.below(10)) {
    case 0:
      return send(monitor, signal(Signal.SIGTERM));
    case 1:
      return send(
        monitor,
        (pidfd) => sendRequest(pidfd, { kind: "stop", signal: Signal.SIGTERM }),
      );
    case 2:
      return send(
        monitor,
        (pidfd) =>
          sendRequest(pidfd, { kind: "restart", signal: Signal.SIGTERM }),
      );
    case 3:
      return send(monitor, signal(Signal.SIGKILL));
    case 4:
    case 5:
      return send(
        daemon,
        signal(random.pick([Signal.SIGSEGV, Signal.SIGKILL])),
      );
    case 6:
      if (ovsdb === undefined) return;
      // Whoever does not get it says so; the C has other words than we.
      await ovsdb.start(box.runPath(name), ...random.pick([["--monitor"], []]));
      return;
    default:
      await row.attempt(name, async () =>
        check(
          await box.run([
            ...["timeout", "--signal=KILL", "60", TEND, "--detach"],
            ...[...random.pick(KINDS), random.pick(SLEEPS)],
            ...[`--pidfile=${name}`, "--", "sleep", word],
          ]),
        ));
  }
}

function check({ code, stderr }: Finished): void {
  const lines = stderr.split("\n").filter((line) =>
    // What a monitor says of what others do to it, while it may.
    line !== "" && !/\|(?:WARN|INFO)\|/.test(line)
  );
  const isKnown = lines.every((line) =>
    REFUSALS.some((refusal) => refusal.test(line))
  );
  if (code === 0 && lines.length === 0) return;
  assert(code !== 0 && isKnown, `exit status ${code}: ${stderr}`);
}

/** Sends to whoever has a lock, if that has it still: by a descriptor. */
function send(
  holder: () => number | undefined,
  how: (pidfd: number) => void,
): void {
  const pid = holder();
  if (pid === undefined || pid <= 0) return;
  try {
    const pidfd = pidfdOpen(pid);
    try {
      if (holder() === pid) how(pidfd);
    } finally {
      close(pidfd);
    }
  } catch (error) {
    if (!(error instanceof LibcError && error.code === "ESRCH")) throw error;
  }
}

/** Ends all of a pidfile's, and tries that it serves again. */
async function settle(box: Sandbox, word: string): Promise<void> {
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
  const { code, stderr } = await box.tend(
    ...["--detach", "--monitor", `--pidfile=${name}`, "--", "sleep", word],
  );
  assertEquals([code, stderr], [0, ""]);
  const pid = box.pidfile(name);
  assertEquals(box.holder(name), pid);
  send(
    () => box.holder(`${name}.monitor`),
    (pidfd) => sendRequest(pidfd, { kind: "stop", signal: Signal.SIGTERM }),
  );
  await box.until(
    "it has ended and left nothing",
    () => !box.runFiles().some((file) => file.startsWith(word)),
  );
}
