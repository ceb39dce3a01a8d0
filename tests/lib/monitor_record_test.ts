import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  decodeMonitorState,
  encodeMonitorState,
} from "../../lib/monitor_record.ts";
import type { MonitorState } from "../../lib/monitor_state.ts";
import { forAny, Random } from "../random.ts";
import { anyState } from "./any_state.ts";

type Json = Record<string, unknown>;

/** What a record is after it was text. */
function asText(state: MonitorState): Json {
  return JSON.parse(JSON.stringify(encodeMonitorState(state)));
}

Deno.test("decodeMonitorState() is what encodeMonitorState() was given", () => {
  forAny((random) => {
    const state = anyState(random);
    assertEquals(decodeMonitorState(asText(state)), state);
  });
});

Deno.test("decodeMonitorState() finds the socket for messages of an older tend", () => {
  const how = "notify" as const;
  const ready = { how, operand: "", timeout: 1 };
  const state = { ...anyState(new Random(1)), ready, messagesFd: 7 };
  const { messagesFd: _, ...older } = asText({ ...state, readinessFd: 7 });
  assertEquals(decodeMonitorState(older), { ...state, readinessFd: -1 });
});

/** Says what it is not of a state, or decodes to one that can be encoded. */
function decodesOrThrows(value: unknown): void {
  let state: MonitorState;
  try {
    state = decodeMonitorState(value);
  } catch (error) {
    assert(error instanceof Error && !(error instanceof TypeError), `${error}`);
    return;
  }
  assertEquals(decodeMonitorState(asText(state)), state);
}

/** Values of all types, and numbers and texts that are none of ours. */
const HOSTILE: readonly unknown[] = [
  ...[undefined, null, true, "", "1", "a\0b", "\u0100", "__proto__"],
  ...[[], [1], [[]], {}, { path: "a" }, { path: 1, argv: [], ignored: [] }],
  ...[-2, -1, 0.5, 2 ** 31, 2 ** 53, 1e308, -1e308, -0, 256, 65],
];

Deno.test("decodeMonitorState() throws for a field of another kind, or it is a state all the same", () => {
  const names = Object.keys(anyState(new Random(1)));
  forAny((random) => {
    const record = asText(anyState(random));
    decodesOrThrows({
      ...record,
      [random.pick(names)]: random.pick(HOSTILE),
    });
    const command = { path: "/a", argv: ["a"], ignored: [13] };
    const part = random.pick([
      ...["path", "argv", "ignored", "surroundings", "outputs"],
    ]);
    decodesOrThrows({
      ...record,
      command: { ...command, [part]: random.pick(HOSTILE) },
    });
    const surroundings = {
      limits: [{ name: "core", soft: "0", hard: "18446744073709551615" }],
      identity: { uid: 1, gid: 2, groups: [3] },
      clearEnv: true,
      env: ["A=1"],
      noNewPrivileges: false,
    };
    const one = random.pick(Object.keys(surroundings));
    decodesOrThrows({
      ...record,
      command: {
        ...command,
        surroundings: { ...surroundings, [one]: random.pick(HOSTILE) },
      },
    });
  });
});

Deno.test("decodeMonitorState() throws for a record without one of its fields", () => {
  const full = asText(anyState(new Random(1)));
  const needed = [
    ...["phase", "policy", "overwritePidfile", "detach", "chdir", "daemonPid"],
    ...["daemonIsFork", "everReady", "crashes", "statusMsg", "exitStatus"],
    ...["coreDumped", "signalFd", "startupFd", "notifyFd", "deadlineFd"],
    "program",
  ];
  for (const name of needed) {
    const { [name]: _, ...rest } = full;
    assertThrows(() => decodeMonitorState(rest), Error, `${name} is no`);
  }
});

Deno.test("decodeMonitorState() takes a record of a tend that had no monitor's file", () => {
  const {
    name: _1,
    monitorFd: _2,
    restarts: _3,
    startedAt: _4,
    lastEnd: _5,
    lastStart: _6,
    restartMsg: _7,
    backingOffUntil: _8,
    ...old
  } = asText(anyState(new Random(1)));
  const { name, monitorFd, restarts, lastStart } = decodeMonitorState(old);
  assertEquals([name, monitorFd, restarts, lastStart], ["", -1, 0, undefined]);
});

Deno.test("decodeMonitorState() takes a record of a tend that had no loggers", () => {
  const { loggers: _1, stderrFrom: _2, lastWords: _3, ...old } = asText(
    anyState(new Random(1)),
  );
  const { loggers, stderrFrom, lastWords } = decodeMonitorState(old);
  assertEquals([loggers, stderrFrom, lastWords], [[], undefined, undefined]);
});

Deno.test("decodeMonitorState() takes a record of a tend that gave a command no surroundings", () => {
  const command = { path: "a", argv: ["a"], ignored: [] };
  const record = { ...asText(anyState(new Random(1))), command };
  const { surroundings, outputs } = decodeMonitorState(record).command!;
  assertEquals([surroundings, outputs], [undefined, undefined]);
});

