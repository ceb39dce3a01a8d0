/**
 * Commands that end by each signal and each exit status: the monitor decides as
 * its policy has it, says what happened, and passes it on.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { Signal, strsignal } from "../../ffi/signal.ts";
import type { WaitStatus } from "../../ffi/wait_status.ts";
import { exitStatusOf } from "../../ffi/wait_status.ts";
import { processStatusMsg } from "../../lib/process_status.ts";
import { Random } from "../random.ts";
import { Sandbox } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

/** Those that end no process by themselves. */
const HARMLESS: readonly number[] = [
  // glibc's own, which callers may have ignored.
  32,
  33,
  Signal.SIGCHLD,
  Signal.SIGCONT,
  Signal.SIGSTOP,
  Signal.SIGTSTP,
  Signal.SIGTTIN,
  Signal.SIGTTOU,
  Signal.SIGURG,
  Signal.SIGWINCH,
];

/** Every way to end. */
const ENDS: readonly WaitStatus[] = [
  ...Array.from(
    { length: 256 },
    (_, code) => ({ kind: "exited", code }) as const,
  ),
  ...Array.from({ length: 64 }, (_, i) => i + 1)
    .filter((signal) => !HARMLESS.includes(signal))
    .map((signal) =>
      ({ kind: "signaled", signal, coreDumped: false }) as const
    ),
];

/** Of those which no restart follows under `--monitor`: all are alike there. */
const STATUSES: readonly number[] = [0, 1, 2, 5, 126, 127, 128, 139, 255];

interface Case {
  readonly policy: string;
  readonly end: WaitStatus;
}

/** What daemon(7) of Open vSwitch calls error signals, by another list. */
const ERRORS = [
  "ABRT",
  "ALRM",
  "BUS",
  "FPE",
  "ILL",
  "PIPE",
  "SEGV",
  "XCPU",
  "XFSZ",
];

/** Whether an end is followed by a restart. */
const POLICIES: Record<string, (end: WaitStatus) => boolean> = {
  "--monitor": (end) =>
    end.kind === "signaled" &&
    ERRORS.some((name) =>
      Signal[`SIG${name}` as keyof typeof Signal] === end.signal
    ),
  "--restart=on-failure": (end) =>
    end.kind === "signaled" || end.kind === "exited" && end.code !== 0,
  "--restart=always": () => true,
};

/** Ends as a word says; no core is dumped. */
const DIE = `ulimit -c 0
die() { case $1 in exit) exit "$2";; esac; kill -"$2" $$; exit 99; }`;

function wordsOf(end: WaitStatus): [string, string] {
  if (end.kind === "exited") return ["exit", `${end.code}`];
  if (end.kind === "signaled") return ["kill", `${end.signal}`];
  throw new Error(`${end.kind} is no end`);
}

/** Those under a policy that one monitor cannot go through. */
function areAlone({ policy, end }: Case): boolean {
  return policy === "--monitor"
    ? end.kind === "signaled" || STATUSES.includes(exitStatusOf(end))
    : !POLICIES[policy]!(end);
}

/**
 * Tries every end: those that are followed by a restart by one monitor, one after
 * the other, and each alone.
 *
 * @param budget How long, and which order.
 * @param isFull Whether all of them are tried alone, however long that takes.
 */
export async function stormEnds(
  { seconds, seed }: Budget,
  isFull: boolean,
): Promise<Row[]> {
  const log = new Tally(
    "every end, logged by the monitor that restarts after all",
    Object.keys(POLICIES).length,
  );
  for (const policy of Object.keys(POLICIES)) {
    await log.attempt(
      `TEND_TEST_SEED=${seed}, ${policy}`,
      () => tryAllEnds(policy, new Random(seed)),
    );
  }
  const deadline = Date.now() + seconds * 1000;
  const cases = Object.keys(POLICIES).flatMap((policy) =>
    ENDS.map((end) => ({ policy, end }))
  );
  const decision = new Tally(
    "every end under every policy: decision, status, sentence",
    cases.length,
  );
  const shuffled = new Random(seed).shuffled(cases);
  const first = shuffled.filter(areAlone);
  const rest = shuffled.filter((one) => !areAlone(one));
  await Promise.all([0, 1].map(async () => {
    for (;;) {
      const isInTime = isFull || Date.now() <= deadline;
      const next = first.pop() ?? (isInTime ? rest.pop() : undefined);
      if (next === undefined) return;
      const { policy, end } = next;
      await decision.attempt(
        `${policy}, ${processStatusMsg(end)}`,
        () => tryEnd(policy, end),
      );
    }
  }));
  return [log, decision];
}

