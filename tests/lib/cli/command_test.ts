import { assertEquals } from "@std/assert/equals";
import { ask, ROOT, runProgram } from "../../program.ts";
import { Sandbox } from "../../sandbox.ts";

const MISSING = "exec failed (No such file or directory)";

/** Becomes `sh -c SCRIPT`, with what stands before it done to the process. */
function become(script: string, callerIgnored: number[], before = ""): string {
  return `
    import { toBytes } from "${ROOT}/ffi/c_string.ts";
    import { becomeCommand } from "${ROOT}/lib/cli/command.ts";
    const plan = { detach: false, chdir: true };
    const daemon = { notifyFd: -1, pidfileFd: undefined, means: {} };
    const command = { path: toBytes("/bin/sh"),
      argv: ["sh", "-c", ${JSON.stringify(script)}].map(toBytes),
      ignored: ${JSON.stringify(callerIgnored)} };
    ${before}
    becomeCommand(command, plan, daemon);`;
}

/** Not sh, which takes SIGCHLD for itself. */
const SAY_SIGNALS = `
  import { fatalSignalBlock } from "${ROOT}/lib/fatal_signal.ts";
  command.path = toBytes("/bin/grep");
  command.argv = ["grep", "^Sig[BI]", "/proc/self/status"].map(toBytes);
  fatalSignalBlock();`;

for (
  const [what, ignored, mask] of [
    ["no signal ignored when the caller had none", [], 0n],
    ["SIGPIPE ignored when the caller had", [13], 1n << 12n],
    ["SIGCHLD ignored when the caller had", [17], 1n << 16n],
  ] as const
) {
  Deno.test(`becomeCommand() has ${what}, and none blocked`, async () => {
    await using box = await Sandbox.create();
    const answer = await ask(box, become("", [...ignored], SAY_SIGNALS), {
      under: ["env", "--default-signal"],
    });
    const masks = answer.split("\n").map((line) => {
      const bits = BigInt(`0x${line.split("\t")[1]}`);
      // 32 and 33 are glibc's own, and none of ours to set.
      return bits & ~(3n << 31n);
    });
    assertEquals(masks, [0n, mask]);
  });
}

Deno.test("becomeCommand() hands the pidfile's descriptor down, and no other of tend's", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    become(
      "readlink /proc/self/fd/* | grep -cE '/dev/zero|inotify|eventpoll'; " +
        "readlink /proc/self/fd/120",
      [],
      `
      import { dupFrom } from "${ROOT}/ffi/duplicate.ts";
      import { open } from "${ROOT}/ffi/file.ts";
      open("/dev/zero", 0);
      daemon.pidfileFd = dupFrom(open("/dev/full", 0), 120, true);`,
    ),
  );
  assertEquals(answer, "0\n/dev/full");
});

Deno.test("becomeCommand() dies of a fatal signal that is pending", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await runProgram(
    box,
    become(
      "echo not reached",
      [],
      `
      import { fatalSignalBlock } from "${ROOT}/lib/fatal_signal.ts";
      import { raise } from "${ROOT}/ffi/signal.ts";
      fatalSignalBlock();
      raise(15);`,
    ),
    { under: ["sh", "-c", '"$@"; exit $?', "sh"] },
  );
  assertEquals([code, stdout], [143, ""]);
});

Deno.test("becomeCommand() ends with 127 when the command has gone meanwhile", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await runProgram(
    box,
    become("", [], `command.path = toBytes("/no/such/sh");`),
  );
  assertEquals([code, stderr], [127, `tend: sh: ${MISSING}\n`]);
});
