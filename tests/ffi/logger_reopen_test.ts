import { assertEquals } from "@std/assert/equals";
import { MACHINES, TestLogger } from "../loggers.ts";
import { look } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { makeFifo } from "../sleepers.ts";
import "../open_libc.ts";

/** Renames a logger's file to `away`, as logrotate does. */
function rename(box: Sandbox, logger: TestLogger): string {
  const away = box.path("away");
  Deno.renameSync(logger.file, away);
  return away;
}

/** Sends SIGHUP, and waits until the file is there. */
async function reopen(box: Sandbox, logger: TestLogger): Promise<void> {
  logger.signal("SIGHUP");
  await box.until("there is a file", () => logger.text() !== undefined);
}

for (const { machine, ignore } of MACHINES) {
  const test = (does: string, fn: () => Promise<void>) =>
    Deno.test({ name: `loggerImage() for ${machine} ${does}`, ignore, fn });

  test("makes its file anew on SIGHUP", async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box, { machine });
    await logger.write("a\n");
    await logger.flush();
    const away = rename(box, logger);
    await logger.write("b\n");
    await logger.flush();
    await reopen(box, logger);
    await logger.write("c\n");
    await logger.end();
    assertEquals([box.read(away), logger.text()], ["a\nb\n", "c\n"]);
  });

  test("counts what is in a file that it reopens", async () => {
    await using box = await Sandbox.create();
    const rotation = { size: 4, count: 3 };
    using logger = await TestLogger.start(box, { machine, rotation });
    await logger.write("a\nb\n");
    await logger.flush();
    Deno.renameSync(logger.file, box.path("away"));
    Deno.writeTextFileSync(logger.file, "123");
    logger.signal("SIGHUP");
    await logger.write("c\n");
    await logger.end();
    assertEquals(logger.texts(), ["c\n", "123"]);
    assertEquals(box.read(box.path("away")), "a\nb\n");
  });
}

/** What others may have put in the place of a file that is to be reopened. */
const PLANTED: Record<string, (log: string, box: Sandbox) => void> = {
  "another user's file": (log) => {
    Deno.writeTextFileSync(log, "");
    Deno.chmodSync(log, 0o666);
    Deno.chownSync(log, 65534, 65534);
  },
  "a second name": (log, box) => {
    Deno.writeTextFileSync(box.path("secret"), "");
    Deno.linkSync(box.path("secret"), log);
  },
};

for (const { machine, ignore } of MACHINES) {
  for (const [what, put] of Object.entries(PLANTED)) {
    Deno.test({
      name: `loggerImage() for ${machine} writes nothing to ${what} in a ` +
        "directory of everybody's",
      ignore: ignore || Deno.uid() !== 0,
      fn: async () => {
        await using box = await Sandbox.create();
        Deno.mkdirSync(box.path("S"));
        Deno.chmodSync(box.path("S"), 0o1777);
        const rotation = { size: 4, count: 3 };
        const file = "S/log";
        using logger = await TestLogger.start(box, { machine, rotation, file });
        const away = rename(box, logger);
        put(logger.file, box);
        logger.signal("SIGHUP");
        await logger.write("a\nb\nc\n");
        await logger.flush();
        assertEquals([logger.text(), box.read(away)], ["", "a\nb\nc\n"]);
        Deno.removeSync(logger.file);
        do {
          await logger.write("d\ne\n");
          await logger.flush();
        } while (logger.text(1) === undefined);
        await logger.end();
        const { mode, uid } = Deno.statSync(logger.file);
        assertEquals([mode! & 0o7777, uid], [0o640, 0]);
      },
    });
  }
}

Deno.test({
  name: "loggerImage() reopens another user's file in a directory of nobody " +
    "else's, and takes no mode from it",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using box = await Sandbox.create();
    const rotation = { size: 4, count: 3 };
    using logger = await TestLogger.start(box, { rotation });
    rename(box, logger);
    PLANTED["another user's file"]!(logger.file, box);
    logger.signal("SIGHUP");
    await logger.write("a\nb\nc\n");
    await logger.end();
    assertEquals(logger.texts(), ["c\n", "a\nb\n"]);
    assertEquals(Deno.statSync(logger.file).mode! & 0o7777, 0o640);
  },
});

Deno.test("loggerImage() writes a line that has begun to its end before it reopens", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box);
  await logger.write("a");
  await logger.flush();
  const away = rename(box, logger);
  logger.signal("SIGSTOP");
  await box.until("it stops", () => look(logger.pid)?.state === "T");
  await logger.write("b\nc\n");
  logger.signal("SIGHUP");
  logger.signal("SIGCONT");
  await logger.flush();
  assertEquals([box.read(away), logger.text()], ["ab\n", "c\n"]);
});

Deno.test("loggerImage() reopens in a line that does not go on", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box, { timestamps: true });
  await logger.write("a");
  await logger.flush();
  const away = rename(box, logger);
  await reopen(box, logger);
  await logger.write("b\n");
  await logger.end();
  assertEquals(logger.text(), "b\n");
  assertEquals(box.read(away)?.slice(-2), " a");
});

/** What may be in the place of a file that is to be reopened. */
const OBSTACLES: Record<string, (log: string, box: Sandbox) => unknown> = {
  "a directory": (log) => Deno.mkdirSync(log),
  "a link": (log, box) => {
    Deno.writeTextFileSync(box.path("secret"), "");
    Deno.symlinkSync("secret", log);
  },
  "a link to nothing": (log) => Deno.symlinkSync("nothing", log),
  "a pipe without a reader": (_, box) => makeFifo(box, "log"),
};

for (const [what, put] of Object.entries(OBSTACLES)) {
  Deno.test(`loggerImage() writes to the file it has while ${what} has its name, and reopens later`, async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box);
    const away = rename(box, logger);
    await put(logger.file, box);
    logger.signal("SIGHUP");
    await logger.write("a\n");
    await logger.flush();
    assertEquals(box.read(away), "a\n");
    await Deno.remove(logger.file);
    let all = "a\n";
    do {
      await logger.write("b\n");
      await logger.flush();
      all += "b\n";
    } while (!box.exists(logger.file));
    assertEquals(box.read(away)! + logger.text(), all);
    assertEquals(box.read(box.path("secret")) ?? "", "");
    assertEquals(box.exists(box.path("nothing")), false);
  });
}

Deno.test("loggerImage() writes to no pipe that has its file's name", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box);
  const away = rename(box, logger);
  await makeFifo(box, "log");
  using _reader = Deno.openSync(logger.file, { read: true, write: true });
  logger.signal("SIGHUP");
  await logger.write("a\n");
  await logger.flush();
  assertEquals(box.read(away), "a\n");
});
