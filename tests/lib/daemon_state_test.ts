import { assertEquals } from "@std/assert/equals";
import type { DaemonLook } from "../../lib/daemon_look.ts";
import { viewOf } from "../../lib/daemon_state.ts";
import type { MonitorRecord } from "../../lib/monitor_file.ts";
import { MONITOR_PHASES } from "../../lib/monitor_state.ts";
import "../open_libc.ts";

/** No process has such a number. */
const [NOBODY, MONITOR] = [0x7fff_fff0, 0x7fff_fff1];

const RECORD: MonitorRecord = {
  monitor: MONITOR,
  name: "web",
  phase: "running",
  policy: "on-error-signal",
  pid: NOBODY,
  startedAt: 1,
  crashes: 0,
  restarts: 0,
  lastEnd: undefined,
  lastStart: undefined,
  backingOffUntil: undefined,
  isFollowed: undefined,
  left: [],
  gaveUp: undefined,
  statusText: undefined,
  command: ["web"],
  killMode: undefined,
  stopSignal: undefined,
  stopTimeout: undefined,
  logFile: undefined,
  outputs: [],
};

function held(
  record: Partial<MonitorRecord> | undefined,
  monitor = MONITOR,
): DaemonLook["monitor"] {
  return {
    kind: "held",
    monitor,
    record: record && { ...RECORD, ...record },
  };
}

const NONE = { kind: "none" } as const;
const STALE = { kind: "stale" } as const;
const RUNNING = { kind: "running", pid: NOBODY } as const;
const STALE_MONITOR = { kind: "stale", record: RECORD } as const;

/** What is to be seen, the state, the daemon, and what else there is to know. */
const VIEWS: readonly [
  string,
  DaemonLook["pidfile"],
  DaemonLook["monitor"],
  [string, number | undefined, string | undefined],
][] = [
  ["nothing", NONE, NONE, ["stopped", undefined, undefined]],
  ["a stale pidfile", STALE, NONE, ["stale", undefined, undefined]],
  ["a stale monitor's file", NONE, STALE_MONITOR, [
    "stale",
    undefined,
    undefined,
  ]],
  ["a daemon alone", RUNNING, NONE, ["running", NOBODY, "unmonitored"]],
  ["a daemon whose monitor was killed", RUNNING, STALE_MONITOR, [
    "running",
    NOBODY,
    "monitor killed",
  ]],
  ["a daemon and a monitor that says nothing", RUNNING, held(undefined), [
    "running",
    NOBODY,
    "monitor not readable",
  ]],
  ["a daemon elsewhere", { kind: "elsewhere" }, NONE, [
    "running",
    undefined,
    "in another PID namespace",
  ]],
  ["a monitor elsewhere", NONE, held({ phase: "backingOff" }, 7), [
    "backingOff",
    undefined,
    "in another PID namespace",
  ]],
  ["one that is forked and not noted", RUNNING, held({ phase: "backingOff" }), [
    "starting",
    NOBODY,
    undefined,
  ]],
  [
    "one that is forked after another was cleared up",
    RUNNING,
    held({
      phase: "clearing",
    }),
    ["starting", NOBODY, undefined],
  ],
  ["one that has left something", STALE, held({ phase: "clearing" }), [
    "clearing",
    undefined,
    undefined,
  ]],
  ["one that has ended and not been noted", STALE, held({}), [
    "ended",
    undefined,
    undefined,
  ]],
  ["a daemon that would not be restarted", RUNNING, held({ policy: "no" }), [
    "running",
    NOBODY,
    "unmonitored",
  ]],
  ["a pidfile that cannot be read", { kind: "error", reason: "why" }, NONE, [
    "unknown",
    undefined,
    "why",
  ]],
  ["a monitor's file that cannot be read", NONE, {
    kind: "error",
    reason: "why",
  }, ["unknown", undefined, "its monitor's file: why"]],
];

for (const [what, pidfile, monitor, expected] of VIEWS) {
  Deno.test(`viewOf() ${what} is ${expected[0]}`, () => {
    const { state, pid, remark } = viewOf({ pidfile, monitor });
    assertEquals([state, pid, remark], expected);
  });
}

for (const phase of MONITOR_PHASES) {
  if (phase === "backingOff" || phase === "clearing") continue;
  Deno.test(`viewOf() a daemon whose monitor is ${phase} is that`, () => {
    const { state, pid, monitor } = viewOf({
      pidfile: RUNNING,
      monitor: held({ phase }),
    });
    assertEquals([state, pid, monitor], [phase, NOBODY, MONITOR]);
  });
}
