import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { loggerImage } from "../../ffi/logger.ts";
import { sigqueue } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { MACHINES, TestLogger } from "../loggers.ts";
import { fdsOf, look } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const ENDED = { code: 0, stdout: "", stderr: "" };

for (const { machine, ignore } of MACHINES) {
  const test = (does: string, fn: () => Promise<void>) =>
    Deno.test({ name: `loggerImage() for ${machine} ${does}`, ignore, fn });

  test("appends what is written, and ends with its last writer", async () => {
    await using box = await Sandbox.create();
    Deno.writeTextFileSync(box.path("log"), "before\n");
    using logger = await TestLogger.start(box, { machine });
    await logger.write("a\nb\n");
    await logger.write("c\n");
    assertEquals(await logger.end(), ENDED);
    assertEquals(logger.text(), "before\na\nb\nc\n");
  });

  test("writes a line that has no end yet at once", async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box, { machine });
    await logger.write("a\nb");
    await box.until("it is there", () => logger.text() === "a\nb");
  });

  test("answers SIGUSR1 when all is written that came before", async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box, { machine });
    for (let i = 0; i < 10; i++) {
      const before = logger.text();
      const text = `${"x".repeat(4000)}\n`.repeat(i % 3);
      await logger.write(text);
      await logger.flush();
      assertEquals(logger.text(), before + text);
    }
    assertEquals(logger.answers(), 0);
  });

  test("answers with the value that came with the last SIGUSR1", async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box, { machine });
    for (const value of [7n, 2n ** 52n + 1n]) {
      sigqueue(logger.pid, Signal.SIGUSR1, value);
      await box.until("it answers", () => logger.answer() === value);
    }
  });

  test("keeps each byte of a stream that is longer than a pipe", async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box, { machine });
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    for (let i = 0; i < 8; i++) await logger.write(bytes);
    await logger.end();
    const written = Deno.readFileSync(logger.file);
    assertEquals(written.length, 8 * bytes.length);
    assert(written.every((byte, i) => byte === bytes[i % bytes.length]));
  });
}

Deno.test("loggerImage() waits for as long as it takes, and weighs little then", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box, { timestamps: true });
  await box.until("it sleeps", () => logger.waits() === "for ever");
  await logger.write("line\n".repeat(10_000));
  await logger.flush();
  await box.until("it waits for more", () => logger.waits() === "a while");
  await box.until("it sleeps", () => logger.waits() === "for ever");
  const rollup = Deno.readTextFileSync(`/proc/${logger.pid}/smaps_rollup`);
  const [, kib] = /^Pss: +(\d+) kB$/m.exec(rollup) ?? [];
  assert(Number(kib) <= 32, rollup);
});

for (
  const signal of [
    ...["SIGTERM", "SIGINT", "SIGQUIT", "SIGALRM", "SIGUSR2", "SIGPIPE"],
    ...["SIGTSTP", "SIGXFSZ", "SIGCHLD", "SIGPWR", "SIGSYS"],
  ] as Deno.Signal[]
) {
  Deno.test(`loggerImage() goes on after ${signal}`, async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box);
    logger.signal(signal);
    await logger.write("a\n");
    await logger.flush();
    assertEquals(logger.text(), "a\n");
    assertEquals(await logger.end(), ENDED);
  });
}

Deno.test("loggerImage() goes on after SIGSTOP and SIGCONT", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box);
  logger.signal("SIGSTOP");
  await box.until("it stops", () => look(logger.pid)?.state === "T");
  await logger.write("a\n");
  logger.signal("SIGUSR1");
  logger.signal("SIGCONT");
  await box.until("it answers", () => logger.answers() === 1);
  assertEquals(logger.text(), "a\n");
});

Deno.test("loggerImage() blocks all signals itself", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box);
  // All but SIGKILL and SIGSTOP.
  assertEquals(look(logger.pid)?.status.get("SigBlk"), "fffffffffffbfeff");
});

Deno.test("loggerImage() has no descriptors but those it was given", async () => {
  await using box = await Sandbox.create();
  using logger = await TestLogger.start(box, {
    rotation: { size: 10, count: 1 },
  });
  const given = fdsOf(logger.pid);
  await logger.write("long line\nlong line\nlong line\n");
  logger.signal("SIGHUP");
  await logger.flush();
  const names = () => [...fdsOf(logger.pid).values()].sort();
  assertEquals(names(), [...given.values()].sort());
});

Deno.test("loggerImage() throws a TypeError when a string holds a NUL", () => {
  const logger = {
    ...{ name: "a", file: "/a", timestamps: false },
    ...{ input: 0, output: 1, signals: 2, ack: 3 },
  };
  for (const wrong of [{ name: "a\0b" }, { file: "/a\0b" }]) {
    assertThrows(() => loggerImage({ ...logger, ...wrong }), TypeError);
  }
});

for (const { machine, ignore } of MACHINES) {
  const test = (does: string, fn: () => Promise<void>) =>
    Deno.test({ name: `loggerImage() for ${machine} ${does}`, ignore, fn });
  const STAMP = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z ";

  test("begins each line with the time", async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box, { machine, timestamps: true });
    const before = Date.now();
    await logger.write("first\n\nthird, longer than sixteen bytes\n");
    await logger.end();
    const after = Date.now();
    const text = logger.text()!;
    const lines = `^(${STAMP})first\n\\1\n\\1third, .* bytes\n$`;
    assertMatch(text, new RegExp(lines));
    const time = Date.parse(text.slice(0, 27));
    assert(before <= time && time <= after, text);
  });

  test("has one timestamp for a line that comes in pieces", async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box, { machine, timestamps: true });
    for (const piece of ["a", "b", "c\nd", "e", "\n", "f"]) {
      await logger.write(piece);
      await logger.flush();
    }
    const lines = `^${STAMP}abc\n${STAMP}de\n${STAMP}f$`;
    assertMatch(logger.text()!, new RegExp(lines));
  });

  test("has a timestamp for each line of a long stream of short ones", async () => {
    await using box = await Sandbox.create();
    using logger = await TestLogger.start(box, { machine, timestamps: true });
    const text = Array.from({ length: 50_000 }, (_, i) => "x".repeat(i % 40))
      .join("\n");
    await logger.write(text);
    await logger.end();
    const stamped = new RegExp(`^${STAMP}`, "mg");
    const written = logger.text()!;
    assertEquals(written.replaceAll(stamped, ""), text);
    assertEquals(written.match(stamped)?.length, 50_000);
  });
}
