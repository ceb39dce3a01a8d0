/** Descriptors that COMMAND is left when tend detaches. */
import { assertEquals } from "@std/assert/equals";
import {
  MONITORED,
  request,
  SLEEPY,
  successorOf,
  untilAsleep,
} from "../monitored.ts";
import { fdsOf, parentOf } from "../proc.ts";
import { type Finished, Sandbox, TEND } from "../sandbox.ts";

/** Runs tend with files at 5, 6 and 150. */
function tendWithFiles(box: Sandbox, ...options: string[]): Promise<Finished> {
  const script = 'exec 5<five 6<six; exec "$@"';
  for (const name of ["five", "six", "high"]) {
    Deno.writeTextFileSync(box.path(name), name);
  }
  // A shell of Debian has one digit for them.
  return box.run([
    ...["sh", "-c", script, "sh"],
    ...["bash", "-c", 'exec 150<high; exec "$@"', "bash"],
    ...[TEND, ...options, "--", "sleep", "600"],
  ]);
}

/** The files of the box that a process has open, but for the pidfile. */
function filesIn(box: Sandbox, pid: number): Record<string, string> {
  const files = [...fdsOf(pid)].filter(([, file]) =>
    file.startsWith(box.dir) && !file.startsWith(box.path("run"))
  );
  return Object.fromEntries(files.map(([fd, file]) => [
    String(fd),
    file.slice(box.dir.length + 1),
  ]));
}

Deno.test("tend --detach closes what it is not told to keep", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await tendWithFiles(box, ...MONITORED);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(filesIn(box, box.pidfile("web.pid")!), {});
});

for (const options of [[], ["--exec"], ["--monitor"]]) {
  const title = ["tend --detach --keep-fd", ...options].join(" ");
  Deno.test(`${title} keeps a descriptor for COMMAND, and no other`, async () => {
    await using box = await Sandbox.create();
    const { code, stderr } = await tendWithFiles(
      box,
      ...["--detach", "--pidfile=web.pid", ...options],
      ...["--keep-fd=6", "--keep-fd=150"],
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const daemon = box.pidfile("web.pid")!;
    assertEquals(filesIn(box, daemon), { 6: "six", 150: "high" });
  });
}

for (const sleepAfter of ["0", "never"]) {
  Deno.test(`tend --sleep-after=${sleepAfter} --keep-fd keeps it for each daemon`, async () => {
    await using box = await Sandbox.create();
    await tendWithFiles(
      box,
      ...[...SLEEPY, `--sleep-after=${sleepAfter}`, "--keep-fd=6"],
      "--keep-fd=150",
    );
    let daemon = box.pidfile("web.pid")!;
    const monitor = parentOf(daemon);
    for (let i = 0; i < 3; i++) {
      if (sleepAfter === "0") await untilAsleep(box, monitor);
      request(box, "restart");
      daemon = await successorOf(daemon, box);
      assertEquals(filesIn(box, daemon), { 6: "six", 150: "high" });
    }
  });
}

Deno.test("tend leaves all descriptors in the foreground, --keep-fd or not", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("five"), "five\n");
  for (const options of [[], ["--keep-fd=5"]]) {
    const { stdout } = await box.run([
      ...["sh", "-c", 'exec 5<five; exec "$@"', "sh"],
      ...[TEND, "--monitor", ...options, "--", "cat", "/dev/fd/5"],
    ]);
    assertEquals(stdout, "five\n");
  }
});
