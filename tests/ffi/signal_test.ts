import { close } from "../../ffi/descriptor.ts";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { LibcError } from "../../ffi/libc.ts";
import {
  isIgnored,
  raise,
  readSignalfd,
  setDisposition,
  setSignalMask,
  Signal,
  signalfd,
  strsignal,
  takePendingSignal,
} from "../../ffi/signal.ts";
import { disposable } from "../descriptors.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const ALL = Array.from({ length: 64 }, (_, i) => i + 1);
/** SIGKILL and SIGSTOP cannot be held back, glibc keeps 32 and 33 to itself. */
const HELD = [9, 19, 32, 33];

Deno.test("Signal has the numbers that kill -l has", async () => {
  await using box = await Sandbox.create();
  const names = Object.keys(Signal).map((name) => name.slice(3));
  const { stdout } = await box.run(
    ["bash", "-c", 'for n; do kill -l "$n"; done', "bash", ...names],
  );
  assertEquals(stdout.trim().split("\n").map(Number), Object.values(Signal));
});

for (const signal of ALL.filter((signal) => !HELD.includes(signal))) {
  Deno.test(`setSignalMask() blocks signal ${signal} and no other`, () => {
    using _mask = blocked([signal]);
    assertEquals(signalsIn("SigBlk"), [signal]);
  });
}

Deno.test("setSignalMask() lets all through when there are none", () => {
  setSignalMask([1, 2]);
  setSignalMask([]);
  assertEquals(signalsIn("SigBlk"), []);
});

Deno.test("takePendingSignal() takes one signal, once", () => {
  using _mask = blocked([Signal.SIGUSR1]);
  raise(Signal.SIGUSR1);
  const taken = [1, 2].map(() => takePendingSignal([Signal.SIGUSR1]));
  assertEquals(taken, [Signal.SIGUSR1, undefined]);
});

Deno.test("takePendingSignal() leaves the signals that it was not asked for", () => {
  const { SIGUSR1, SIGUSR2 } = Signal;
  using _mask = blocked([SIGUSR1, SIGUSR2]);
  raise(SIGUSR2);
  assertEquals(takePendingSignal([SIGUSR1]), undefined);
  assertEquals(takePendingSignal([SIGUSR2]), SIGUSR2);
});

Deno.test("signalfd() tells the kernel of these signals and no others", () => {
  const signals = [Signal.SIGHUP, Signal.SIGTERM, Signal.SIGXFSZ, 64];
  using fd = disposable(signalfd(signals));
  const info = Deno.readTextFileSync(`/proc/self/fdinfo/${fd.number}`);
  const [, mask] = /^sigmask:\t([0-9a-f]{16})$/m.exec(info)!;
  assertEquals(signalsOf(mask!), signals);
});

Deno.test("signalfd() does not block and is closed on exec", () => {
  using fd = disposable(signalfd([Signal.SIGUSR1]));
  const info = Deno.readTextFileSync(`/proc/self/fdinfo/${fd.number}`);
  assertMatch(info, /^flags:\t02004002$/m);
});

for (const signal of [Signal.SIGHUP, Signal.SIGUSR1, Signal.SIGXFSZ]) {
  Deno.test(`readSignalfd() reads signal ${signal}, and then nothing`, () => {
    using _mask = blocked([signal]);
    using fd = disposable(signalfd([signal]));
    raise(signal);
    assertEquals(readSignalfd(fd.number), { signal, fromKernel: false });
    assertEquals(readSignalfd(fd.number), undefined);
  });
}

