import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { dirname } from "@std/path/dirname";
import { MACHINES, TestLogger } from "../loggers.ts";
import { Random } from "../random.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const ROOT = Deno.uid() === 0;
const STAMP_LENGTH = 28;

for (const { machine, ignore } of MACHINES) {
  const test = (does: string, fn: () => Promise<void>) =>
    Deno.test({ name: `loggerImage() for ${machine} ${does}`, ignore, fn });

  test("rotates before the line that would make a file too large", async () => {
    await using box = await Sandbox.create();
    const rotation = { size: 10, count: 3 };
    using logger = await TestLogger.start(box, { machine, rotation });
    await logger.write("123\n56789\nb\nc\nd\ne\nf\n1234567890123\n\ng\n");
    await logger.end();
    assertEquals(logger.texts(), [
      "\ng\n",
      "1234567890123\n",
      "b\nc\nd\ne\nf\n",
      "123\n56789\n",
    ]);
  });

  test("keeps as many files as it may", async () => {
    await using box = await Sandbox.create();
    const rotation = { size: 3, count: 12 };
    using logger = await TestLogger.start(box, { machine, rotation });
    const lines = Array.from({ length: 30 }, (_, i) => `${i + 10}\n`);
    await logger.write(lines.join(""));
    await logger.end();
    assertEquals(logger.texts(), lines.slice(-13).reverse());
  });

  test("counts what was in the file before", async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path("log"), "before\n");
    const rotation = { size: 10, count: 1 };
    using logger = await TestLogger.start(box, { machine, rotation });
    await logger.write("ab\ncd\n");
    await logger.end();
    assertEquals(logger.texts(), ["cd\n", "before\nab\n"]);
  });

  test("loses no byte over hundreds of rotations", async () => {
    const random = new Random(Date.now());
    for (const timestamps of [false, true]) {
      await using box = await Sandbox.create();
      const size = 3000;
      const rotation = { size, count: 999 };
      using logger = await TestLogger.start(
        box,
        { machine, rotation, timestamps },
      );
      const text = Array.from({ length: 10_000 }, () => {
        // Lines of nothing, of a few words, and now and then as long as files.
        const length = random.below(random.below(100) === 0 ? 8000 : 60);
        return `${"x".repeat(length)}\n`;
      }).join("");
      for (let at = 0; at < text.length;) {
        const length = random.below(4000) + 1;
        await logger.write(text.slice(at, at + length));
        if (random.below(20) === 0) await logger.flush();
        at += length;
      }
      await logger.end();
      const files = logger.texts().reverse();
      const seed = `seed ${random.seed}`;
      const written = files.map((file) =>
        // A line that was cut goes on without one.
        file.replaceAll(/^\d{4}-[\d:.T-]+Z /mg, "")
      ).join("");
      assert(written === text, seed);
      assert(files.length > 100, seed);
      files.forEach((file, i) => {
        assert(file.length <= 2 * size, seed);
        const next = files[i + 1];
        if (next === undefined) return;
        if (!file.endsWith("\n")) {
          return assertEquals(file.length, 2 * size, seed);
        }
        const last = file.slice(0, -1).lastIndexOf("\n") + 1;
        assert(last <= size, seed);
        const [first] = next.split(/(?<=\n)/);
        assert(file.length + first!.length > size, seed);
      });
    }
  });

  test("keeps a line whole that comes in pieces", async () => {
    await using box = await Sandbox.create();
    const rotation = { size: 10, count: 3 };
    using logger = await TestLogger.start(box, { machine, rotation });
    for (const piece of ["a\nbcd", "efgh", "ijk\nl", "m\n"]) {
      await logger.write(piece);
      await logger.flush();
    }
    assertEquals(logger.texts(), ["lm\n", "a\nbcdefghijk\n"]);
  });

  test("cuts a line that fills a file twice", async () => {
    await using box = await Sandbox.create();
    const rotation = { size: 10, count: 9 };
    using logger = await TestLogger.start(box, { machine, rotation });
    await logger.write("a\n" + "0123456789".repeat(5));
    await logger.flush();
    await logger.write("012345\nb\nc\n");
    await logger.end();
    const half = "01234567890123456789";
    assertEquals(logger.texts(), [
      "b\nc\n",
      "0123456789012345\n",
      half,
      half,
      "a\n",
    ]);
  });

  test("counts timestamps", async () => {
    await using box = await Sandbox.create();
    const rotation = { size: 2 * (STAMP_LENGTH + 2), count: 9 };
    const timestamps = true;
    using logger = await TestLogger.start(
      box,
      { machine, rotation, timestamps },
    );
    await logger.write("a\nb\nc\nd\nef");
    await logger.flush();
    await logger.write("g\nh\n");
    await logger.end();
    const files = logger.texts().map((text) =>
      text.split("\n").map((line) => line.slice(STAMP_LENGTH)).join("")
    );
    assertEquals(files, ["h", "efg", "cd", "ab"]);
  });
}