/** One monitor goes through all of them that it restarts after. */
async function tryAllEnds(policy: string, random: Random): Promise<void> {
  await using box = await Sandbox.create();
  const plan = random.shuffled(ENDS.filter(POLICIES[policy]!));
  Deno.writeTextFileSync(
    box.path("plan"),
    plan.map((end) => `${wordsOf(end).join(" ")}\n`).join(""),
  );
  Deno.writeTextFileSync(box.path("count"), "0\n");
  // What it is to do next stands in a file, and each says who it was.
  const script = `${DIE}
cd "$1"; read count <count; count=$((count + 1)); echo $count >count
echo $$ >>pids; set -- $(sed -n "$count"p plan)
[ $# = 0 ] && exec sleep 600; die "$@"`;
  const { code, stderr } = await box.tend(
    ...["--detach", policy, "--restart-delay=0", "--pidfile=web.pid"],
    ...["--name=web", "--log-file", "--sleep-after=never"],
    ...["--", "sh", "-c", script, "sh", box.dir],
  );
  assertEquals([code, stderr], [0, ""]);
  await box.until(
    "all ends have come",
    () => lines(box, "pids").length > plan.length,
  );
  const pids = lines(box, "pids");
  const said = lines(box, "log/web.log").map((line) =>
    line.split("|").slice(2).join("|")
  );
  assertEquals(
    said,
    plan.map((end, i) =>
      `daemon_unix(monitor)|ERR|${i + 1} crashes: pid ${pids[i]} died, ${
        textOf(end)
      }, restarting`
    ),
  );
  assertEquals(box.pidfile("web.pid"), Number(pids.at(-1)));
}

function lines(box: Sandbox, name: string): string[] {
  return (box.read(box.path(name)) ?? "").split("\n").slice(0, -1);
}

function textOf(end: WaitStatus): string {
  return end.kind === "signaled"
    ? `killed (${strsignal(end.signal)})`
    : processStatusMsg(end);
}

/** One that ends so at first, and then with another status. */
async function tryEnd(policy: string, end: WaitStatus): Promise<void> {
  await using box = await Sandbox.create();
  const script = `${DIE}
[ -e "$1" ] && exit 77; : >"$1"; die "$2" "$3"`;
  // The second one ends it too where that is followed by others without end.
  const limit = policy === "--monitor" ? [] : ["--restart-limit=2/1h"];
  const { code, stderr } = await box.tend(
    ...[policy, "--restart-delay=0", ...limit, "--sleep-after=never"],
    ...["--", "sh", "-c", script, "sh", box.path("once"), ...wordsOf(end)],
  );
  const isRestarted = POLICIES[policy]!(end);
  assertEquals(code, isRestarted ? 77 : exitStatusOf(end), stderr);
  const said = stderr.trimEnd().split("\n").map((line) =>
    line.split("|").slice(3).join("|").replace(/pid \d+/, "pid N")
  );
  assertEquals(said, [
    isRestarted
      ? `ERR|1 crashes: pid N died, ${textOf(end)}, restarting`
      : `INFO|pid N died, ${textOf(end)}, exiting`,
    ...(!isRestarted
      ? []
      : policy === "--monitor"
      ? ["INFO|pid N died, exit status 77, exiting"]
      : [
        "ERR|2 crashes: pid N died, exit status 77, 2 ends within 3600 seconds, giving up",
      ]),
  ]);
  assertEquals(box.processes(), []);
}
