import { shouldRestart } from "../../lib/restart.ts";
import { assertEquals } from "@std/assert/equals";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** By their numbers: what `should_restart()` has, in the words of the C. */
const RESTARTED = new Map([
  [6, "SIGABRT"],
  [14, "SIGALRM"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [4, "SIGILL"],
  [13, "SIGPIPE"],
  [11, "SIGSEGV"],
  [24, "SIGXCPU"],
  [25, "SIGXFSZ"],
]);

for (let signal = 1; signal <= 64; signal++) {
  const restart = RESTARTED.has(signal);
  for (const coreDumped of [false, true]) {
    Deno.test(`shouldRestart() is ${restart} for ${RESTARTED.get(signal) ?? signal} when coreDumped is ${coreDumped}`, () => {
      assertEquals(
        shouldRestart({ kind: "signaled", signal, coreDumped }),
        restart,
      );
    });
  }
}

for (const code of [0, 1, 6, 11, 134, 139, 255]) {
  Deno.test(`shouldRestart() is false for exit status ${code}`, () => {
    assertEquals(shouldRestart({ kind: "exited", code }), false);
  });
}

Deno.test("shouldRestart() is false for a daemon that has not ended", () => {
  assertEquals(shouldRestart({ kind: "stopped", signal: 6 }), false);
  assertEquals(shouldRestart({ kind: "continued" }), false);
});

/** What catchSignals() does to a process that a caller has made so. */
async function caught(
  ...env: string[]
): Promise<{ blocked: number[]; read: number[]; ignored: number[] }> {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { catchSignals } from "${ROOT}/lib/pass_on.ts";
    const fd = catchSignals();
    const signals = (file, name) => {
      const text = Deno.readTextFileSync(file);
      const mask = BigInt("0x" + new RegExp("^" + name + ":\\\\s*(\\\\w+)$", "m").exec(text)[1]);
      return Array.from({ length: 64 }, (_, i) => i + 1)
        .filter((signal) => mask >> BigInt(signal - 1) & 1n);
    };
    console.log(JSON.stringify({
      blocked: signals("/proc/thread-self/status", "SigBlk"),
      read: signals("/proc/self/fdinfo/" + fd, "sigmask"),
      ignored: signals("/proc/self/status", "SigIgn"),
    }));`,
    { under: ["env", "--default-signal", ...env] },
  );
  return JSON.parse(answer);
}

Deno.test("catchSignals() holds back what is passed on, SIGCHLD, and requests", async () => {
  const { blocked, read } = await caught();
  assertEquals(blocked, [1, 2, 3, 10, 12, 14, 15, 17, 35, 36, 37]);
  assertEquals(read, blocked);
});

Deno.test("catchSignals() leaves out what the caller had ignored", async () => {
  const { blocked, read, ignored } = await caught("--ignore-signal=HUP,INT");
  assertEquals(blocked, [3, 10, 12, 14, 15, 17, 35, 36, 37]);
  assertEquals(read, blocked);
  assertEquals([1, 2].every((signal) => ignored.includes(signal)), true);
});

Deno.test("catchSignals() hears of requests whose signals the caller had ignored", async () => {
  const { read } = await caught("--ignore-signal=RTMIN+1,RTMIN+2,RTMIN+3");
  assertEquals(read.slice(-3), [35, 36, 37]);
});

Deno.test("catchSignals() hears of children whose caller had SIGCHLD ignored", async () => {
  const { blocked, ignored } = await caught("--ignore-signal=CHLD");
  assertEquals([blocked.includes(17), ignored.includes(17)], [true, false]);
});