/** Surroundings of a command in a record, with one field that is another. */
function withSurroundings(changed: Record<string, unknown>): Json {
  const surroundings = {
    limits: [],
    clearEnv: false,
    env: [],
    noNewPrivileges: false,
    ...changed,
  };
  return { path: "a", argv: ["a"], ignored: [], surroundings };
}

for (const value of [undefined, null, 1, "state", []]) {
  Deno.test(`decodeMonitorState() throws for ${JSON.stringify(value)}`, () => {
    assertThrows(() => decodeMonitorState(value), Error);
  });
}

/** Outputs of a command in a record, with one field that is another. */
function withOutputs(changed: Record<string, unknown>): Json {
  const outputs = {
    files: [{ streams: "both", file: "/a" }],
    logging: { rotate: { size: 1, count: 1 }, timestamps: true },
    ...changed,
  };
  return { path: "a", argv: ["a"], ignored: [], outputs };
}

const LOGGER = { pid: 1, since: 0, readFd: 3, writeFd: 4, ackFd: 5 };

const REFUSED: readonly [field: string, value: unknown, reason: string][] = [
  ["phase", "dozing", "phase is none of starting,notReady"],
  ["policy", "often", "policy is none of no,on-error-signal"],
  ["pidfile", "a\0b", "pidfile is no text"],
  ["daemonPid", -1, "daemonPid is no whole number from 0 on"],
  ["daemonPid", 2 ** 31, "daemonPid is no whole number"],
  ["crashes", 1.5, "crashes is no whole number"],
  ["exitStatus", 256, "exitStatus is no whole number"],
  ["signalFd", -1, "signalFd is no whole number"],
  ["deadline", -1, "deadline is no time"],
  ["deadline", "1", "deadline is no time"],
  ["everReady", 1, "everReady is no boolean"],
  ["command", { argv: [], ignored: [] }, "command is path is no bytes"],
  [
    "command",
    { path: "\u0100", argv: [], ignored: [] },
    "command is path is no bytes",
  ],
  ["command", { path: "a", argv: "a", ignored: [] }, "argv is no list"],
  ["command", { path: "a", argv: [], ignored: [65] }, "ignored is no whole"],
  ...([
    [{ nice: 20 }, "nice is no whole number"],
    [{ oomScoreAdj: -1001 }, "oomScoreAdj is no whole number"],
    [{ umask: 0o1000 }, "umask is no whole number"],
    [{ identity: { uid: 2 ** 32 - 1, gid: 0, groups: [] } }, "uid is no whole"],
    [{ identity: { uid: 1, gid: 1, groups: [-1] } }, "groups is no whole"],
    [{ identity: { uid: 1, gid: 1 } }, "groups is no list"],
    [{ limits: [{ name: "toString", soft: "1", hard: "1" }] }, "name is none"],
    [{ limits: [{ name: "as", soft: 1, hard: "1" }] }, "soft is no number of"],
    [
      { limits: [{ name: "as", soft: "1", hard: "18446744073709551616" }] },
      "hard is no number of 64 bits",
    ],
    [{ env: ["a\0"] }, "env is no bytes"],
    [{ chdir: 1 }, "chdir is no bytes"],
    [{ clearEnv: undefined }, "clearEnv is no boolean"],
  ] as const).map(([changed, why]): [string, unknown, string] => [
    "command",
    withSurroundings(changed),
    `command is surroundings is ${why}`.replace(
      /is (uid|gid|groups|name|soft|hard) /,
      (_, field) =>
        `is ${
          ["uid", "gid", "groups"].includes(field) ? "identity" : "limits"
        } is ${field} `,
    ),
  ]),
  ...([
    [{ files: [{ streams: "stdin", file: "/a" }] }, "streams is none of both"],
    [{ files: [{ streams: "both", file: "a\0" }] }, "file is no bytes"],
    [{ files: "/a" }, "files is no list"],
    [{ logging: { timestamps: 1 } }, "timestamps is no boolean"],
    [
      { logging: { rotate: { size: 0, count: 1 }, timestamps: true } },
      "size is no whole number from 1 on",
    ],
    [
      { logging: { rotate: { size: 1, count: 0 }, timestamps: true } },
      "count is no whole number from 1 on",
    ],
  ] as const).map(([changed, why]): [string, unknown, string] => [
    "command",
    withOutputs(changed),
    why,
  ]),
  ["loggers", [{ ...LOGGER, pid: -1 }], "loggers is pid is no whole number"],
  ["loggers", [{ ...LOGGER, readFd: -1 }], "loggers is readFd is no whole"],
  ["loggers", [{ ...LOGGER, since: "0" }], "loggers is since is no time"],
  ["loggers", LOGGER, "loggers is no list"],
  ["stderrFrom", { dev: "1:2", ino: "1", size: -1 }, "size is no number of"],
  ["log", { sequence: -1, levels: [] }, "log is sequence is no whole"],
];

for (const [field, value, reason] of REFUSED) {
  Deno.test(`decodeMonitorState() throws for ${field} ${JSON.stringify(value)}`, () => {
    const record = { ...asText(anyState(new Random(1))), [field]: value };
    assertThrows(() => decodeMonitorState(record), Error, reason);
  });
}
