/**
 * What is done to daemons in races.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { close } from "../../ffi/descriptor.ts";
import { LibcError } from "../../ffi/libc.ts";
import { pidfdOpen, pidfdSendSignal } from "../../ffi/pidfd.ts";
import { Signal } from "../../ffi/signal.ts";
import { sendRequest } from "../../lib/request.ts";
import type { Ovsdb } from "../ovsdb.ts";
import type { Random } from "../random.ts";
import { type Finished, type Sandbox, TEND } from "../sandbox.ts";
import type { Tally } from "./tally.ts";

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

/** What is run; `undefined` is a start. */
const VERBS = [
  ...[undefined, undefined, undefined],
  ...["stop", "restart", "status"] as const,
];

/** What a verb may say that could not do it, since others did something else. */
const VERB_REFUSALS = {
  stop:
    /^tend: \S+: (?:another was started meanwhile, as pid \d+|is changing all the time), not stopped$/,
  restart:
    /^tend: \S+: (?:not running, start it with .*|no tend looks after pid \d+, not restarted: .*|(?:is being stopped|has just ended|its monitor has ended(?: \(.*\))?), not restarted|the new daemon failed before it was ready \(.*\).*)$/,
} as const;

/** Does something at random. */
export async function act(
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
      if (ovsdb !== undefined) await startServer(box, random, word, ovsdb, row);
      return;
    default:
      await runTend(box, random, word, row);
  }
}

/** Starts a server of Open vSwitch, which knows nothing of tend. */
export async function startServer(
  box: Sandbox,
  random: Random,
  word: string,
  ovsdb: Ovsdb,
  row: Tally,
): Promise<void> {
  const options = random.pick([["--monitor"], []]);
  await row.attempt(`ovsdb-server ${options}, ${word}.pid`, async () => {
    const { code } = await ovsdb.start(box.runPath(`${word}.pid`), ...options);
    // Whoever does not get it says so; the C has other words than we. Its own
    // monitor's child may be killed by another's signal, too.
    assert(code === 0 || code === 1, `exit status ${code}`);
  });
}

/** Starts a daemon, or does something else to it, and looks what that says. */
export async function runTend(
  box: Sandbox,
  random: Random,
  word: string,
  row: Tally,
): Promise<void> {
  const name = `${word}.pid`;
  const verb = random.pick(VERBS);
  const args = verb === undefined
    ? [
      ...["--detach", ...random.pick(KINDS), random.pick(SLEEPS)],
      ...[`--pidfile=${name}`, "--", "sleep", word],
    ]
    : [verb, box.runPath(name)];
  await row.attempt(args.join(" "), async () => {
    const finished = await box.run(
      ["timeout", "--signal=KILL", "60", TEND, ...args],
    );
    if (verb === undefined) checkStart(finished);
    else checkVerb(verb, finished);
  });
}

/** Starts a daemon, and has the exit status. */
export async function startTend(
  box: Sandbox,
  random: Random,
  word: string,
): Promise<number> {
  const finished = await box.run([
    ...["timeout", "--signal=KILL", "60", TEND, "--detach"],
    ...[...random.pick(KINDS), random.pick(SLEEPS)],
    ...[`--pidfile=${word}.pid`, "--", "sleep", word],
  ]);
  checkStart(finished);
  return finished.code;
}

function checkStart({ code, stderr }: Finished): void {
  // What a monitor says of what others do to it, while it may.
  const lines = linesOf(stderr).filter((line) =>
    !/\|(?:WARN|INFO)\|/.test(line)
  );
  if (code === 0 && lines.length === 0) return;
  const isKnown = lines.every((line) =>
    REFUSALS.some((refusal) => refusal.test(line))
  );
  assert(code !== 0 && isKnown, `exit status ${code}: ${stderr}`);
}

function checkVerb(
  verb: NonNullable<typeof VERBS[number]>,
  { code, stdout, stderr }: Finished,
): void {
  const said = `exit status ${code}: ${stdout}${stderr}`;
  if (verb === "status") {
    const [, line, ...more] = linesOf(stdout);
    assert(stderr === "" && line !== undefined && more.length === 0, said);
    assert([0, 1, 3].includes(code) || /unknown/.test(line), said);
    return;
  }
  const lines = linesOf(stderr);
  if (code === 0 && lines.length === 0) return;
  const isKnown = lines.every((line) => VERB_REFUSALS[verb].test(line));
  assert(code !== 0 && isKnown, said);
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** Sends to whoever has a lock, if that has it still: by a descriptor. */
export function send(
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
