import { assertEquals } from "@std/assert/equals";
import { O_CREAT, O_RDWR } from "../../ffi/file.ts";
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
import { opened, openFdCount } from "../descriptors.ts";
import { holdLock } from "../program.ts";
import { forAny, Random } from "../random.ts";
import { Sandbox } from "../sandbox.ts";
import { anyState } from "./any_state.ts";
import "../open_libc.ts";

/** A record that a monitor could write. */
function anyRecord(random: Random): MonitorRecord {
  const { name, startedAt, crashes, restarts, lastEnd, lastStart } = anyState(
    random,
  );
  return {
    monitor: 1 + random.below(1 << 22),
    name,
    phase: random.pick(MONITOR_PHASES),
    policy: random.pick(RESTART_POLICIES),
    isFollowed: random.pick([undefined, false, true]),
    pid: random.below(1 << 22),
    startedAt,
    crashes,
    restarts,
    lastEnd,
    lastStart,
    backingOffUntil: random.pick([undefined, 1795648671502]),
    left: random.pick([[], [7, 4711]]),
    gaveUp: random.pick([undefined, "3 ends within 60 seconds"]),
    statusText: random.pick([undefined, "", "Ready to accept connections"]),
    command: random.pick([[], ["web"], ["web", "", "\u{1f600}", "a\nb"]]),
    killMode: random.pick([undefined, ...KILL_MODES]),
    stopSignal: random.pick([undefined, 3, 64]),
    stopTimeout: random.pick([undefined, 0, 1500.5]),
    logFile: random.pick([undefined, "/var/log/web.log"]),
    outputs: random.pick([[], [
      {
        streams: random.pick(STREAMS),
        file: Uint8Array.from(
          { length: 1 + random.below(9) },
          () => 1 + random.below(255),
        ),
        count: random.below(100),
        logger: random.pick([undefined, 1]),
        trouble: random.pick([undefined, "write failed"]),
      },
    ]]),
  };
}

const RECORD: MonitorRecord = {
  ...anyRecord(new Random(1)),
  monitor: Deno.pid,
};

/** Puts bytes into web.pid.monitor, and reads that. */
async function readOf(bytes: Uint8Array | string): Promise<unknown> {
  await using box = await Sandbox.create();
  const file = box.path("web.pid.monitor");
  Deno.writeFileSync(
    file,
    typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes,
  );
  return readMonitorFile(box.path("web.pid"));
}

const STALE = { kind: "stale", record: undefined } as const;

Deno.test("readMonitorFile() reads what encodeMonitorRecord() made", async () => {
  await using box = await Sandbox.create();
  const pidfile = box.path("web.pid");
  forAny((random) => {
    const record = anyRecord(random);
    Deno.writeFileSync(`${pidfile}.monitor`, encodeMonitorRecord(record));
    assertEquals(readMonitorFile(pidfile), { kind: "stale", record });
  });
});

Deno.test("encodeMonitorRecord() cuts what is long, and never in a character", async () => {
  const long = "\u{1f600}".repeat(100_000);
  const bytes = encodeMonitorRecord({
    ...RECORD,
    name: long,
    command: Array(100_000).fill("\x01\u20ac"),
    lastEnd: { pid: 1, text: `a${long}`, at: 0, uptime: 1 },
    lastStart: { count: 1, pid: 1, ready: false, status: 1, text: long },
    logFile: `/${"\x01".repeat(4095)}`,
    outputs: (["stdout", "stderr"] as const).map((streams) => ({
      streams,
      file: new Uint8Array(4095).fill(1),
      count: 1,
      logger: 1,
      trouble: long,
    })),
  });
  assertEquals([bytes.length % 4096, bytes.length <= LARGEST_FILE], [0, true]);
  const file = await readOf(bytes) as { record: MonitorRecord };
  const { name, command, lastEnd, logFile } = file.record;
  assertEquals(name, `${"\u{1f600}".repeat(512)}…`);
  assertEquals(command.slice(0, 2), ["\x01\u20ac", "\x01\u20ac"]);
  assertEquals(command.at(-1), "…");
  assertEquals(lastEnd?.text, `a${"\u{1f600}".repeat(511)}…`);
  assertEquals(logFile?.length, 4096);
});

Deno.test("encodeMonitorRecord() makes no file shorter than it was", () => {
  assertEquals(encodeMonitorRecord(RECORD).length, 4096);
  assertEquals(encodeMonitorRecord(RECORD, 12288).length, 12288);
});

