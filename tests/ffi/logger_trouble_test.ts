import { assertEquals } from "@std/assert/equals";
import { TestLogger } from "../loggers.ts";
import { CANNOT_UNSHARE } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const PIECE = new TextEncoder().encode(`${"x".repeat(4095)}\n`);
/** More than a file system of 512 KiB takes, and so much that a pipe is full. */
const MORE = 1024;

/** Starts a logger that has a file system of 512 KiB for its file. */
async function startOnDisk(
  box: Sandbox,
  timestamps = false,
): Promise<TestLogger> {
  const dir = box.path("disk");
  Deno.mkdirSync(dir);
  const script = 'mount -t tmpfs -o size=512k tmpfs "$0" && ' +
    'head -c 300000 /dev/zero >"$0/fill" && exec "$@"';
  const under = ["unshare", "-Urm", "sh", "-c", script, dir];
  return await TestLogger.start(box, { file: "disk/log", under, timestamps });
}

/** Writes until the disk is full and the pipe, too; returns how much that took. */
async function fill(box: Sandbox, logger: TestLogger): Promise<number> {
  let count = 0;
  await box.until("nothing is read any more", () => {
    const before = count;
    while (count < MORE && logger.offer(PIECE)) count++;
    return count === before && logger.waits() === "for room" || count === MORE;
  });
  return count;
}

for (const timestamps of [false, true]) {
  Deno.test({
    name: `loggerImage() loses nothing on a full disk${
      timestamps ? ", with timestamps" : ""
    }, and goes on when there is room`,
    ignore: CANNOT_UNSHARE,
    fn: async () => {
      await using box = await Sandbox.create();
      using logger = await startOnDisk(box, timestamps);
      const count = await fill(box, logger);
      assertEquals(count < MORE, true);
      logger.signal("SIGUSR1");
      logger.signal("SIGTERM");
      await box.until(
        "it has heard that",
        () => logger.waits() === "for room",
      );
      assertEquals(logger.answers(), 0);
      Deno.removeSync(logger.file.replace(/log$/, "fill"));
      await box.until("it answers", () => logger.answers() === 1);
      const text = logger.text()!.replaceAll(/^\d{4}-[\d:.T-]+Z /mg, "");
      assertEquals(
        text === new TextDecoder().decode(PIECE).repeat(count),
        true,
      );
      logger.close();
    },
  });
}

Deno.test({
  name:
    "loggerImage() goes on in the file that it reopens while a disk is full",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    using logger = await startOnDisk(box);
    const count = await fill(box, logger);
    const before = logger.text()!;
    const elsewhere = logger.file.replace(/disk\/log$/, "elsewhere");
    Deno.mkdirSync(elsewhere);
    // Over the full one.
    const pid = `--target=${logger.pid}`;
    const { code, stderr } = await box.run([
      ...["nsenter", pid, "--user", "--mount", "--preserve-credentials"],
      ...["mount", "--bind", box.path("elsewhere"), box.path("disk")],
    ]);
    assertEquals([code, stderr], [0, ""]);
    logger.signal("SIGHUP");
    await logger.flush();
    assertEquals((before + logger.text()).length, count * PIECE.length);
    logger.close();
  },
});

Deno.test({
  name:
    "loggerImage() makes its file anew that is removed while a disk is full",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    using logger = await startOnDisk(box);
    const count = await fill(box, logger);
    const before = logger.text()!;
    Deno.removeSync(logger.file);
    await box.until(
      "all is written",
      () => logger.text()?.length === count * PIECE.length - before.length,
    );
    logger.close();
  },
});

Deno.test("loggerImage() waits while its file may not become larger", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box);
  const limit = async (size: string) => {
    const option = `--fsize=${size}`;
    const { code } = await box.run(["prlimit", `--pid=${logger.pid}`, option]);
    assertEquals(code, 0);
  };
  await limit("10:");
  await logger.write("123456\n789\n");
  await box.until("it has written some", () => logger.text()?.length === 10);
  await box.until("it waits", () => logger.waits() === "for room");
  assertEquals(logger.text(), "123456\n789");
  await limit("unlimited:");
  await box.until("it goes on", () => logger.text() === "123456\n789\n");
});
