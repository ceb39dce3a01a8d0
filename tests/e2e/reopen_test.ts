import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { fail } from "@std/assert/fail";
import { lacks } from "../binutils.ts";
import {
  encodeMonitorRecord,
  readMonitorFile,
} from "../../lib/monitor_file.ts";
import { MONITORED, monitorFile, shown } from "../monitored.ts";
import { fdsOf, isAlive, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { asOther, IS_ROOT, json } from "../verb_calls.ts";
import { numbers, TestWriter } from "../writers.ts";

const DONE = { code: 0, stdout: "", stderr: "" };
/** Rotated by others alone. */
const LOGGERS = ["--output=out", "--log-rotate=1G"];

function failed(text: string) {
  return { code: 1, stdout: "", stderr: `tend: web: ${text}\n` };
}

/** Counts until there is a file `end`, and says so. Not for ever. */
function untilEnd(box: Sandbox): string {
  return `i=1; while test $i -lt 9999999 -a ! -e ${box.path("end")}; do ` +
    "seq $i $((i+999)); i=$((i+1000)); sleep 0.001; done; echo end";
}

/** The loggers of web.pid. */
function loggersOf(box: Sandbox): number[] {
  return shown(box)!.outputs.map(({ logger }) => logger!);
}

/** The files of the sandbox that a process has open. */
function openFiles(box: Sandbox, pid: number): string[] {
  return [...fdsOf(pid).values()].filter((file) => file.startsWith(box.dir));
}

Deno.test("tend reopen has let go of the renamed file when it returns", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...LOGGERS);
  await writer.count(3);
  const [logger] = loggersOf(box);
  const [out, old] = [box.path("out"), box.path("old")];
  for (let round = 1; round < 10; round++) {
    Deno.renameSync(out, old);
    assertEquals(openFiles(box, logger!), [old]);
    assertEquals(await box.tend("reopen", "web"), DONE);
    assertEquals(openFiles(box, logger!), [out]);
    assertEquals(box.read(out), "");
    await writer.count(round);
    assertEquals(box.read(out), numbers(round));
  }
});

Deno.test("tend reopen loses nothing of a daemon that writes all the while", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...LOGGERS);
  writer.run(untilEnd(box));
  let text = "";
  for (let round = 0; round < 10; round++) {
    const out = await box.until("there is more", () => {
      const { size } = Deno.statSync(box.path("out"));
      return size > 0 && box.path("out");
    });
    Deno.renameSync(out, box.path("old"));
    assertEquals(await box.tend("reopen", "web"), DONE);
    // As logrotate, which compresses and removes it now.
    text += box.read(box.path("old"));
    Deno.removeSync(box.path("old"));
  }
  Deno.writeTextFileSync(box.path("end"), "");
  await box.until(
    "it ends",
    () => box.read(box.path("out"))!.endsWith("end\n"),
  );
  text += box.read(box.path("out"));
  const lines = text.split("\n");
  assertEquals(lines.splice(-2), ["end", ""]);
  assertEquals(lines.findIndex((line, i) => line !== `${i + 1}`), -1);
});

Deno.test("tend reopen leaves a file that nobody has renamed", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...LOGGERS);
  await writer.count(3);
  assertEquals(await box.tend("reopen", "web"), DONE);
  await writer.count(4, 4);
  assertEquals(box.read(box.path("out")), numbers(4));
});

Deno.test("tend reopen opens the files of both streams", async () => {
  await using box = await Sandbox.create();
  const options = ["--stdout=out", "--stderr=err", "--log-rotate=1G"];
  const writer = await TestWriter.start(box, ...options);
  await writer.count(1);
  for (const name of ["out", "err"]) {
    Deno.renameSync(box.path(name), box.path(`old.${name}`));
  }
  assertEquals(await box.tend("reopen", "web"), DONE);
  assertEquals(loggersOf(box).map((pid) => openFiles(box, pid)), [
    [box.path("out")],
    [box.path("err")],
  ]);
});

Deno.test("tend reopen waits for another logger when one was killed", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...LOGGERS);
  await writer.count(1);
  const [first] = loggersOf(box);
  Deno.renameSync(box.path("out"), box.path("old"));
  Deno.kill(first!, "SIGKILL");
  assertEquals(await box.tend("reopen", "web"), DONE);
  const [second] = loggersOf(box);
  assertEquals(second === first, false);
  assertEquals(openFiles(box, second!), [box.path("out")]);
});

