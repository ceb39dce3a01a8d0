/** `tend reload` and `tend kill`. */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { MONITORED, startBackingOff, untilShown } from "../monitored.ts";
import { Ovsdb, WITHOUT_OVSDB } from "../ovsdb.ts";
import { isAlive } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { asOther, IS_ROOT, isThere, json } from "../verb_calls.ts";

const DONE = { code: 0, stdout: "", stderr: "" };

/** A shell that notes the signals that it gets. */
function noting(box: Sandbox): string[] {
  const script =
    'for s in HUP USR1 USR2 TERM; do trap "echo $s >>$2" $s; done;' +
    ' echo >>"$1"; while :; do sleep 600 & wait $!; done';
  const files = [box.path("there"), box.path("noted")];
  return ["--", "sh", "-c", script, "sh", ...files];
}

async function noted(box: Sandbox, text: string): Promise<void> {
  await box.until(
    `${text} was noted`,
    () => box.read(box.path("noted")) === `${text}\n`,
  );
}

for (
  const [args, signal] of [
    [["reload"], "HUP"],
    [["reload", "--signal=USR2"], "USR2"],
    [["kill", "-s", "USR1"], "USR1"],
    [["kill", "-s10"], "USR1"],
    [["kill"], "TERM"],
  ] as const
) {
  Deno.test(`tend ${args.join(" ")} sends SIG${signal} to the daemon`, async () => {
    await using box = await Sandbox.create();
    await box.tend(...MONITORED, "--sleep-after=0", ...noting(box));
    await isThere(box);
    const pid = box.pidfile("web.pid")!;
    assertEquals(await box.tend(...args, "web"), DONE);
    await noted(box, signal);
    assertEquals(isAlive(pid), true);
  });
}

for (const verb of ["reload", "kill"]) {
  Deno.test(`tend ${verb} says that the daemon does not run`, async () => {
    await using box = await Sandbox.create();
    const said = {
      code: 1,
      stdout: "",
      stderr: "tend: web: not running, not signalled\n",
    };
    assertEquals(await box.tend(verb, "web"), said);
    await startBackingOff(box);
    await untilShown(box, "that", ({ phase }) => phase === "backingOff");
    assertEquals(await box.tend(verb, "web"), said);
  });

  Deno.test(`tend ${verb} does not signal a live process that a stale pidfile names`, async () => {
    await using box = await Sandbox.create();
    const bystander = box.start(["sleep", "600"]);
    Deno.mkdirSync(box.path("run"));
    Deno.writeTextFileSync(box.runPath("web.pid"), `${bystander.pid}\n`);
    const { code } = await box.tend(verb, "-sKILL", "web");
    assertEquals([code, isAlive(bystander.pid)], [1, true]);
  });

  Deno.test({
    name: `tend ${verb} refuses another user's daemon by a sentence`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using box = await Sandbox.create();
      await box.tend(...MONITORED, "--", "sleep", "600");
      const pid = box.pidfile("web.pid")!;
      assertEquals(await asOther(box, verb, "web"), {
        code: 1,
        stdout: "",
        stderr: `tend: web: pid ${pid} belongs to user 0, not signalled ` +
          "(Operation not permitted)\n",
      });
    },
  });
}

Deno.test("tend kill --json says what was done", async () => {
  await using box = await Sandbox.create();
  await box.tend(...MONITORED, ...noting(box));
  await isThere(box);
  const { done, pid, error } = await json(box, "kill", "-sUSR1", "web");
  assertEquals([done, pid, error], ["signalled", box.pidfile("web.pid"), null]);
  const failed = await json(box, "kill", "none");
  assertEquals(
    [failed.done, failed.error, failed.state],
    [null, "not running, not signalled", "stopped"],
  );
});

Deno.test({
  name: "tend kill reaches a real ovsdb-server",
  ignore: WITHOUT_OVSDB,
  fn: async () => {
    await using box = await Sandbox.create();
    const ovsdb = await Ovsdb.create(box);
    await ovsdb.start(box.runPath("web.pid"));
    const pid = box.pidfile("web.pid")!;
    assertEquals(await box.tend("kill", "web"), DONE);
    await box.until("it has ended", () => !isAlive(pid));
  },
});

Deno.test("tend kill refuses what is no signal", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await box.tend("kill", "-s", "HPU", "web");
  assertEquals(code, 2);
  assertMatch(stderr, /^tend: option --signal=HPU: not a signal/);
});
