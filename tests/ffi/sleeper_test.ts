import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { systemCall } from "../../ffi/system_calls.ts";
import { fdsOf, parentOf } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { fifo, NAME, Sleeper } from "../sleepers.ts";
import "../open_libc.ts";

/** Four pages: what waits has a few hundred bytes, on three. */
const FEW_KIB = 16;

Deno.test("sleeperImage() waits under the name that it was given", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box);
  assertEquals(sleeper.proc("comm"), `${NAME}\n`);
});

Deno.test("sleeperImage() waits under the first 15 bytes of a long name", async () => {
  await using box = await Sandbox.create();
  const name = "a name of many letters";
  const sleeper = await Sleeper.start(box, { name });
  assertEquals(sleeper.proc("comm"), `${name.slice(0, 15)}\n`);
});

Deno.test("sleeperImage() shows the arguments that it was executed with", async () => {
  await using box = await Sandbox.create();
  const shown = ["tend: monitoring", "", Uint8Array.of(0xff, 0x20)];
  const sleeper = await Sleeper.start(box, { shown });
  assertEquals(sleeper.proc("cmdline"), "tend: monitoring\0\0\xff \0");
});

Deno.test("sleeperImage() shows the environment that it was executed with", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box, {
    under: [...alone(box), "A=b"],
  });
  const shown = sleeper.proc("environ").split("\0");
  assert(shown.includes("A=b"), `${shown}`);
});

for (const room of [0, 100_000]) {
  Deno.test(`sleeperImage() takes at most ${FEW_KIB} KiB with ${room} bytes to hand over`, async () => {
    await using box = await Sandbox.create();
    const env = [`ROOM=${"x".repeat(room)}`];
    const sleeper = await Sleeper.start(box, { env, under: alone(box) });
    assertSmall(sleeper);
  });
}

Deno.test(`sleeperImage() takes at most ${FEW_KIB} KiB with a thousand arguments`, async () => {
  await using box = await Sandbox.create();
  // Without letters they take little, but the array that `main()` would get.
  const sleeper = await Sleeper.start(box, {
    shown: Array(1000).fill(""),
    under: alone(box),
  });
  assertSmall(sleeper);
  assertEquals(sleeper.proc("cmdline"), "\0".repeat(1000));
});

Deno.test("sleeperImage() has nothing in memory that is writable and executable", async () => {
  await using box = await Sandbox.create();
  const maps = (await Sleeper.start(box)).proc("maps");
  assertMatch(maps, /^\S+ r-xp .* \/memfd:image \(deleted\)$/m);
  assertMatch(maps, /^\S+ rw-p .* \/memfd:image \(deleted\)$/m);
  assertEquals(maps.match(/^\S+ .w.?x.*$/gm), null);
});

Deno.test("sleeperImage() runs from no file system", async () => {
  await using box = await Sandbox.create();
  const maps = (await Sleeper.start(box)).proc("maps");
  const files = [...maps.matchAll(/^(?:\S+ +){5}(\/.*)$/gm)]
    .map(([, file]) => file);
  assertEquals([...new Set(files)], ["/memfd:image (deleted)"]);
});

Deno.test("sleeperImage() leaves no file behind", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("tmp"));
  await Sleeper.start(box, { under: ["env", `TMPDIR=${box.path("tmp")}`] });
  assertEquals([...Deno.readDirSync(box.path("tmp"))], []);
});

Deno.test("sleeperImage() has the descriptors that were left open, and none of itself", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box, {
    watched: ["a", "b"].map(fifo),
    keptFd: `open("/bin/sh", O_PATH)`,
  });
  const files = [...fdsOf(sleeper.pid).values()];
  const shell = Deno.realPathSync("/bin/sh");
  for (const file of [box.path("a"), box.path("b"), shell]) {
    assert(files.includes(file), `${file} of ${files}`);
  }
  assertEquals(files.filter((file) => file.includes("memfd")), []);
});

Deno.test("sleeperImage() waits in ppoll(), without an end", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box, { watched: ["a", "b"].map(fifo) });
  const [number, , count, timeout, mask] = sleeper.call();
  assertEquals(
    [number, count, timeout, mask],
    [`${systemCall("ppoll")}`, "0x2", "0x0", "0x0"],
  );
});

Deno.test("sleeperImage() does not run while it waits", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box);
  const switches = () =>
    ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"].map((line) =>
      sleeper.status(line)
    );
  const before = switches();
  assertEquals((await box.run(["sh", "-c", "true | true"])).code, 0);
  assertEquals(switches(), before);
});

Deno.test("sleeperImage() stays the process that it was, with one thread", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box);
  assertEquals(parentOf(sleeper.pid), Deno.pid);
  assertEquals(sleeper.status("Threads"), "1");
});

/** Without the environment of the tests, which may be any size. */
function alone(box: Sandbox): string[] {
  return ["env", "-i", `TEND_TEST_SANDBOX=${box.dir}`];
}

function assertSmall(sleeper: Sleeper): void {
  const rollup = sleeper.proc("smaps_rollup");
  for (const kind of ["Rss", "Pss"]) {
    const [, size] = new RegExp(`^${kind}: +(\\d+) kB$`, "m").exec(rollup)!;
    assert(Number(size) <= FEW_KIB, rollup);
  }
}