Deno.test("loggerImage() goes on where a rotation was interrupted", async () => {
  await using box = await Sandbox.create();
  for (const number of [1, 3, 4]) {
    Deno.writeTextFileSync(box.path(`log.${number}`), `${number}`);
  }
  const rotation = { size: 2, count: 4 };
  using logger = await TestLogger.start(box, { rotation });
  await logger.write("a\nb\n");
  await logger.flush();
  assertEquals(logger.texts(), ["b\n", "a\n", "1", "3", "4"]);
  await logger.write("c\n");
  await logger.end();
  assertEquals(logger.texts(), ["c\n", "b\n", "a\n", "1", "3"]);
});

Deno.test("loggerImage() makes the file anew where a rotation was interrupted before that", async () => {
  await using box = await Sandbox.create();
  const rotation = { size: 2, count: 4 };
  using logger = await TestLogger.start(box, { rotation });
  await logger.write("a\n");
  await logger.flush();
  Deno.renameSync(logger.file, `${logger.file}.1`);
  await logger.write("b\nc\n");
  await logger.end();
  assertEquals(logger.texts(), ["c\n", "b\n", "a\n"]);
});

Deno.test("loggerImage() leaves a file alone that is another's by now", async () => {
  await using box = await Sandbox.create();
  const rotation = { size: 10, count: 4 };
  using logger = await TestLogger.start(box, { rotation });
  await logger.write("12345678\n");
  await logger.flush();
  Deno.renameSync(logger.file, box.path("away"));
  Deno.writeTextFileSync(logger.file, "other\n");
  await logger.write("ab\ncd\n");
  await logger.end();
  assertEquals(box.read(box.path("away")), "12345678\n");
  assertEquals(logger.texts(), ["cd\n", "other\nab\n"]);
});

Deno.test("loggerImage() has new files be as the one before them", async () => {
  await using box = await Sandbox.create();
  const rotation = { size: 2, count: 4 };
  using logger = await TestLogger.start(box, {
    rotation,
    before: "Deno.umask(0o027)",
  });
  const modes = () =>
    ["", ".1", ".2"].map((suffix) =>
      Deno.statSync(logger.file + suffix).mode! & 0o7777
    );
  await logger.write("a\nb\n");
  await logger.flush();
  Deno.chmodSync(logger.file, 0o664);
  await logger.write("c\n");
  await logger.flush();
  assertEquals(modes(), [0o664, 0o664, 0o640]);
});

/** What stands in the way of a rotation, and what takes it away. */
const OBSTACLES: Record<
  string,
  { ignore?: boolean; put(log: string): void; remove(log: string): void }
> = {
  "the oldest file is a directory": {
    put: (log) => Deno.mkdirSync(`${log}.1`),
    remove: (log) => Deno.removeSync(`${log}.1`),
  },
  "the directory cannot be written": {
    ignore: ROOT,
    put: (log) => Deno.chmodSync(dirname(log), 0o500),
    remove: (log) => Deno.chmodSync(dirname(log), 0o700),
  },
};

for (
  const [why, { ignore = false, put, remove }] of Object.entries(OBSTACLES)
) {
  Deno.test({
    name:
      `loggerImage() writes to the file it has while ${why}, and rotates later`,
    ignore,
    fn: async () => {
      await using box = await Sandbox.create();
      Deno.mkdirSync(box.path("dir"));
      const rotation = { size: 4, count: 1 };
      using logger = await TestLogger.start(box, { file: "dir/log", rotation });
      put(logger.file);
      let all = "";
      const write = async (text: string) => {
        await logger.write(text);
        await logger.flush();
        all += text;
      };
      await write("a\nb\nc\nd\n");
      await write("e\n");
      assertEquals(logger.text(), all);
      remove(logger.file);
      // It tries again in another second, when more comes.
      for (;;) {
        const before = all;
        await write("f\n");
        if (logger.text(1) === undefined) continue;
        assertEquals(logger.texts(), ["f\n", before]);
        break;
      }
    },
  });
}

Deno.test("loggerImage() goes on when it may not open another file", async () => {
  await using box = await Sandbox.create();
  const rotation = { size: 4, count: 3 };
  using logger = await TestLogger.start(box, { rotation });
  const limit = async (nofile: string) => {
    const option = `--nofile=${nofile}`;
    const { code } = await box.run(["prlimit", `--pid=${logger.pid}`, option]);
    assertEquals(code, 0);
  };
  // The numbers up to 2 are taken.
  await limit("3:");
  await logger.write("a\nb\nc\nd\n");
  await logger.flush();
  assertEquals([logger.text(), logger.text(1)], [undefined, "a\nb\nc\nd\n"]);
  await limit("1024:");
  let all = "a\nb\nc\nd\n";
  while (logger.text() === undefined) {
    await logger.write("e\n");
    await logger.flush();
    all += "e\n";
  }
  assertEquals(logger.texts().reverse().join(""), all);
});
