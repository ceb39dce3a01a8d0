/**
 * Files that anybody may have written: pidfiles, monitors' files, variables.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import fc from "fast-check";
import { Errno } from "../../ffi/libc.ts";
import { readEnvFile } from "../../lib/cli/env_file.ts";
import {
  encodeMonitorRecord,
  LARGEST_FILE,
  type MonitorRecord,
  readMonitorFile,
} from "../../lib/monitor_file.ts";
import {
  KILL_MODES,
  MONITOR_PHASES,
  RESTART_POLICIES,
  STREAMS,
} from "../../lib/monitor_state.ts";
import { type PidfileState, pidfileState } from "../../lib/pidfile_state.ts";
import { setLevels } from "../../lib/vlog_levels.ts";
import { holdLock } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";
import { type Property, tryProperties } from "./properties.ts";

/** Text as it is in memory: with NUL, with halves of characters, of any length. */
const TEXT = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 3 }).map((text) => text.repeat(900)),
).map((text) => text.replaceAll("\0", ""));

const TIME = fc.option(fc.nat().map((n) => n + 0.5), { nil: undefined });
const SOME_TEXT = fc.option(TEXT, { nil: undefined });

/** A record that a monitor could write. */
const RECORD: fc.Arbitrary<MonitorRecord> = fc.record({
  monitor: fc.integer({ min: 1, max: 1 << 22 }),
  name: TEXT,
  phase: fc.constantFrom(...MONITOR_PHASES),
  policy: fc.constantFrom(...RESTART_POLICIES),
  isFollowed: fc.option(fc.boolean(), { nil: undefined }),
  pid: fc.nat(),
  startedAt: TIME,
  crashes: fc.nat(),
  restarts: fc.nat(),
  lastEnd: fc.option(
    fc.record({
      pid: fc.nat(),
      text: TEXT,
      at: fc.nat(),
      uptime: TIME,
    }),
    { nil: undefined },
  ),
  lastStart: fc.option(
    fc.record({
      count: fc.nat(),
      pid: fc.nat(),
      ready: fc.boolean(),
      status: fc.nat(255),
      text: SOME_TEXT,
    }),
    { nil: undefined },
  ),
  backingOffUntil: TIME,
  statusText: SOME_TEXT,
  left: fc.array(fc.integer({ min: 1 })),
  gaveUp: fc.option(fc.constant("3 ends within 60 seconds"), {
    nil: undefined,
  }),
  command: fc.array(TEXT),
  killMode: fc.constantFrom(undefined, ...KILL_MODES),
  stopSignal: fc.option(fc.integer({ min: 1, max: 64 }), { nil: undefined }),
  stopTimeout: TIME,
  logFile: SOME_TEXT,
  outputs: fc.array(
    fc.record({
      streams: fc.constantFrom(...STREAMS),
      file: fc.uint8Array({ min: 1, maxLength: 100 }),
      count: fc.nat(),
      logger: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
      trouble: SOME_TEXT,
    }),
    { maxLength: 2 },
  ),
});

/** What a pidfile could hold. */
const CONTENT = (holder: number) =>
  fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(
      fc.constantFrom(
        `${holder}`,
        "0",
        "-",
        "+",
        " ",
        "\n",
        "\0",
        "\ufeff",
        "1",
      ),
      { maxLength: 6 },
    ).map((pieces) => new TextEncoder().encode(pieces.join(""))),
    fc.bigInt().map((n) => new TextEncoder().encode(`${n}\n`)),
  );

/** What the C's `strtoul()` makes of a line, where its result is a pid. */
function pidIn(content: Uint8Array): number | undefined {
  const text = Array.from(
    content.subarray(0, 127),
    (byte) => String.fromCharCode(byte),
  ).join("").split("\n")[0]!;
  const digits = /^[ \t\v\f\r]*(\d+)/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** What a file of variables could hold. */
const VARIABLES = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  fc.array(
    fc.oneof(
      fc.constantFrom(
        ...["A", "secret", "=", "==", "\n", "\n", "\r\n", "#", " ", "\t"],
        ...["\0", "\ufeff", '"', "$A", "export ", "\\\n"],
      ),
      fc.string({ unit: "binary", maxLength: 5 }),
    ),
    { maxLength: 12 },
  ).map((pieces) => new TextEncoder().encode(pieces.join(""))),
);

/** The variables in a file, or the number of the first line that is none. */
function variablesIn(content: Uint8Array): string[] | number {
  const text = Array.from(content, (byte) => String.fromCharCode(byte)).join(
    "",
  );
  const entries: string[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line === "" || line.startsWith("#")) continue;
    // Blanks of ASCII: the bytes of other letters are no blanks.
    const isGood = /^[^=\0 \t\v\f\r]+=[^\0]*$/.test(line);
    if (!isGood) return i + 1;
    entries.push(line);
  }
  return entries;
}