Deno.test("readMonitorFile() takes no part of one record and part of another for a record", async () => {
  const old = encodeMonitorRecord({ ...RECORD, pid: 1111, crashes: 1 });
  const young = encodeMonitorRecord({ ...RECORD, pid: 2222, crashes: 2 });
  await using box = await Sandbox.create();
  const pidfile = box.path("web.pid");
  const differ = old.findIndex((byte, i) => byte !== young[i]);
  const last = old.findLastIndex((byte, i) => byte !== young[i]);
  for (let i = differ + 1; i <= last; i++) {
    const torn = Uint8Array.of(...young.subarray(0, i), ...old.subarray(i));
    Deno.writeFileSync(`${pidfile}.monitor`, torn);
    assertEquals(readMonitorFile(pidfile), STALE);
  }
});

Deno.test("readMonitorFile() is none without a file, and for a directory that is not there", async () => {
  await using box = await Sandbox.create();
  for (const pidfile of ["web.pid", "no/such/web.pid"]) {
    assertEquals(readMonitorFile(box.path(pidfile)), { kind: "none" });
  }
});

/** A whole file with one field of another kind. */
function changed(field: string, value: unknown): Uint8Array {
  return encodeMonitorRecord({ ...RECORD, [field]: value });
}

const NO_RECORDS: readonly [what: string, bytes: Uint8Array | string][] = [
  ["nothing", ""],
  ["zeros", new Uint8Array(4096)],
  ["binary data", Uint8Array.from({ length: 5000 }, (_, i) => i * 7)],
  ["text", "1234\n"],
  ["JSON without a check", JSON.stringify({ version: 1, ...RECORD })],
  ["a wrong check", `{"check":1,"version":1}`],
  ["an enormous check", `{"check":${"9".repeat(4000)},"version":1}`],
  ["another version", changed("version", 2)],
  ["no pid", changed("monitor", 0)],
  ["a pid that is text", changed("pid", "1")],
  ["an unknown phase", changed("phase", "dozing")],
  ["a NUL in its command", changed("command", ["a\0b"])],
  ["a time below 0", changed("startedAt", -1)],
  ["an end without a pid", changed("lastEnd", { text: "a", at: 1 })],
  ["a NUL in its name", changed("name", "a\0b")],
];

for (const [what, bytes] of NO_RECORDS) {
  Deno.test(`readMonitorFile() has no record of a file with ${what}`, async () => {
    assertEquals(await readOf(bytes), STALE);
  });
}

Deno.test("readMonitorFile() reads nothing of a file of 1 GB", async () => {
  await using box = await Sandbox.create();
  const pidfile = box.path("web.pid");
  Deno.writeFileSync(`${pidfile}.monitor`, encodeMonitorRecord(RECORD));
  Deno.truncateSync(`${pidfile}.monitor`, 2 ** 30);
  assertEquals(readMonitorFile(pidfile), STALE);
});

const MADE: readonly [what: string, argv: string[], reason: string][] = [
  ["FIFO", ["mkfifo"], "not a regular file"],
  ["directory", ["mkdir"], "not a regular file"],
  [
    "symbolic link",
    ["ln", "-s", "/etc/passwd"],
    "Too many levels of symbolic links",
  ],
];

for (const [what, argv, reason] of MADE) {
  Deno.test(`readMonitorFile() says what is wrong with a ${what}, and leaves no descriptor`, async () => {
    await using box = await Sandbox.create();
    await box.run([...argv, box.path("web.pid.monitor")]);
    const before = openFdCount();
    assertEquals(readMonitorFile(box.path("web.pid")), {
      kind: "error",
      reason,
    });
    assertEquals(openFdCount(), before);
  });
}

Deno.test("readMonitorFile() is held by whoever has the lock, and has its record alone", async () => {
  await using box = await Sandbox.create();
  const pidfile = box.path("web.pid");
  const file = `${pidfile}.monitor`;
  opened(file, O_RDWR | O_CREAT)[Symbol.dispose]();
  const monitor = await holdLock(box, file);
  const held = { kind: "held", monitor } as const;
  assertEquals(readMonitorFile(pidfile), { ...held, record: undefined });
  // Left by one that was killed.
  using writer = Deno.openSync(file, { write: true });
  writer.writeSync(encodeMonitorRecord(RECORD));
  assertEquals(readMonitorFile(pidfile), { ...held, record: undefined });
  const record = { ...RECORD, monitor };
  writer.seekSync(0, Deno.SeekMode.Start);
  writer.writeSync(encodeMonitorRecord(record));
  assertEquals(readMonitorFile(pidfile), { ...held, record });
});