Deno.test("readSignalfd() tells what the kernel sent from what a process sent", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { kill } from "${ROOT}/ffi/process.ts";
    import { readSignalfd, Signal, signalfd } from "${ROOT}/ffi/signal.ts";
    import { waitReadable } from "${ROOT}/ffi/wait.ts";
    const { setitimer } = Deno.dlopen("libc.so.6", {
      setitimer: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    }).symbols;
    const { SIGALRM, SIGUSR1 } = Signal;
    const fd = signalfd([SIGALRM, SIGUSR1]);
    const next = () => {
      waitReadable([fd]);
      console.log(JSON.stringify(readSignalfd(fd)));
    };
    kill(Deno.pid, SIGUSR1);
    next();
    const in1ms = BigInt64Array.of(0n, 0n, 0n, 1000n);
    setitimer(0, new Uint8Array(in1ms.buffer), null);
    next();
    kill(Deno.pid, SIGALRM);
    next();`,
    // In all of Deno's threads from the first moment.
    { under: ["env", "--block-signal=ALRM,USR1"] },
  );
  assertEquals(answer.split("\n").map((line) => JSON.parse(line)), [
    { signal: 10, fromKernel: false },
    { signal: 14, fromKernel: true },
    { signal: 14, fromKernel: false },
  ]);
});

Deno.test("readSignalfd() throws EBADF for a descriptor that is not open", () => {
  const fd = signalfd([Signal.SIGUSR1]);
  close(fd);
  assertEquals(
    assertThrows(() => readSignalfd(fd), LibcError).code,
    "EBADF",
  );
});

Deno.test("isIgnored() is true of just what /proc/self/status has as ignored", async () => {
  await using box = await Sandbox.create();
  const [said, status] = JSON.parse(
    await ask(
      box,
      `
      import { isIgnored } from "${ROOT}/ffi/signal.ts";
      const signals = Array.from({ length: 64 }, (_, i) => i + 1)
        .filter((signal) => signal !== 32 && signal !== 33);
      const status = Deno.readTextFileSync("/proc/self/status");
      console.log(JSON.stringify([signals.filter(isIgnored), status]));`,
      { under: ["env", "--ignore-signal=HUP,INT,CHLD,RTMAX"] },
    ),
  );
  const [, mask] = /^SigIgn:\t(\w+)$/m.exec(status)!;
  const seen = signalsOf(mask!).filter((signal) => !HELD.includes(signal));
  assertEquals(said, seen);
  assertEquals([1, 2, 17, 64].every((signal) => said.includes(signal)), true);
});

Deno.test("isIgnored() throws EINVAL for a signal that there is not", () => {
  assertEquals(assertThrows(() => isIgnored(65), LibcError).code, "EINVAL");
});

Deno.test("setDisposition() ignores a signal and gives its effect back", async () => {
  await using box = await Sandbox.create();
  const { code, stdout } = await box.run([
    ...["sh", "-c", '"$@"; exit $?', "sh", Deno.execPath(), "eval", "-q"],
    `
    import { raise, setDisposition, Signal } from "${ROOT}/ffi/signal.ts";
    setDisposition(Signal.SIGUSR1, "ignore");
    raise(Signal.SIGUSR1);
    console.log("still here");
    setDisposition(Signal.SIGUSR1, "default");
    raise(Signal.SIGUSR1);
    console.log("still here");`,
  ]);
  assertEquals([code, stdout], [128 + Signal.SIGUSR1, "still here\n"]);
});

for (const name of ["SIGKILL", "SIGSTOP"]) {
  Deno.test(`setDisposition() throws EINVAL for ${name}`, () => {
    const signal = name === "SIGKILL" ? Signal.SIGKILL : 19;
    const error = assertThrows(
      () => setDisposition(signal, "ignore"),
      LibcError,
    );
    assertEquals(error.message, "sigaction failed (Invalid argument)");
  });
}

Deno.test("raise() throws EINVAL for a signal that there is not", () => {
  assertEquals(assertThrows(() => raise(65), LibcError).code, "EINVAL");
});

Deno.test("strsignal() has libc's words", () => {
  const words = [Signal.SIGSEGV, Signal.SIGABRT, Signal.SIGKILL, 34, 99];
  assertEquals(words.map(strsignal), [
    "Segmentation fault",
    "Aborted",
    "Killed",
    "Real-time signal 0",
    "Unknown signal 99",
  ]);
});

/** Signals that this thread holds back until that is disposed. */
function blocked(signals: readonly number[]): Disposable {
  setSignalMask(signals);
  return { [Symbol.dispose]: () => setSignalMask([]) };
}

/** The signals in a mask of this thread: each has its own. */
function signalsIn(mask: string): number[] {
  const status = Deno.readTextFileSync("/proc/thread-self/status");
  return signalsOf(new RegExp(`^${mask}:\t(\\w+)$`, "m").exec(status)![1]!);
}

function signalsOf(mask: string): number[] {
  const bits = BigInt(`0x${mask}`);
  return ALL.filter((signal) => (bits >> BigInt(signal - 1)) & 1n);
}