/** Whether a file begins with something that no daemon writes. */
function isTextLost(content: Uint8Array): boolean {
  const line = String.fromCharCode(...content.subarray(0, 127)).trimStart()
    .split("\n")[0]!;
  return /[^\s\0\d+-]/.test(line);
}

/** What may be wrong with a line of variables. */
const LINE_ERRORS = [
  "a NUL byte cannot be in a variable",
  "not NAME=VALUE",
  "there is no name before =",
  "there is a blank in the name",
];

/** Tries files that others have written. */
export async function fuzzFiles(budget: Budget): Promise<Row[]> {
  await using box = await Sandbox.create();
  setLevels("off");
  const [free, held] = [box.path("free.pid"), box.path("held.pid")];
  const file = box.path("variables");
  const holder = await holdLock(box, held);
  const properties: Property[] = [
    {
      what:
        "pidfileState() is running for the holder that is named, and no other",
      property: fc.property(CONTENT(holder), (content) => {
        Deno.writeFileSync(held, content);
        const state = pidfileState(held, true);
        if (pidIn(content) === holder) {
          assertEquals(state, { kind: "running", pid: holder });
        } else {
          // A start waits for it, or says that it cannot be told.
          assert(state.kind === "busy" || state.kind === "error", state.kind);
        }
        assertEquals(Deno.readFileSync(held), content);
      }),
    },
    {
      what:
        "pidfileState() removes what a daemon may have left, and nothing else",
      property: fc.property(CONTENT(holder), (content) => {
        Deno.writeFileSync(free, content);
        const state = pidfileState(free, false);
        assertEquals(Deno.readFileSync(free), content);
        const isStale = state.kind !== "noPidfile";
        if (isStale) {
          assertEquals(state, { kind: "error", errno: Errno.ESRCH });
          assertEquals(isTextLost(content), false);
        }
        const removed = { kind: isStale ? "none" : "noPidfile" };
        assertEquals(pidfileState(free, true), removed as PidfileState);
        assertEquals(box.exists(free), !isStale);
      }),
    },
    {
      what: "readEnvFile() has each line, or names one that is no variable",
      property: fc.property(VARIABLES, (content) => {
        Deno.writeFileSync(file, content);
        const wanted = variablesIn(content);
        let entries: Uint8Array[];
        try {
          entries = readEnvFile(file);
        } catch (error) {
          assert(error instanceof Error && typeof wanted === "number");
          const [, why] = error.message.split(`--env-file=${file}: `);
          // Nothing of what may be a password.
          assertMatch(
            why ?? "",
            new RegExp(`^line ${wanted}: (?:${LINE_ERRORS.join("|")})$`),
          );
          return;
        }
        const texts = entries.map((entry) => String.fromCharCode(...entry));
        assertEquals(texts, wanted);
      }),
    },
    {
      what: "readMonitorFile() reads what encodeMonitorRecord() made",
      property: fc.property(RECORD, (record) => {
        const bytes = encodeMonitorRecord(record);
        assert(bytes.length <= LARGEST_FILE, `${bytes.length} bytes`);
        Deno.writeFileSync(`${free}.monitor`, bytes);
        const file = readMonitorFile(free);
        assert(file.kind === "stale" && file.record !== undefined);
        const { monitor, phase, pid, crashes } = file.record;
        assertEquals({ monitor, phase, pid, crashes }, {
          monitor: record.monitor,
          phase: record.phase,
          pid: record.pid,
          crashes: record.crashes,
        });
      }),
    },
    {
      what: "readMonitorFile() takes no record with bytes changed for one",
      property: fc.property(
        RECORD,
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 4 }),
        (record, place, change) => {
          const bytes = encodeMonitorRecord(record);
          Deno.writeFileSync(`${free}.monitor`, bytes);
          const whole = readMonitorFile(free);
          bytes.set(change, place % (bytes.length - 4));
          Deno.writeFileSync(`${free}.monitor`, bytes);
          const file = readMonitorFile(free);
          assert(file.kind === "stale");
          if (file.record !== undefined) assertEquals(file, whole);
        },
      ),
    },
    {
      what: "readMonitorFile() has a record or none for any content",
      property: fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 5000 }),
          fc.json().map((text) => new TextEncoder().encode(text)),
        ),
        (content) => {
          Deno.writeFileSync(`${free}.monitor`, content);
          const file = readMonitorFile(free);
          assertEquals(file, { kind: "stale", record: undefined });
        },
      ),
    },
  ];
  return await tryProperties(properties, budget);
}
