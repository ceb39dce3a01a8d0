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