Deno.test("tend reopen says that it was not done in time", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...LOGGERS);
  await writer.count(1);
  const [logger] = loggersOf(box);
  Deno.kill(logger!, "SIGSTOP");
  Deno.renameSync(box.path("out"), box.path("old"));
  assertEquals(
    await box.tend("reopen", "--timeout=20ms", "web"),
    failed(
      `its logger has not let go of what was ${box.path("out")} within ` +
        "0.02 s, not reopened",
    ),
  );
  Deno.kill(logger!, "SIGCONT");
});

for (
  const { why, put } of [
    {
      why: "it is a symbolic link; remove it",
      put: (log: string) => Deno.symlinkSync("old", log),
    },
    {
      why: "it is not a regular file; remove it",
      put: (log: string) => Deno.mkdirSync(log),
    },
    {
      why: "it belongs to user 65534; remove it",
      put: (log: string) => {
        Deno.writeTextFileSync(log, "");
        Deno.chownSync(log, 65534, 65534);
      },
    },
  ]
) {
  Deno.test({
    name: `tend reopen says at once of what has the file's name: ${why}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using box = await Sandbox.create();
      const directory = box.path("S");
      Deno.mkdirSync(directory);
      Deno.chmodSync(directory, 0o1777);
      const [out, old] = [`${directory}/out`, `${directory}/old`];
      const writer = await TestWriter.start(
        box,
        `--output=${out}`,
        "--log-rotate=1G",
      );
      Deno.renameSync(out, old);
      put(out);
      assertEquals(
        await box.tend("reopen", "--timeout=1h", "web"),
        failed(`its logger does not open ${out} (${why}), not reopened`),
      );
      await writer.count(3, 1, "S/old");
      const file = Deno.lstatSync(out);
      assertEquals(file.isFile ? file.size : 0, 0);
    },
  });
}

Deno.test("tend reopen says that a daemon writes itself, and what to do", async () => {
  await using box = await Sandbox.create();
  await TestWriter.start(box, "--output=out");
  assertEquals(
    await box.tend("reopen", "web"),
    failed(
      `it writes to ${
        box.path("out")
      } itself, which cannot be reopened: have ` +
        "logrotate use copytruncate, or start it with --log-timestamps or " +
        "--log-rotate",
    ),
  );
});

Deno.test("tend reopen says that there is nothing to open", async () => {
  await using box = await Sandbox.create();
  assertEquals(
    await box.tend("reopen", "web"),
    failed("not running, not reopened"),
  );
  await box.tend(...MONITORED, "--", "sleep", "600");
  assertEquals(
    await box.tend("reopen", "web"),
    failed("its output is not kept: start it with --output=FILE"),
  );
});

Deno.test("tend reopen reaches a logger whose monitor was killed", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...LOGGERS);
  await writer.count(3);
  const [logger] = loggersOf(box);
  const monitor = parentOf(box.pidfile("web.pid")!);
  Deno.kill(monitor, "SIGKILL");
  await box.until("it has ended", () => monitorFile(box).kind === "stale");
  Deno.renameSync(box.path("out"), box.path("old"));
  assertEquals(await box.tend("reopen", "web"), DONE);
  assertEquals(openFiles(box, logger!), [box.path("out")]);
  await writer.count(9, 4);
  assertEquals(box.read(box.path("out")), "4\n5\n6\n7\n8\n9\n");
});

Deno.test("tend reopen signals nobody, where the monitor was killed, who is no logger of that file's", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...LOGGERS);
  await writer.count(3);
  const record = shown(box)!;
  const { monitor, outputs } = record;
  const other = await box.tend(
    ...["--detach", "--pidfile=db.pid", "--output=other", "--log-rotate=1G"],
    ...["--", "sleep", "600"],
  );
  assertEquals(other, DONE);
  const others = readMonitorFile(box.runPath("db.pid"));
  const otherLogger = others.kind === "held" &&
    others.record?.outputs[0]?.logger;
  Deno.kill(monitor, "SIGKILL");
  await box.until("it has ended", () => monitorFile(box).kind === "stale");
  // It ends of SIGHUP.
  const bystander = box.start(["sleep", "600"]);
  Deno.renameSync(box.path("other"), box.path("old"));
  for (const logger of [bystander.pid, otherLogger || fail("it has none")]) {
    Deno.writeFileSync(
      box.runPath("web.pid.monitor"),
      encodeMonitorRecord({
        ...record,
        outputs: outputs.map((output) => ({ ...output, logger })),
      }),
    );
    assertEquals(
      await box.tend("reopen", "web"),
      failed(
        "there is no monitor of tend's to say who writes its output (monitor " +
          "killed), not reopened",
      ),
    );
    assertEquals(isAlive(logger), true);
  }
  assertEquals(box.exists(box.path("other")), false);
});

Deno.test("tend reopen signals nobody who is not the monitor's child", async () => {
  await using box = await Sandbox.create();
  const writer = await TestWriter.start(box, ...LOGGERS);
  await writer.count(1);
  // It ends of SIGHUP.
  const bystander = box.start(["sleep", "600"]);
  const record = shown(box)!;
  const outputs = record.outputs
    .map((output) => ({ ...output, logger: bystander.pid }));
  Deno.writeFileSync(
    box.runPath("web.pid.monitor"),
    encodeMonitorRecord({ ...record, outputs }, 4096),
  );
  assertEquals(loggersOf(box), [bystander.pid]);
  const { code } = await box.tend("reopen", "--timeout=20ms", "web");
  assertEquals([code, isAlive(bystander.pid)], [1, true]);
});

Deno.test("tend reopen --json says what was done", async () => {
  await using box = await Sandbox.create();
  await TestWriter.start(box, ...LOGGERS);
  const { done, pid, error } = await json(box, "reopen", "web");
  assertEquals(
    [done, pid, error],
    ["reopened", box.pidfile("web.pid"), null],
  );
  const other = await json(box, "reopen", "none");
  assertEquals([other.done, other.error], [null, "not running, not reopened"]);
});

Deno.test({
  name: "tend reopen refuses another user's daemon by a sentence",
  ignore: !IS_ROOT,
  fn: async () => {
    await using box = await Sandbox.create();
    await TestWriter.start(box, ...LOGGERS);
    const [logger] = loggersOf(box);
    assertEquals(
      await asOther(box, "reopen", "web"),
      failed(
        `pid ${logger} belongs to user 0, not reopened (Operation not ` +
          "permitted)",
      ),
    );
  },
});

Deno.test({
  name: "tend reopen is what logrotate needs, as README.md has it",
  ignore: await lacks(["/usr/sbin/logrotate"]),
  fn: async () => {
    await using box = await Sandbox.create();
    const writer = await TestWriter.start(box, ...LOGGERS);
    // It compresses what it has renamed as soon as tend has returned.
    const readme = Deno.readTextFileSync(
      new URL("../../README.md", import.meta.url),
    );
    const [snippet] = /^\/var\/log\/job\.out \{.*?^\}\n/ms.exec(readme)!;
    Deno.writeTextFileSync(
      box.path("logrotate.conf"),
      snippet.replace("/var/log/job.out", box.path("out"))
        .replace("tend reopen job", `"${TEND}" reopen web`),
    );
    writer.run(untilEnd(box));
    for (let round = 0; round < 4; round++) {
      await box.until(
        "there is more",
        () => Deno.statSync(box.path("out")).size > 0,
      );
      assertEquals(
        await box.run([
          ...["/usr/sbin/logrotate", "--force", `--state=${box.path("state")}`],
          box.path("logrotate.conf"),
        ]),
        DONE,
      );
    }
    Deno.writeTextFileSync(box.path("end"), "");
    await box.until(
      "it ends",
      () => box.read(box.path("out"))!.endsWith("end\n"),
    );
    const { stdout } = await box.run([
      ...[
        "sh",
        "-c",
        "zcat out.4.gz out.3.gz out.2.gz out.1.gz; cat out",
      ],
    ]);
    assertMatch(stdout, /\nend\n$/);
    const lines = stdout.split("\n").slice(0, -2);
    assertEquals(lines.findIndex((line, i) => line !== `${i + 1}`), -1);
  },
});
