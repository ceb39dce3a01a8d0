import {
  close,
  closesOnExec,
  pipe2,
  setCloseOnExec,
} from "../../ffi/descriptor.ts";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { environ, environment } from "../../ffi/environment.ts";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import { O_RDONLY, open } from "../../ffi/file.ts";
import { getppid } from "../../ffi/process.ts";
import {
  decodeStage,
  encodeStage,
  environmentWith,
  type Stage,
  takeStage,
} from "../../lib/stage.ts";
import type { Logger, MonitorState } from "../../lib/monitor_state.ts";
import { notifySocket } from "../../lib/notify_socket.ts";
import { signalfd } from "../../ffi/signal.ts";
import { eventfd, intervalTimerfd, timerfd } from "../../ffi/wait.ts";
import { forAny, Random } from "../random.ts";
import { CONFIG, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import { runStaged } from "../staged.ts";
import { anyState } from "./any_state.ts";
import "../open_libc.ts";

const ROLES = ["detached", "monitor", "daemon"] as const;
const STAGE: Stage = { role: "daemon", notifyFd: 100, coreDumped: false };
const INT_MAX = 0x7fff_ffff;

function anyStage(random: Random): Stage {
  if (random.below(2) === 0) {
    const keptFd = random.pick([3, 14, INT_MAX]);
    const cwdFd = random.pick([3, 15, INT_MAX]);
    const state = { ...anyState(random), notifyFd: -1 };
    return { role: "woken", state, keptFd, cwdFd };
  }
  return {
    role: random.pick(ROLES),
    notifyFd: random.pick([-1, 0, INT_MAX, random.below(1 << 20)]),
    coreDumped: random.pick([true, false]),
  };
}

function anyPid(random: Random): number {
  return random.pick([1, INT_MAX, 1 + random.below(1 << 22)]);
}

/** The record of a stage, with some of it another. */
function changed(changes: Record<string, unknown>): string {
  return JSON.stringify({ ...JSON.parse(encodeStage(STAGE, 9)), ...changes });
}

Deno.test("decodeStage() is what encodeStage() was given", () => {
  forAny((random) => {
    const [stage, from] = [anyStage(random), anyPid(random)];
    assertEquals(decodeStage(encodeStage(stage, from)), { stage, from });
  });
});

Deno.test("decodeStage() throws for a record that is cut off anywhere", () => {
  forAny((random) => {
    const text = encodeStage(anyStage(random), anyPid(random));
    const cut = text.slice(0, random.below(text.length));
    assertThrows(() => decodeStage(cut), Error, "TEND_STAGE is not valid: ");
  });
});

/** Says what it is not of a stage, or decodes to one that can be encoded. */
function decodesOrThrows(text: string): void {
  let decoded: ReturnType<typeof decodeStage>;
  try {
    decoded = decodeStage(text);
  } catch (error) {
    assert(error instanceof Error, `${error}`);
    assert(error.message.startsWith("TEND_STAGE is not valid: "), `${error}`);
    return;
  }
  const { stage, from } = decoded;
  assert(Number.isInteger(from) && from >= 1 && from <= INT_MAX);
  if (stage.role !== "woken" && stage.role !== "trial") {
    const { role, notifyFd, coreDumped } = stage;
    assert(ROLES.includes(role));
    assert(Number.isInteger(notifyFd) && notifyFd >= -1 && notifyFd <= INT_MAX);
    assert(typeof coreDumped === "boolean");
  }
  assertEquals(decodeStage(encodeStage(decoded.stage, from)), decoded);
}

Deno.test("decodeStage() throws for a record with bytes changed, or it is one all the same", () => {
  forAny((random) => {
    const text = [...encodeStage(anyStage(random), anyPid(random))];
    for (let i = 0; i <= random.below(4); i++) {
      const character = String.fromCharCode(random.below(0x300));
      text.splice(random.below(text.length), random.below(3), character);
    }
    decodesOrThrows(text.join(""));
  });
});

/** Values of all types, and numbers that are none of ours. */
const HOSTILE: readonly unknown[] = [
  ...[undefined, null, true, "", "1", "daemon", "__proto__", [], [1], {}],
  ...[{ valueOf: 1 }, -2, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, -1e308, -0],
];

Deno.test("decodeStage() throws for a field of another kind, or it is a stage all the same", () => {
  const fields = ["version", "from", "role", "notifyFd", "coreDumped", "more"];
  forAny((random) => {
    decodesOrThrows(
      changed({ [random.pick(fields)]: random.pick(HOSTILE) }),
    );
  });
});

Deno.test("decodeStage() throws for any text", () => {
  forAny((random) => {
    const characters = '{}[]":,0123456789eE+-.truefalsnversion\\\0\ufffd';
    const text = Array.from(
      { length: random.below(60) },
      () => random.pick([...characters]),
    );
    assertThrows(() => decodeStage(text.join("")), Error, "TEND_STAGE");
  });
});

const REFUSED: readonly [what: string, text: string, reason: string][] = [
  ["nothing", "", "it is not JSON"],
  ["half a record", '{"version":1,', "it is not JSON"],
  ["two records", `${changed({})}${changed({})}`, "it is not JSON"],
  ["deep nesting", "[".repeat(1e6), "it is not JSON"],
  ["null", "null", "it is not a record"],
  ["a number", "1", "it is not a record"],
  ["a text", '"daemon"', "it is not a record"],
  ["an array", "[]", "its version is undefined"],
  ["no version", changed({ version: undefined }), "its version is undefined"],
  ["version 0", changed({ version: 0 }), "its version is 0"],
  ["version 2", changed({ version: 2 }), "its version is 2"],
  ['version "1"', changed({ version: "1" }), 'its version is "1"'],
  ["a version that is a record", changed({ version: { toString: 0 } }), "its"],
  ["no pid", changed({ from: undefined }), "from is not a pid"],
  ["pid 0", changed({ from: 0 }), "from is not a pid"],
  ["pid -1", changed({ from: -1 }), "from is not a pid"],
  ["pid 1.5", changed({ from: 1.5 }), "from is not a pid"],
  ["pid 2 ** 31", changed({ from: 2 ** 31 }), "from is not a pid"],
  ['pid "9"', changed({ from: "9" }), "from is not a pid"],
  ["role root", changed({ role: "root" }), "its role is unknown"],
  ["role toString", changed({ role: "toString" }), "its role is unknown"],
  ["role 0", changed({ role: 0 }), "its role is unknown"],
  ["roles", changed({ role: ["daemon"] }), "its role is unknown"],
  [
    "descriptor -2",
    changed({ notifyFd: -2 }),
    "notifyFd is not a descriptor",
  ],
  [
    "descriptor 1e400",
    changed({}).replace('"notifyFd":100', '"notifyFd":1e400'),
    "notifyFd is not a descriptor",
  ],
  [
    "descriptor 2 ** 53",
    changed({ notifyFd: 2 ** 53 }),
    "notifyFd is not a descriptor",
  ],
  ["descriptor null", changed({ notifyFd: null }), "notifyFd is not"],
  ["coreDumped 1", changed({ coreDumped: 1 }), "coreDumped is no boolean"],
];

for (const [what, text, reason] of REFUSED) {
  Deno.test(`decodeStage() throws for ${what}`, () => {
    const prefix = "TEND_STAGE is not valid: ";
    assertThrows(() => decodeStage(text), Error, `${prefix}${reason}`);
  });
}

/** What there is of a stage in an environment. */
function stageIn(entries: readonly (string | Uint8Array)[]): string[] {
  return entries.map((entry) => fromBytes(toBytes(entry)))
    .filter((entry) => entry.startsWith("TEND_STAGE"));
}

Deno.test("environmentWith() is our environment and the stage, which is no variable", () => {
  forAny((random) => {
    const stage = anyStage(random);
    const entries = environmentWith(stage);
    assertEquals(entries.slice(0, -1), environment());
    const [entry, ...others] = stageIn(entries);
    assertEquals([others, entry!.includes("=")], [[], false]);
    const text = entry!.slice("TEND_STAGE:".length);
    assertEquals(decodeStage(text), { stage, from: Deno.pid });
  });
  assertEquals(stageIn(environment()), []);
});

Deno.test("environmentWith() has an = in a name come through", () => {
  const pidfile = '/run/a=b\\=\\\\=".pid';
  const state = { ...anyState(new Random(1)), pidfile, notifyFd: -1 };
  const stage: Stage = { role: "woken", state, keptFd: 3, cwdFd: 4 };
  const [entry] = stageIn(environmentWith(stage));
  assertEquals(decodeStage(entry!.slice("TEND_STAGE:".length)).stage, stage);
});

const entry = new Uint8Array(1 << 16);

/**
 * Takes a text for the stage, and says whether it is out of the way. It is put
 * where `Deno.env` has just put a variable, for it would not put it there.
 */
function take(text: string): Stage | undefined {
  Deno.env.set("TEND_TEST_STAGE", "");
  const list = new Deno.UnsafePointerView(environ()!);
  const place = environment().map(fromBytes).indexOf("TEND_TEST_STAGE=");
  const pointer = BigUint64Array.of(
    Deno.UnsafePointer.value(Deno.UnsafePointer.of(entry)),
  );
  entry.fill(0);
  entry.set(toBytes(`TEND_STAGE:${text}`));
  new BigUint64Array(list.getArrayBuffer(8, 8 * place)).set(pointer);
  try {
    return takeStage();
  } finally {
    assertEquals(stageIn(environment()), []);
    assertEquals(entry.every((byte) => byte === 0), true);
  }
}

Deno.test("takeStage() is undefined without one", () => {
  assertEquals(takeStage(), undefined);
});

for (const [whose, from] of [["parent's", getppid], ["own", () => Deno.pid]]) {
  Deno.test(`takeStage() takes our ${whose}, and has its descriptor closed on exec`, () => {
    const { readFd, writeFd } = pipe2();
    setCloseOnExec(writeFd, false);
    const stage = { ...STAGE, notifyFd: writeFd };
    assertEquals(take(encodeStage(stage, (from as () => number)())), stage);
    assertEquals(closesOnExec(writeFd), true);
    close(readFd);
    close(writeFd);
  });
}

Deno.test("takeStage() refuses one that another process has left over", () => {
  assertThrows(
    () => take(encodeStage(STAGE, 1 << 29)),
    Error,
    "not the parent",
  );
});

Deno.test("takeStage() refuses a descriptor that is not open", () => {
  const stage = { ...STAGE, notifyFd: 99_999 };
  assertThrows(
    () => take(encodeStage(stage, Deno.pid)),
    Error,
    "TEND_STAGE: notifyFd 99999 is not open",
  );
});

/** A monitor's state whose descriptors are open. */
function wokenStage(changes: Partial<MonitorState>): Stage {
  const [signalFd, deadlineFd] = [signalfd([]), timerfd()];
  const monitorFd = open("/dev/null", O_RDONLY);
  const keptFd = timerfd();
  const cwdFd = open(".", O_RDONLY);
  for (const fd of [signalFd, deadlineFd, monitorFd, keptFd, cwdFd]) {
    setCloseOnExec(fd, false);
  }
  const none = {
    startupFd: -1,
    notifyFd: -1,
    readinessFd: -1,
    messagesFd: -1,
    watchdogFd: -1,
  };
  const state = {
    ...anyState(new Random(1)),
    log: undefined,
    loggers: [],
    ...none,
    signalFd,
    deadlineFd,
    monitorFd,
    ...changes,
  };
  return { role: "woken", state, keptFd, cwdFd };
}

Deno.test("takeStage() takes a monitor's, closes the program that was kept for it, and has the rest closed on exec", () => {
  const [messagesFd, watchdogFd] = [notifySocket().fd, intervalTimerfd()];
  for (const fd of [messagesFd, watchdogFd]) setCloseOnExec(fd, false);
  const fds = { messagesFd, watchdogFd };
  const stage = wokenStage({ phase: "backingOff", ...fds });
  assertEquals(take(encodeStage(stage, Deno.pid)), stage);
  assert(stage.role === "woken");
  const { state: { signalFd, deadlineFd, monitorFd }, keptFd, cwdFd } = stage;
  const kept = [signalFd, deadlineFd, monitorFd, messagesFd, watchdogFd];
  assertEquals(kept.map(closesOnExec), kept.map(() => true));
  assertEquals([keptFd, cwdFd].map(closesOnExec), [undefined, undefined]);
  kept.forEach(close);
});

Deno.test("takeStage() refuses a monitor's from its parent", () => {
  const stage = wokenStage({ phase: "backingOff" });
  assertThrows(() => take(encodeStage(stage, getppid())), Error, "not the");
  closeWoken(stage);
});

Deno.test("takeStage() refuses a monitor's whose daemon is not its child", () => {
  const stage = wokenStage({ phase: "running", daemonPid: getppid() });
  assertThrows(
    () => take(encodeStage(stage, Deno.pid)),
    Error,
    `pid ${getppid()} is not a child of pid ${Deno.pid}`,
  );
  closeWoken(stage);
});

/** A logger whose descriptors are open. */
function openLogger(changes: Partial<Logger>): Logger {
  const [{ readFd, writeFd }, ackFd] = [pipe2(), eventfd()];
  for (const fd of [readFd, writeFd, ackFd]) setCloseOnExec(fd, false);
  return {
    pid: 0,
    since: 1.5,
    readFd,
    writeFd,
    ackFd,
    troubles: [],
    ...changes,
  };
}

Deno.test("takeStage() takes a monitor's with loggers, whose descriptors are closed on exec", () => {
  const loggers = [openLogger({}), openLogger({})];
  const stage = wokenStage({ phase: "backingOff", loggers });
  assertEquals(take(encodeStage(stage, Deno.pid)), stage);
  assert(stage.role === "woken");
  const fds = loggers.flatMap((
    logger,
  ) => [logger.readFd, logger.writeFd, logger.ackFd]);
  assertEquals(fds.map(closesOnExec), fds.map(() => true));
  const { signalFd, deadlineFd, monitorFd } = stage.state;
  [signalFd, deadlineFd, monitorFd, ...fds].forEach(close);
});

Deno.test("takeStage() refuses a monitor's whose logger is not its child", () => {
  const logger = openLogger({ pid: getppid() });
  const stage = wokenStage({ phase: "backingOff", loggers: [logger] });
  assertThrows(
    () => take(encodeStage(stage, Deno.pid)),
    Error,
    `pid ${getppid()} is not a child of pid ${Deno.pid}`,
  );
  closeWoken(stage);
  [logger.readFd, logger.writeFd, logger.ackFd].forEach(close);
});

for (const name of ["readFd", "writeFd", "ackFd"] as const) {
  Deno.test(`takeStage() refuses a monitor's with a logger whose ${name} is something else`, () => {
    const other = timerfd();
    setCloseOnExec(other, false);
    const logger = openLogger({});
    const stage = wokenStage({
      phase: "backingOff",
      loggers: [{ ...logger, [name]: other }],
    });
    assertThrows(
      () => take(encodeStage(stage, Deno.pid)),
      Error,
      `TEND_STAGE: ${name} ${other} is anon_inode:[timerfd]`,
    );
    closeWoken(stage);
    [logger.readFd, logger.writeFd, logger.ackFd, other].forEach(close);
  });
}

function closeWoken(stage: Stage): void {
  assert(stage.role === "woken");
  const { state: { signalFd, deadlineFd, monitorFd }, keptFd, cwdFd } = stage;
  [signalFd, deadlineFd, monitorFd, keptFd, cwdFd].forEach(close);
}

Deno.test("takeStage() takes a stage that nobody waits for", () => {
  const stage: Stage = { role: "monitor", notifyFd: -1, coreDumped: true };
  assertEquals(take(encodeStage(stage, Deno.pid)), stage);
});

Deno.test("takeStage() takes what is no stage out too, and throws", () => {
  assertThrows(() => take("garbage"), Error, "it is not JSON");
});

const EMULATOR = `/usr/bin/qemu-${Deno.build.arch}-static`;

Deno.test({
  name:
    "takeStage() finds one that an emulator has dropped from the environment",
  ignore: !existsFile(EMULATOR),
  fn: async () => {
    await using box = await Sandbox.create();
    const file = box.path("program.ts");
    Deno.writeTextFileSync(
      file,
      `import { environment } from "${ROOT}/ffi/environment.ts";
       import { takeStage } from "${ROOT}/lib/stage.ts";
       const text = environment().map((entry) => new TextDecoder().decode(entry));
       const dropped = !text.join().includes("TEND_STAGE");
       console.log(JSON.stringify([dropped, takeStage()]));`,
    );
    const stage: Stage = { role: "monitor", notifyFd: -1, coreDumped: true };
    const text = encodeStage(stage, 1).replace('"from":1', '"from":OWN');
    const deno = [Deno.execPath(), "run", "--quiet", "-A"];
    const argv = [EMULATOR, ...deno, `--config=${CONFIG}`, file];
    const { stdout, stderr } = await runStaged(box, text, argv);
    assertEquals([stdout, stderr], [`${JSON.stringify([true, stage])}\n`, ""]);
  },
});

function existsFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}

const CHECKED = [
  "signalFd",
  "deadlineFd",
  "monitorFd",
  "messagesFd",
  "watchdogFd",
] as const;
for (const name of CHECKED) {
  Deno.test(`takeStage() refuses a monitor's whose ${name} is something else`, () => {
    const { readFd, writeFd } = pipe2();
    setCloseOnExec(readFd, false);
    try {
      const stage = wokenStage({ phase: "backingOff", [name]: readFd });
      const error = assertThrows(
        () => take(encodeStage(stage, Deno.pid)),
        Error,
      );
      assertMatch(
        error.message,
        new RegExp(`^TEND_STAGE: ${name} ${readFd} is pipe:`),
      );
    } finally {
      close(readFd);
      close(writeFd);
    }
  });
}

Deno.test("decodeStage() refuses a monitor that somebody would wait for", () => {
  const stage = wokenStage({ notifyFd: 7 });
  assertThrows(
    () => decodeStage(encodeStage(stage, 1)),
    Error,
    "state: notifyFd is one",
  );
});
