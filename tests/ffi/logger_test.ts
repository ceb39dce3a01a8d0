import { assertEquals } from "@std/assert/equals";
import { TestLogger } from "../loggers.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("loggerImage() writes what comes, and ends with its last writer", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box);
  logger.write("a\nb\nc");
  await logger.flush();
  assertEquals(logger.text(), "a\nb\nc");
  logger.write("d\n");
  assertEquals(await logger.end(), { code: 0, stdout: "", stderr: "" });
  assertEquals(logger.text(), "a\nb\ncd\n");
});

Deno.test("loggerImage() rotates", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box, {
    rotation: { size: 10, count: 3 },
  });
  for (
    const line of ["123\n", "45678\n", "9\n", "abc\n", "defghijklmn\n", "op\n"]
  ) {
    logger.write(line);
    await logger.flush();
  }
  assertEquals([undefined, 1, 2, 3, 4].map((i) => logger.text(i)), [
    "op\n",
    "defghijklmn\n",
    "9\nabc\n",
    "123\n45678\n",
    undefined,
  ]);
});

Deno.test("loggerImage() stamps", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box, {
    timestamps: true,
    rotation: { size: 100, count: 3 },
  });
  logger.write("a\nb\nc\nd\n\nabc");
  await logger.flush();
  logger.write("d\n");
  await logger.end();
  console.log(logger.text(), logger.text(1));
});
